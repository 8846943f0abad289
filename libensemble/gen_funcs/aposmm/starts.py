"""Where local runs start: the rules of APOSMM.

J. Larson and S. M. Wild, "Asynchronously parallel optimization solver for finding multiple minima", Mathematical
Programming Computation 10 (2018), doi 10.1007/s12532-017-0131-4. The distances that the rules compare are kept by
`points.py`.
"""

from math import exp, lgamma, log, pi, sqrt

import numpy as np

from libensemble.gen_funcs.aposmm.points import cdist

SIGMA = 5.0  # of the paper: how wide the critical radius is


def extract_rk_c(user_specs, n):
    """Return the multiplier of the critical radius: ``user_specs["rk_const"]`` or the paper's, for the unit cube.

    Parameters
    ----------
    user_specs : dict
    n : int
        Dimension of the domain; of any size, for the Gamma function is taken by its logarithm.
    """
    given = user_specs.get("rk_const")
    return default_rk_const(n) if given is None else given


def default_rk_const(n):
    """Return ``(Gamma(1 + n/2) * 5)^(1/n) / sqrt(pi)``."""
    return exp((lgamma(1 + n / 2) + log(SIGMA)) / n) / sqrt(pi)


def calc_rk(n, n_s, rk_const, lhs_divisions=0):
    """Return the critical radius, on the unit cube.

    Parameters
    ----------
    n : int
        Dimension of the domain.
    n_s : int
        How many sample points have been evaluated.
    rk_const : float
        Its multiplier.
    lhs_divisions : int, optional
        Points of each Latin hypercube, where the sample is made of such; 0 (default) where it is uniform.
    """
    if lhs_divisions:
        k = n_s // lhs_divisions
        return np.inf if k <= 1 else rk_const * (log(k) / k) ** (1 / n)
    return 1e8 if n_s <= 1 else rk_const * (log(n_s) / n_s) ** (1 / n)


def decide_where_to_start_localopt(H, n, n_s, rk_const, ld=0, mu=0, nu=0):
    """Return the rows from which local runs should start, best first.

    Parameters
    ----------
    H : structured array
        With the fields of `points.update_history_dist`, brought up to date by it, and `started_run`, `num_active_runs`,
        `local_min`; `paused` is looked at if it is there.
    n, n_s, rk_const, ld
        As in `calc_rk`.
    mu : float, optional
        Least distance of a start to the boundary of the cube.
    nu : float, optional
        Least distance of a start to the minima found before.

    Returns
    -------
    list of int
    """
    r_k = calc_rk(n, n_s, rk_const, ld)
    may_start = (
        H["sim_ended"]
        & np.isfinite(H["f"])
        & (H["dist_to_better_l"] > r_k)  # S1, L1
        & (H["dist_to_better_s"] > r_k)  # S2, L2
        & ~H["started_run"]  # S3, L3
        & (H["dist_to_unit_bounds"] >= mu)  # S4, L4
        & (~H["local_pt"] | ((H["num_active_runs"] == 0) & ~H["local_min"]))  # L6, L7
    )
    if "paused" in H.dtype.names:
        may_start &= ~(H["paused"] & ~H["local_pt"])
    rows = np.flatnonzero(may_start)
    if nu > 0:
        rows = rows[_far_from_minima(H, rows, n, nu)]  # S5, L5
    return rows[np.argsort(H["f"][rows], kind="stable")].tolist()


def _far_from_minima(H, rows, n, nu):
    """Return for each of the rows whether it is at least `nu` from every local minimum."""
    cube = H["x_on_cube"].reshape(len(H), n)
    minima = cube[H["local_min"]]
    return np.all(cdist(cube[rows], minima) >= nu, axis=1)
