"""User functions of the small ensembles, importable so that spawned workers find them."""

import time

import numpy as np

from libensemble.executors import Executor
from libensemble.message_numbers import EVAL_GEN_TAG, FINISHED_PERSISTENT_GEN_TAG, PERSIS_STOP, STOP_TAG
from libensemble.tools.persistent_support import PersistentSupport


def points(first, count, out):
    """Return `count` points with ``x = first, first + 1, ...``."""
    H_o = np.zeros(count, dtype=out)
    H_o["x"] = np.arange(first, first + count)
    return H_o


def count_up(H, persis_info, gen_specs):
    """Propose ``user["batch"]`` points per call, going on where the rows of `H` end."""
    return points(len(H), gen_specs["user"].get("batch", 4), gen_specs["out"])


def double(H, persis_info, sim_specs):
    """Return ``f = 2 x``."""
    H_o = np.zeros(len(H), dtype=sim_specs["out"])
    H_o["f"] = 2 * H["x"]
    return H_o


def persistent_count_up(H, persis_info, gen_specs, libE_info):
    """Propose ``user["batch"]`` points at a time until told to stop; `told` in persis_info is what came back."""
    support = PersistentSupport(libE_info, EVAL_GEN_TAG)
    count = gen_specs["user"].get("batch", 4)
    first, told, tag = 0, [], None
    while tag not in (STOP_TAG, PERSIS_STOP):
        tag, _, calc_in = support.send_recv(points(first, count, gen_specs["out"]))
        first += count
        if calc_in is not None and "f" in (calc_in.dtype.names or ()):
            told += [float(f) for f in calc_in["f"]]
    persis_info["told"] = told
    return None, persis_info, FINISHED_PERSISTENT_GEN_TAG


# ---- generators


def count_up_with_ids(H, persis_info, gen_specs):
    """Propose points that are numbered by the generator itself."""
    H_o = points(len(H), gen_specs["user"].get("batch", 4), gen_specs["out"])
    H_o["sim_id"] = np.arange(len(H), len(H) + len(H_o))
    return H_o


def count_up_in_pairs(H, persis_info, gen_specs):
    """Propose points of which two each have the same priority, the first ones the highest."""
    H_o = points(len(H), gen_specs["user"]["batch"], gen_specs["out"])
    H_o["priority"] = -(H_o["x"] // 2)
    return H_o


def count_up_with_all_keys(H, persis_info, gen_specs):
    """Propose points; fail if gen_specs lacks a key."""
    names = "gen_f in persis_in out globus_compute_endpoint threaded user generator initial_batch_size batch_size vocs"
    missing = set(names.split()) - set(gen_specs)
    assert not missing, f"gen_specs lacks {missing}"
    return count_up(H, persis_info, gen_specs)


def persistent_two_batches(H, persis_info, gen_specs, libE_info):
    """Propose two batches of four points, and return when both are back."""
    support = PersistentSupport(libE_info, EVAL_GEN_TAG)
    for first in (0, 4):
        support.send_recv(points(first, 4, gen_specs["out"]))
    return None, persis_info, FINISHED_PERSISTENT_GEN_TAG


def persistent_unfilled_id(H, persis_info, gen_specs, libE_info):
    """Propose one point at a time and never fill in its sim_id."""
    support = PersistentSupport(libE_info, EVAL_GEN_TAG)
    tag = None
    while tag not in (STOP_TAG, PERSIS_STOP):
        tag, _, _ = support.send_recv(np.zeros(1, dtype=gen_specs["out"]))
    return None, persis_info, FINISHED_PERSISTENT_GEN_TAG


def persistent_with_error_between(H, persis_info, gen_specs, libE_info):
    """Fail once the first batch is back."""
    PersistentSupport(libE_info, EVAL_GEN_TAG).send_recv(points(0, 4, gen_specs["out"]))
    raise ValueError("between two batches")


def persistent_with_error_while_running(H, persis_info, gen_specs, libE_info):
    """Fail while points are being evaluated."""
    PersistentSupport(libE_info, EVAL_GEN_TAG).send(points(0, 4, gen_specs["out"]))
    raise ValueError("while others work")


def persistent_that_ignores_the_stop(H, persis_info, gen_specs, libE_info):
    """Take it for granted that results come, as many generators do in their first version."""
    support = PersistentSupport(libE_info, EVAL_GEN_TAG)
    while True:
        _, _, calc_in = support.send_recv(points(0, 4, gen_specs["out"]))
        persis_info["best"] = calc_in["f"].min()


def one_batch_then_none(H, persis_info, gen_specs):
    """Propose points at the first call only."""
    return count_up(H, persis_info, gen_specs) if not len(H) else None


def count_up_slowly(H, persis_info, gen_specs):
    """Take longer than the manager waits between two calls of the allocation function."""
    time.sleep(0.15)
    return count_up(H, persis_info, gen_specs)


# ---- simulators


def double_slowly(H, persis_info, sim_specs):
    """Take longer than the shortest wallclock limits."""
    time.sleep(0.2)
    return double(H, persis_info, sim_specs)


def double_after_a_moment(H, persis_info, sim_specs):
    """Leave time for files to be written in the meantime."""
    time.sleep(0.02)
    return double(H, persis_info, sim_specs)


def double_last_slowly(H, persis_info, sim_specs):
    """Take longer for x = 3."""
    time.sleep(0.2 if H["x"][0] == 3 else 0)
    return double(H, persis_info, sim_specs)


def double_of_dict(point):
    """Return twice x; points are dicts."""
    return {"f": 2 * point["x"]}


def scaled(point):
    """Return x times a constant of the VOCS, the constant, and a constraint."""
    return {"f": point["scale"] * point["x"], "seen": point["scale"], "c": 1.0}


def depth_of_settings(H, persis_info, sim_specs):
    """Return an attribute of an object in `user`."""
    return np.array([(sim_specs["user"]["settings"].depth,)] * len(H), dtype=sim_specs["out"])


def count_missing_keys(H, persis_info, sim_specs):
    """Return how many of the documented keys sim_specs lacks."""
    names = "sim_f in persis_in out globus_compute_endpoint threaded user simulator vocs"
    return np.array([(len(set(names.split()) - set(sim_specs)),)] * len(H), dtype=sim_specs["out"])


def count_calls(H, persis_info, sim_specs):
    """Count this worker's calls in its persis_info."""
    persis_info["calls"] = persis_info.get("calls", 0) + 1
    return double(H, persis_info, sim_specs), persis_info


def return_other_persis_info(H, persis_info, sim_specs):
    """Return a dict that lacks what was there and has something new."""
    return double(H, persis_info, sim_specs), {"new": 7.0}


def return_empty_persis_info(H, persis_info, sim_specs):
    """Return an empty dict as persis_info."""
    return double(H, persis_info, sim_specs), {}


def draw(H, persis_info, sim_specs):
    """Return a number from this worker's random stream."""
    H_o = np.zeros(len(H), dtype=sim_specs["out"])
    H_o["f"] = persis_info["rand_stream"].random(len(H))
    return H_o, persis_info


def name_the_applications(H, persis_info, sim_specs, libE_info):
    """Return 1 if the worker's executor knows the application "python", however one gets at it."""
    known = Executor.executor is libE_info["executor"] and "python" in libE_info["executor"].apps
    return np.array([(float(known),)] * len(H), dtype=sim_specs["out"])


def fail(H):
    """Raise an error."""
    raise ValueError("this simulator never works")


PERSISTENT = (
    persistent_count_up,
    persistent_two_batches,
    persistent_unfilled_id,
    persistent_with_error_between,
    persistent_with_error_while_running,
    persistent_that_ignores_the_stop,
)
