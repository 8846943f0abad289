"""Large outputs with known values, to check what travels between workers and manager."""

import numpy as np

__all__ = ["float_x1000"]


def float_x1000(H, persis_info, sim_specs, _):
    """Fill ``arr_vals`` with 1000 x0 and set ``scal_val`` to x1 + x1 / 1e7, row by row."""
    H_o = np.zeros(len(H["x"]), dtype=sim_specs["out"])
    for row, x in enumerate(H["x"]):
        H_o["arr_vals"][row] = 1000 * x[0]
        H_o["scal_val"][row] = x[1] + x[1] / 1e7
    return H_o, persis_info
