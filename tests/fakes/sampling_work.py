"""Simulators that note which resources their points were given, and a camel that does not mind how long x is."""

import numpy as np

from libensemble.sim_funcs.six_hump_camel import six_hump_camel_func
from libensemble.utils.current import current

SHARE = [("f", float), ("n_sets", int), ("procs", int), ("gpus", int)]


def camel_and_share(H, persis_info, sim_specs, libE_info):
    """Return the camel's value, how many resource sets the worker holds, and what the generator had asked for."""
    H_o = np.zeros(len(H), dtype=sim_specs["out"])
    H_o["f"] = six_hump_camel_func(H["x"].T)
    H_o["n_sets"] = len(libE_info["rset_team"])
    H_o["procs"] = libE_info.get("num_procs", -1)
    H_o["gpus"] = libE_info.get("num_gpus", -1)
    share = current.resources.worker_resources
    assert share.num_rsets == len(libE_info["rset_team"]) and share.gen_nprocs == libE_info.get("num_procs")
    return H_o


def camel(H, persis_info, sim_specs):
    """Return the camel's value."""
    H_o = np.zeros(len(H), dtype=sim_specs["out"])
    H_o["f"] = six_hump_camel_func(H["x"].T)
    return H_o
