"""User functions that show what the history does with unusual fields and rows; importable for spawned workers."""

import numpy as np

from libensemble.message_numbers import (
    EVAL_GEN_TAG,
    EVAL_SIM_TAG,
    FINISHED_PERSISTENT_GEN_TAG,
    FINISHED_PERSISTENT_SIM_TAG,
    PERSIS_STOP,
    STOP_TAG,
)
from libensemble.tools.persistent_support import PersistentSupport
from tests.fakes.user_functions import count_up, double, points

STOPS = (STOP_TAG, PERSIS_STOP)


# ---- generators


def count_up_with_late_field(H, persis_info, gen_specs):
    """From the second call on, propose points with a field that was not declared."""
    H_o = count_up(H, persis_info, gen_specs)
    if not len(H):
        return H_o
    wider = np.zeros(len(H_o), dtype=[*H_o.dtype.descr, ("label", "U8"), ("weight", float, 2)])
    wider["x"], wider["label"], wider["weight"] = H_o["x"], "late", (1.0, 2.0)
    return wider


def propose_objects(H, persis_info, gen_specs):
    """Propose points that hold Python objects."""
    H_o = count_up(H, persis_info, gen_specs)
    for row in H_o:
        row["thing"] = {"x": float(row["x"]), "list": [1, "two"]}
        row["pair"][:] = ["a", None]
    return H_o


def claim_to_be_someone_else(H, persis_info, gen_specs):
    """Write a protected field."""
    H_o = np.zeros(4, dtype=[*gen_specs["out"], ("gen_worker", int)])
    H_o["gen_worker"] = 77
    return H_o


def revise(H, persis_info, gen_specs, libE_info):
    """Propose six points by number; then change two, cancel one that has not run, and add one, in one output."""
    support = PersistentSupport(libE_info, EVAL_GEN_TAG)
    H_o = points(0, 6, gen_specs["out"])
    H_o["sim_id"] = np.arange(6)
    support.send_recv(H_o)
    changes = np.zeros(3, dtype=[("sim_id", int), ("x", float), ("note", "U5")])
    changes[:] = [(4, 40.0, "old"), (1, 10.0, "old"), (6, 60.0, "new")]
    tag, _, _ = support.send_recv(changes)
    while tag not in STOPS:
        tag, _, _ = support.recv()
    return None, persis_info, FINISHED_PERSISTENT_GEN_TAG


def two_batches_with_a_last_word(H, persis_info, gen_specs, libE_info):
    """Propose four points, and return changes of them at the end."""
    support = PersistentSupport(libE_info, EVAL_GEN_TAG)
    H_o = points(0, 4, gen_specs["out"])
    H_o["sim_id"] = np.arange(4)
    support.send_recv(H_o)
    last = np.zeros(4, dtype=gen_specs["out"])
    last["sim_id"], last["x"] = np.arange(4), -1.0
    return last, persis_info, FINISHED_PERSISTENT_GEN_TAG


def cancel_all_but_two(H, persis_info, gen_specs):
    """Propose points of which only the first two are to be evaluated."""
    H_o = np.zeros(4, dtype=[*gen_specs["out"], ("cancel_requested", bool)])
    H_o["x"] = np.arange(len(H), len(H) + 4)
    H_o["cancel_requested"][2:] = True
    return H_o


def persistent_and_partly_informed(H, persis_info, gen_specs, libE_info):
    """Say in `said` which rows came with the start and then with each answer."""
    support = PersistentSupport(libE_info, EVAL_GEN_TAG)
    said = [sorted(H["sim_id"].tolist()) if len(H) else []]
    tag, first = None, 100
    while tag not in STOPS:
        tag, _, calc_in = support.send_recv(points(first, 2, gen_specs["out"]))
        first += 2
        if calc_in is not None and len(calc_in):
            said.append(sorted(calc_in["sim_id"].tolist()))
    persis_info["said"] = said
    return None, persis_info, FINISHED_PERSISTENT_GEN_TAG


# ---- simulators


def double_with_late_field(H, persis_info, sim_specs):
    """Return a field that was not declared."""
    H_o = np.zeros(len(H), dtype=[*sim_specs["out"], ("iterations", int)])
    H_o["f"], H_o["iterations"] = 2 * H["x"], 5
    return H_o


def return_objects(H, persis_info, sim_specs):
    """Return what came, as another object."""
    H_o = np.zeros(len(H), dtype=sim_specs["out"])
    for out, row in zip(H_o, H, strict=True):
        out["f"], out["report"] = row["thing"]["x"], (row["thing"], list(row["pair"]))
    return H_o


def return_part_of_a_vector(H, persis_info, sim_specs):
    """Return two numbers where H has room for four."""
    return np.array([([x, -x],) for x in H["x"]], dtype=[("v", float, 2)])


def return_too_long_a_vector(H, persis_info, sim_specs):
    """Return five numbers where H has room for four."""
    return np.zeros(len(H), dtype=[("v", float, 5)])


def return_an_empty_vector(H, persis_info, sim_specs):
    """Return no numbers where H has room for four."""
    return np.zeros(len(H), dtype=[("v", float, 0)])


def ask_to_run_once_more(H, persis_info, sim_specs):
    """The first time that point 1 comes, reset its `sim_started`."""
    done = persis_info.setdefault("seen", [])
    H_o = np.zeros(len(H), dtype=[*sim_specs["out"], ("sim_started", bool), ("sim_ended", bool)])
    H_o["f"], H_o["sim_started"], H_o["sim_ended"] = 2 * H["x"], True, True
    if H["x"][0] == 1 and 1.0 not in done:
        H_o["sim_started"] = H_o["sim_ended"] = False
    done.append(float(H["x"][0]))
    return H_o, persis_info


def write_protected_field(H, persis_info, sim_specs):
    """Return a field that belongs to the manager."""
    return np.zeros(len(H), dtype=[*sim_specs["out"], ("sim_worker", int)])


def return_nothing(H):
    """Return nothing at all."""


def return_more_rows(H, persis_info, sim_specs):
    """Return entries for rows that were never asked for."""
    H_o = np.full(len(H) + 3, -1.0, dtype=sim_specs["out"])
    H_o["f"][: len(H)] = 2 * H["x"]
    return H_o


def persistent_double(H, persis_info, sim_specs, libE_info):
    """Evaluate until told to stop; return the last result once more."""
    support = PersistentSupport(libE_info, EVAL_SIM_TAG)
    tag, result = None, double(H, persis_info, sim_specs)
    while tag not in STOPS:
        tag, _, calc_in = support.send_recv(result)
        if calc_in is not None:
            result = double(calc_in, persis_info, sim_specs)
    return result, persis_info, FINISHED_PERSISTENT_SIM_TAG


def wait_for_kill(H, persis_info, sim_specs, libE_info):
    """Points from x = 2 on run until they are killed, but not for ever."""
    if H["x"][0] >= 2:
        try:
            libE_info["comm"].recv(timeout=10)
        except Exception as error:
            raise RuntimeError("no kill signal came") from error
    return double(H, persis_info, sim_specs)
