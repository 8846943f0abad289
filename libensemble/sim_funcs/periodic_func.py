"""A periodic function of two variables: sin(x0) cos(x1)."""

import numpy as np

__all__ = ["func_wrapper"]


def func_wrapper(H, persis_info, sim_specs, libE_info):
    """Evaluate `periodic_func` at every ``x`` into ``f``."""
    H_o = np.zeros(len(H["x"]), dtype=sim_specs["out"])
    H_o["f"] = periodic_func(H["x"].T)
    return H_o, persis_info


def periodic_func(x):
    """Return sin(x0) cos(x1)."""
    return np.sin(x[0]) * np.cos(x[1])
