"""Three outputs with deterministic noise: the terms of the six-hump camel function, each disturbed at its own scale."""

import numpy as np
from numpy.linalg import norm

__all__ = ["func_wrapper", "noisy_function"]

_FAST = np.array([0.9, 0.8, 0.7])  # weights of the rapidly oscillating part
_SLOW = np.array([0.1, 0.2, 0.3])
_NOISE_LEVELS = np.array([1e-1, 1e-2, 1e-3])


def func_wrapper(H, persis_info, sim_specs, libE_info):
    """Evaluate, for every row, component ``f_ind`` of `noisy_function` at ``x`` into ``f_val``."""
    H_o = np.zeros(len(H["x"]), dtype=sim_specs["out"])
    for row, (x, component) in enumerate(zip(H["x"], H["f_ind"], strict=True)):
        H_o["f_val"][row] = noisy_function(x)[component]
    return H_o, persis_info


def noisy_function(x):
    """Return the three noisy terms at `x` (two entries) as an array."""
    x1, x2 = x[0], x[1]
    terms = np.array([(4 - 2.1 * x1**2 + x1**4 / 3) * x1**2, x1 * x2, (-4 + 4 * x2**2) * x2**2])
    psi = _FAST * np.sin(100 * norm(x, 1)) * np.cos(100 * norm(x, np.inf)) + _SLOW * np.cos(norm(x, 2))
    phi = psi * (4 * psi**2 - 3)
    return (1 + _NOISE_LEVELS * phi) * terms
