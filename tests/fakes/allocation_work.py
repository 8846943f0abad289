"""User functions for runs of the allocation functions: a small partner of each, and simulators that note orders."""

import time

import numpy as np

from libensemble.message_numbers import EVAL_GEN_TAG, FINISHED_PERSISTENT_GEN_TAG, PERSIS_STOP, STOP_TAG
from libensemble.tests.regression_tests.support import uniform_or_localopt_gen_out
from libensemble.tools.persistent_support import PersistentSupport

STOPS = (STOP_TAG, PERSIS_STOP)
NOTES = [("f", float), ("length", int), ("listed", bool)]


def double_and_note(H, persis_info, sim_specs, libE_info):
    """Return 2 x, how many rows the order had, and whether persis_info is a list; take ``user["pause"]`` seconds."""
    time.sleep(sim_specs["user"].get("pause", 0))
    H_o = np.zeros(len(H), dtype=sim_specs["out"])
    H_o["f"] = 2 * H["x"]
    H_o["length"] = len(libE_info["H_rows"])
    H_o["listed"] = persis_info == [] and isinstance(persis_info, list)
    return H_o


def slower_in_turn(H, persis_info, sim_specs):
    """Return 2 x, the later the larger x is modulo 3."""
    time.sleep(0.01 * (H["x"][0] % 3))
    return double(H, persis_info, sim_specs)


def double(H, persis_info, sim_specs):
    """Return 2 x."""
    H_o = np.zeros(len(H), dtype=sim_specs["out"])
    H_o["f"] = 2 * H["x"]
    return H_o


# ---- generators that are called


def sample(H, persis_info, gen_specs):
    """Return points that go on from the rows of H; x counts, everything else comes from ``user["fields"]``."""
    user = gen_specs["user"]
    time.sleep(user.get("pause", 0))
    H_o = np.zeros(user["batch"], dtype=gen_specs["out"])
    H_o["x"] = np.arange(len(H), len(H) + len(H_o))
    for name, values in user.get("fields", {}).items():
        H_o[name] = values
    persis_info["lengths"] = [*persis_info.get("lengths", []), len(H)]
    return H_o, persis_info


# ---- persistent generators


def _ending(persis_info, **notes):
    persis_info.update(notes)
    return None, persis_info, FINISHED_PERSISTENT_GEN_TAG


def sample_then_follow(H, persis_info, gen_specs, libE_info):
    """Send ``initial_sample_size`` points, and then a local point for each result, ``total`` points in all."""
    support = PersistentSupport(libE_info, EVAL_GEN_TAG)
    user = gen_specs["user"]
    started_with = {"rows": libE_info["H_rows"].tolist(), "nworkers": persis_info.get("nworkers")}
    size, local, made, answers, tag = user["initial_sample_size"], False, 0, [], None
    while made < user["total"]:
        H_o = np.zeros(size, dtype=gen_specs["out"])
        H_o["x"], H_o["local_pt"] = np.arange(made, made + size), local
        made += size
        tag, _, calc_in = support.send_recv(H_o)
        if tag in STOPS:
            break
        answers.append(libE_info["H_rows"].tolist())
        assert calc_in["f"].tolist() == (2 * calc_in["x"]).tolist()
        size, local = len(calc_in), True
    return _ending(persis_info, answers=answers, started_with=started_with)


def differences(H, persis_info, gen_specs, libE_info):
    """Ask for nf points of every (x_ind, f_ind), and a second time for some; end when all groups have come back."""
    support = PersistentSupport(libE_info, EVAL_GEN_TAG)
    user, out = gen_specs["user"], gen_specs["out"]
    again = list(user["again"])
    groups = [(i, j) for i in range(user["n"]) for j in range(user["p"])]
    open_groups, H_o, answers = set(groups), _group_rows(groups, user["nf"], out), []
    while open_groups:
        tag, _, calc_in = support.send_recv(H_o)
        if tag in STOPS:
            break
        came = list(zip(calc_in["x_ind"].tolist(), calc_in["f_ind"].tolist()))
        answers.append(came)
        repeated = [group for group in set(came) if group in again]
        for group in repeated:
            again.remove(group)
        open_groups -= set(came) - set(repeated)
        H_o = _group_rows(repeated, user["nf"], out)
    return _ending(persis_info, answers=answers, left=len(open_groups))


def _group_rows(groups, nf, out):
    H_o = np.zeros(len(groups) * nf, dtype=out)
    for k, (i, j) in enumerate(groups):
        part = slice(k * nf, (k + 1) * nf)
        H_o["x_ind"][part], H_o["f_ind"][part], H_o["x"][part] = i, j, np.arange(nf)
    return H_o


def likelihood_weights(H, persis_info, gen_specs, libE_info):
    """Send batches of sub-batches; each row brings the weight of the row in its place in the batch before."""
    support = PersistentSupport(libE_info, EVAL_GEN_TAG)
    user, stream = gen_specs["user"], np.random.default_rng(3)
    size, parts = user["subbatch_size"], user["num_subbatches"]
    weight, batch, answers, tag = 0, 0, [], None
    while tag not in STOPS:
        H_o = np.zeros(size * parts, dtype=gen_specs["out"])
        H_o["x"] = stream.uniform(-2, 2, (len(H_o), 2))
        H_o["batch"], H_o["subbatch"] = batch, np.repeat(np.arange(parts), size)
        H_o["prior"], H_o["prop"] = stream.standard_normal((2, len(H_o)))
        H_o["weight"] = weight
        tag, _, calc_in = support.send_recv(H_o)
        if calc_in is not None:
            answers.append((libE_info["H_rows"].tolist(), list(calc_in.dtype.names)))
            weight = H_o["prior"] + calc_in["like"] - H_o["prop"]
        batch += 1
    return _ending(persis_info, answers=answers)


LOCAL_OUT = [("x", float, (1,)), ("x_on_cube", float, (1,)), *uniform_or_localopt_gen_out]


def sample_or_descend(H, persis_info, gen_specs, libE_info):
    """Sample [-2, 2] when called; as a persistent generator follow the gradient from the one row of H to a minimum."""
    user = gen_specs["user"]
    if not libE_info.get("persistent"):
        x = persis_info["rand_stream"].uniform(-2, 2, (user["gen_batch_size"], 1))
        return _local_rows(x, gen_specs["out"], is_local=False), persis_info
    support = PersistentSupport(libE_info, EVAL_GEN_TAG)
    x, grad = H["x"][0], H["grad"][0]
    for _ in range(user.get("most_steps", 100)):
        if abs(grad[0]) < user.get("tolerance", 1e-6):
            return [], {"done": True, "x_opt": x}, FINISHED_PERSISTENT_GEN_TAG
        x = x - 0.1 * grad
        tag, _, calc_in = support.send_recv(_local_rows(x[np.newaxis], gen_specs["out"], is_local=True))
        if tag in STOPS:
            return [], {}, FINISHED_PERSISTENT_GEN_TAG
        assert len(calc_in) == 1 and calc_in["x"][0] == x  # one result, of the latest point
        grad = calc_in["grad"][0]
    return [], {"done": True}, FINISHED_PERSISTENT_GEN_TAG


def _local_rows(x, out, is_local):
    H_o = np.zeros(len(x), dtype=out)
    H_o["x"], H_o["x_on_cube"] = x, (x + 2) / 4
    for kind in "ls":
        H_o[f"dist_to_better_{kind}"], H_o[f"ind_of_better_{kind}"] = np.inf, -1
    H_o["dist_to_unit_bounds"] = np.inf
    H_o["local_pt"] = is_local
    H_o["num_active_runs"] = is_local
    return H_o


def double_well(H, persis_info, sim_specs):
    """Return (x^2 - 1)^2 and its gradient."""
    H_o = np.zeros(len(H), dtype=sim_specs["out"])
    x = H["x"][:, 0]
    H_o["f"] = (x**2 - 1) ** 2
    H_o["grad"][:, 0] = 4 * x * (x**2 - 1)
    return H_o


def sum_of_squares(f_i):
    """Combine the components of a point."""
    return np.sum(f_i**2)
