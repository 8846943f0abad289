"""User functions of the small ensembles, importable so that spawned workers find them."""

import numpy as np

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
    """Propose ``user["batch"]`` points at a time until told to stop; ``persis_info["told"]`` collects what came back."""
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


PERSISTENT = (persistent_count_up,)
