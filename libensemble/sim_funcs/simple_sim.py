"""The smallest simulation function: the length of a vector."""

import numpy as np

from libensemble.specs.decorators import input_fields, output_data

__all__ = ["norm_eval"]


@input_fields(["x"])
@output_data([("f", float)])
def norm_eval(H, persis_info, sim_specs, _):
    """Return the Euclidean norm of every ``x`` as ``f``; vectors of any length, or scalars."""
    H_o = np.zeros(len(H["x"]), dtype=sim_specs["out"])
    x = H["x"] if H["x"].ndim > 1 else H["x"][:, np.newaxis]
    H_o["f"] = np.linalg.norm(x, axis=1)
    return H_o, persis_info
