"""Generator functions that live as long as the run and draw a new sample for every reply.

Random numbers come from ``persis_info["rand_stream"]`` unless a docstring says otherwise. In all but one of these
functions a batch is as large as the last reply: when rows came back, as many new points are sent.
"""

import time

import numpy as np

from libensemble.message_numbers import EVAL_GEN_TAG, FINISHED_PERSISTENT_GEN_TAG, PERSIS_STOP, STOP_TAG
from libensemble.specs.decorators import output_data, persistent_input_fields
from libensemble.tools.persistent_support import PersistentSupport

__all__ = [
    "batched_history_matching",
    "persistent_request_shutdown",
    "persistent_uniform",
    "persistent_uniform_final_update",
    "persistent_uniform_with_cancellations",
    "uniform_nonblocking",
]

STOPS = (STOP_TAG, PERSIS_STOP)
PAUSE_BETWEEN_POLLS = 1e-4  # s; an endless spin would take a core from the simulations


@persistent_input_fields(["sim_id"])
@output_data([("x", float, (2,))])
def persistent_uniform(_, persis_info, gen_specs, libE_info):
    """Draw uniform samples until the manager says stop.

    Each round draws ``uniform(lb, ub, (b, n))``; if ``obj_component`` is an out field, then
    ``integers(low=0, high=user["num_components"], size=b)``.

    Parameters
    ----------
    gen_specs : dict
        ``user``: ``initial_batch_size`` (int), ``lb`` and ``ub`` (arrays of length n).

    Returns
    -------
    (None, dict, FINISHED_PERSISTENT_GEN_TAG)
    """
    size, lb, ub = _checked_options(gen_specs["user"])
    support = PersistentSupport(libE_info, EVAL_GEN_TAG)
    tag = None
    while tag not in STOPS:
        H_o = _uniform_sample(size, lb, ub, persis_info, gen_specs)
        tag, _, calc_in = support.send_recv(H_o)
        size = _reply_size(calc_in, size)
    return None, persis_info, FINISHED_PERSISTENT_GEN_TAG


def persistent_uniform_final_update(_, persis_info, gen_specs, libE_info):
    """Sample the corners of the box, and return at the end the mean value seen at each point's corner.

    Corner i takes ``lb`` in dimension d where bit d of i is set, else ``ub``; corners are drawn from NumPy's global
    stream by ``choice(2**n, b)``. Out fields: ``sim_id`` (numbered here), ``corner_id``, ``x``; fields handed back must
    contain ``corner_id`` and ``f``.

    Returns
    -------
    H_o : structured array
        Fields ``sim_id``, ``corner_id`` and ``f_est`` of every point ever sent. Stored in the history if
        ``libE_specs["use_persis_return_gen"]`` is set; with ``final_gen_send`` the means are complete.
    persis_info : dict
    FINISHED_PERSISTENT_GEN_TAG
    """
    size, lb, ub = _checked_options(gen_specs["user"])
    support = PersistentSupport(libE_info, EVAL_GEN_TAG)
    corners = _corners(lb, ub)
    sums, counts = np.zeros(len(corners)), np.zeros(len(corners), dtype=int)
    sent = []
    tag, next_id = None, 0
    while tag not in STOPS:
        H_o = np.zeros(size, dtype=gen_specs["out"])
        H_o["sim_id"] = np.arange(next_id, next_id + size)
        H_o["corner_id"] = np.random.choice(len(corners), size)
        H_o["x"] = corners[H_o["corner_id"]]
        next_id += size
        sent.append(H_o[["sim_id", "corner_id"]])
        tag, _, calc_in = support.send_recv(H_o)
        if calc_in is not None and len(calc_in):
            np.add.at(sums, calc_in["corner_id"], calc_in["f"])
            np.add.at(counts, calc_in["corner_id"], 1)
        size = _reply_size(calc_in, size)
    return _corner_means(np.concatenate(sent), sums, counts), persis_info, FINISHED_PERSISTENT_GEN_TAG


def _corners(lb, ub):
    bits = (np.arange(2 ** len(lb))[:, np.newaxis] >> np.arange(len(lb))) & 1
    return np.where(bits, lb, ub)


def _corner_means(sent, sums, counts):
    H_o = np.zeros(len(sent), dtype=[("sim_id", int), ("corner_id", int), ("f_est", float)])
    H_o["sim_id"] = sent["sim_id"]
    H_o["corner_id"] = sent["corner_id"]
    H_o["f_est"] = (sums / np.maximum(counts, 1))[sent["corner_id"]]
    return H_o


def persistent_request_shutdown(_, persis_info, gen_specs, libE_info):
    """Draw uniform samples as `persistent_uniform` does, and end by itself when enough came back.

    Parameters
    ----------
    gen_specs : dict
        ``user["shutdown_limit"]``: leave once that many points were returned. A reply without rows counts as the
        size of the batch that it answers.
    """
    size, lb, ub = _checked_options(gen_specs["user"])
    limit = gen_specs["user"]["shutdown_limit"]
    support = PersistentSupport(libE_info, EVAL_GEN_TAG)
    tag, count = None, 0
    while tag not in STOPS:
        H_o = _uniform_sample(size, lb, ub, persis_info, gen_specs)
        tag, _, calc_in = support.send_recv(H_o)
        size = _reply_size(calc_in, size)
        count += size
        print(f"Points returned so far: {count}", flush=True)
        if count >= limit:
            print(f"Reached the limit of {limit} points: this generator ends", flush=True)
            break
    return None, persis_info, FINISHED_PERSISTENT_GEN_TAG


def uniform_nonblocking(_, persis_info, gen_specs, libE_info):
    """Draw uniform samples as `persistent_uniform` does, but look for mail instead of waiting for it.

    ``persis_info["spin_count"]`` is at the end how often the last round looked in vain.
    """
    size, lb, ub = _checked_options(gen_specs["user"])
    support = PersistentSupport(libE_info, EVAL_GEN_TAG)
    tag = None
    while tag not in STOPS:
        support.send(_uniform_sample(size, lb, ub, persis_info, gen_specs))
        spins = 0
        tag, _, calc_in = support.recv(blocking=False)
        while tag is None:
            spins += 1
            time.sleep(PAUSE_BETWEEN_POLLS)
            tag, _, calc_in = support.recv(blocking=False)
        persis_info["spin_count"] = spins
        size = _reply_size(calc_in, size)
    return None, persis_info, FINISHED_PERSISTENT_GEN_TAG


def batched_history_matching(_, persis_info, gen_specs, libE_info):
    """Draw from a Gaussian that is fitted, after each batch, to the best points of that batch.

    Starts with mean 0 and identity covariance. Each round draws ``multivariate_normal(mean, cov, b)`` with constant b;
    then the ``user["num_best_vals"]`` points with the smallest ``f`` give the next mean and covariance.

    Parameters
    ----------
    gen_specs : dict
        ``user``: ``initial_batch_size`` (b), ``lb`` (its length is the number of variables), ``num_best_vals``.
    """
    user = gen_specs["user"]
    size, dimension, best_count = user["initial_batch_size"], len(user["lb"]), user["num_best_vals"]
    support = PersistentSupport(libE_info, EVAL_GEN_TAG)
    mean, covariance = np.zeros(dimension), np.eye(dimension)
    tag = None
    while tag not in STOPS:
        H_o = np.zeros(size, dtype=gen_specs["out"])
        H_o["x"] = persis_info["rand_stream"].multivariate_normal(mean, covariance, size)
        tag, _, calc_in = support.send_recv(H_o)
        if calc_in is not None and len(calc_in):
            points = calc_in["x"] if "x" in calc_in.dtype.names else H_o["x"]
            best = points[np.argsort(calc_in["f"])[:best_count]]
            mean = np.mean(best, axis=0)
            covariance = np.atleast_2d(np.cov(best, rowvar=False))
    return None, persis_info, FINISHED_PERSISTENT_GEN_TAG


def persistent_uniform_with_cancellations(_, persis_info, gen_specs, libE_info):
    """Draw uniform samples as `persistent_uniform` does, and ask for cancellations after every reply.

    A reply of b rows is followed by a request to cancel b consecutive sim_ids, the first of which is half of
    ``user["initial_batch_size"]``; later requests go on from there.
    """
    user = gen_specs["user"]
    size, lb, ub = user["initial_batch_size"], user["lb"], user["ub"]
    support = PersistentSupport(libE_info, EVAL_GEN_TAG)
    tag, next_cancelled = None, size // 2
    while tag not in STOPS:
        H_o = _uniform_sample(size, lb, ub, persis_info, gen_specs)
        tag, _, calc_in = support.send_recv(H_o)
        if tag in STOPS:
            break
        size = _reply_size(calc_in, size)
        support.request_cancel_sim_ids(list(range(next_cancelled, next_cancelled + size)))
        next_cancelled += size
    return None, persis_info, FINISHED_PERSISTENT_GEN_TAG


def _checked_options(user):
    size, lb, ub = user["initial_batch_size"], user["lb"], user["ub"]
    if not isinstance(size, int | np.integer):
        raise AssertionError(f"user['initial_batch_size'] must be an int, not {size!r}")
    for name, bound in (("lb", lb), ("ub", ub)):
        if not isinstance(bound, np.ndarray):
            raise AssertionError(f"user[{name!r}] must be a NumPy array, not {bound!r}")
    return size, lb, ub


def _uniform_sample(size, lb, ub, persis_info, gen_specs):
    H_o = np.zeros(size, dtype=gen_specs["out"])
    H_o["x"] = persis_info["rand_stream"].uniform(lb, ub, (size, len(lb))).reshape(H_o["x"].shape)
    if "obj_component" in H_o.dtype.names:
        components = gen_specs["user"]["num_components"]
        H_o["obj_component"] = persis_info["rand_stream"].integers(low=0, high=components, size=size)
    return H_o


def _reply_size(calc_in, size):
    return len(calc_in) if calc_in is not None and len(calc_in) else size
