"""The borehole function: flow of water between two aquifers, a standard problem with eight inputs."""

import numpy as np

__all__ = ["borehole"]

# Rows: Tu, Tl, Hu, Hl, r, rw, Kw, L. Columns: smallest and largest value.
bounds = np.array(
    [
        [63070, 115600],
        [63.1, 116],
        [990, 1110],
        [700, 820],
        [0, np.inf],
        [0.05, 0.15],
        [9855, 12045],
        [1120, 1680],
    ]
)


def borehole(H, persis_info, sim_specs, _):
    """Evaluate the borehole function at every ``x`` (eight floats) into ``f``."""
    H_o = np.zeros(len(H["x"]), dtype=sim_specs["out"])
    H_o["f"] = borehole_func(H["x"])
    return H_o, persis_info


def borehole_func(x):
    """Return the flow for inputs within `bounds`.

    Parameters
    ----------
    x : array_like, shape (8,) or (N, 8)
        Tu, Tl, Hu, Hl, r, rw, Kw, L.

    Returns
    -------
    float or array, shape (N,)

    Raises
    ------
    AssertionError
        A value lies outside of its bounds.
    """
    x = np.asarray(x, dtype=float)
    outside = (x < bounds[:, 0]) | (x > bounds[:, 1])
    if np.any(outside):
        index = int(np.argwhere(outside)[0][-1])
        worst = x[outside][0]
        raise AssertionError(f"input {index} of the borehole function is {worst}, outside of {bounds[index].tolist()}")
    Tu, Tl, Hu, Hl, r, rw, Kw, L = x.T
    log_ratio = np.log(r / rw)
    resistance = log_ratio * (1 + 2 * L * Tu / (log_ratio * rw**2 * Kw) + Tu / Tl)
    return 2 * np.pi * Tu * (Hu - Hl) / resistance


def gen_borehole_input(n):
    """Draw `n` random inputs from NumPy's global stream, column by column.

    Returns
    -------
    array, shape (n, 8)
        Uniform within `bounds`, but r is lognormal(7.71, 1.0056) and rw is normal(0.1, 0.0161812). What lies outside of
        the bounds, as one rw in 500 does, is moved to the nearest bound, so that it can be evaluated.
    """
    x = np.zeros((n, 8))
    for column in range(8):
        if column == 4:
            x[:, column] = np.random.lognormal(7.71, 1.0056, n)
        elif column == 5:
            x[:, column] = np.random.normal(0.1, 0.0161812, n)
        else:
            x[:, column] = np.random.uniform(*bounds[column], n)
    return np.clip(x, bounds[:, 0], bounds[:, 1])
