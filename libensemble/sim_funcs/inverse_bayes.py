"""A likelihood for the inverse Bayes example: the six-hump camel function."""

import numpy as np

from libensemble.sim_funcs.six_hump_camel import six_hump_camel_func

__all__ = ["likelihood_calculator"]


def likelihood_calculator(H, persis_info, sim_specs, _):
    """Evaluate the six-hump camel function at every ``x`` into ``like``; the status is ``"custom_status"``."""
    H_o = np.zeros(len(H["x"]), dtype=sim_specs["out"])
    H_o["like"] = six_hump_camel_func(H["x"].T)
    return H_o, persis_info, "custom_status"
