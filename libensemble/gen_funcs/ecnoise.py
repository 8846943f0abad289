"""Estimate of the noise in a computed function.

Owns `ecnoise`, the algorithm ECnoise of J. J. Moré and S. M. Wild, Estimating computational noise, SIAM Journal on
Scientific Computing 33 (2011), pages 1292-1314: differences of high order of a smooth function vanish, those of noise
do not.
"""

from typing import NamedTuple

import numpy as np

__all__ = ["NOISE_FOUND", "STEP_TOO_LARGE", "STEP_TOO_SMALL", "NoiseEstimate", "ecnoise"]

NOISE_FOUND = 1
STEP_TOO_SMALL = 2
STEP_TOO_LARGE = 3

LARGEST_RANGE = 0.1  # relative to the largest value; beyond it, the function is not nearly constant at this step
LEVELS_THAT_AGREE = 3
AGREEMENT = 4.0  # levels agree when they lie within this factor


class NoiseEstimate(NamedTuple):
    """What a row of values says of the noise in them.

    Attributes
    ----------
    level : float
        Standard deviation of the noise; 0 unless it was found.
    inform : int
        NOISE_FOUND (1), STEP_TOO_SMALL (2: at least half of the values equal their neighbours) or
        STEP_TOO_LARGE (3).
    """

    level: float
    inform: int


def ecnoise(values):
    """Estimate the noise of a function from its values at equally spaced points.

    Parameters
    ----------
    values : array_like
        At least 4 values; 7 or more are advised.

    Returns
    -------
    NoiseEstimate

    Raises
    ------
    ValueError
        There are fewer than 4 values, with which no noise can be found.
    """
    values = np.asarray(values, dtype=float)
    count = len(values)
    if count < LEVELS_THAT_AGREE + 1:
        raise ValueError(f"noise is estimated from at least {LEVELS_THAT_AGREE + 1} values, not {count}: {values}")
    if not np.isfinite(values).all() or np.ptp(values) > LARGEST_RANGE * np.max(np.abs(values)):
        return NoiseEstimate(0.0, STEP_TOO_LARGE)
    if 2 * np.count_nonzero(np.diff(values) == 0) >= count:
        return NoiseEstimate(0.0, STEP_TOO_SMALL)
    levels, changes_sign = _difference_table(values)
    for first in range(count - LEVELS_THAT_AGREE):
        window = levels[first : first + LEVELS_THAT_AGREE]
        if changes_sign[first] and np.max(window) <= AGREEMENT * np.min(window):
            return NoiseEstimate(float(levels[first]), NOISE_FOUND)
    return NoiseEstimate(0.0, STEP_TOO_LARGE)


def _difference_table(values):
    """Return, for the differences of order 1, 2, ..., the noise level they suggest and whether they change sign."""
    levels, changes_sign = [], []
    differences, gamma = values, 1.0
    for order in range(1, len(values)):
        differences = np.diff(differences)
        gamma *= 0.5 * order / (2 * order - 1)  # (order!)^2 / (2 order)!, the inverse of the variance they gain
        levels.append(np.sqrt(gamma * np.mean(differences**2)))
        changes_sign.append(np.min(differences) < 0 < np.max(differences))
    return np.array(levels), changes_sign
