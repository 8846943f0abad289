"""The Branin function as a simulation function."""

import time

import numpy as np

from libensemble.sim_funcs.branin.branin import branin
from libensemble.specs.decorators import input_fields, output_data

__all__ = ["call_branin"]


@input_fields(["x"])
@output_data([("f", float)])
def call_branin(H, _, sim_specs):
    """Evaluate the Branin function at every row.

    Parameters
    ----------
    H : structured array
        Field ``x``: vectors of two floats.
    sim_specs : dict
        ``user["uniform_random_pause_ub"]``: after each row sleep this many seconds times a uniform draw from [0, 1).

    Returns
    -------
    structured array
        Field ``f``.
    """
    H_o = np.zeros(len(H["x"]), dtype=sim_specs["out"])
    longest_pause = sim_specs.get("user", {}).get("uniform_random_pause_ub")
    for row, x in enumerate(H["x"]):
        H_o["f"][row] = branin(x[0], x[1])
        if longest_pause:
            time.sleep(longest_pause * np.random.uniform())
    return H_o
