"""A borehole model with four parameters to calibrate and a region in which runs fail.

Inputs are standardised: x lies in [0, 1]^2 x {0, 1} (well radius, lower head, label), theta in [0, 1]^4
(Treff, Hu, Ld_Kw, power). Owns the scalings, the model, the truth (theta = 0.5) and the model with failures.
"""

import numpy as np

__all__ = ["borehole"]

FAILURE_RATIO = 1.25  # a run whose value exceeds the truth by this factor counts as failed


def borehole(H, persis_info, sim_specs, libE_info):
    """Evaluate the model at every row; rows beyond the observations may fail with an infinite value.

    Parameters
    ----------
    H : structured array
        Fields ``x`` (3 floats) and ``thetas`` (4 floats).
    sim_specs : dict
        ``user["num_obs"]``: rows with a larger sim_id use the model with failures.

    Returns
    -------
    H_o : structured array
        Field ``f``.
    persis_info : dict
    """
    H_o = np.zeros(len(H["x"]), dtype=sim_specs["out"])
    for row, sim_id in enumerate(libE_info["H_rows"][: len(H_o)]):
        model = borehole_failmodel if sim_id > sim_specs["user"]["num_obs"] else borehole_model
        H_o["f"][row] = model(H["x"][row], H["thetas"][row])[0, 0]
    return H_o, persis_info


def borehole_failmodel(x, theta):
    """Return `borehole_model` with infinity wherever the value exceeds 1.25 times the truth."""
    values = borehole_model(x, theta)
    values[values / borehole_true(x)[:, np.newaxis] > FAILURE_RATIO] = np.inf
    return values


def borehole_model(x, theta):
    """Return the flow for each pair of standardised inputs and parameters.

    Parameters
    ----------
    x : array_like, shape (3,) or (N, 3)
    theta : array_like, shape (4,) or (M, 4)

    Returns
    -------
    array, shape (N, M)
    """
    inputs, parameters = xstd2x(x), tstd2theta(theta)
    flat = borehole_vec(np.repeat(inputs, len(parameters), axis=0), np.tile(parameters, (len(inputs), 1)))
    return flat.reshape(len(inputs), len(parameters))


def borehole_true(x):
    """Return the model at theta = 0.5 for each standardised input, shape (N,)."""
    return borehole_model(x, np.full(4, 0.5))[:, 0]


def borehole_vec(x, theta):
    """Return the flow 2 pi (Hu - Hl) / (2 Ld_Kw / rw^2 + Treff) exp(power rw), row by row.

    Parameters
    ----------
    x : array, shape (N, 3)
        rw, Hl and a label.
    theta : array, shape (N, 4)
        Hu, Ld_Kw, Treff, power.
    """
    rw, Hl = x[:, 0], x[:, 1]
    Hu, Ld_Kw, Treff, power = theta.T
    return 2 * np.pi * (Hu - Hl) / (2 * Ld_Kw / rw**2 + Treff) * np.exp(power * rw)


def xstd2x(xstd):
    """Scale standardised inputs to rw in [0.05, 0.5] (logarithmically) and Hl in [700, 820]; the label stays."""
    xstd = np.atleast_2d(np.asarray(xstd, dtype=float))
    rw = np.exp(xstd[:, 0] * (np.log(0.5) - np.log(0.05)) + np.log(0.05))
    Hl = 700 + 120 * xstd[:, 1]
    return np.column_stack((rw, Hl, xstd[:, 2:]))


def tstd2theta(tstd, hard=True):
    """Scale standardised parameters (Treff, Hu, Ld_Kw, power) and order them Hu, Ld_Kw, Treff, power.

    Parameters
    ----------
    tstd : array_like, shape (4,) or (M, 4)
    hard : bool, default True
        Use the wide range of Ld_Kw, in which runs may fail.
    """
    tstd = np.atleast_2d(np.asarray(tstd, dtype=float))
    lowest, highest = (1120 / 15000, 1680 / 1500) if hard else (1120 / 12045, 1680 / 9855)
    Treff = 0.05 + 0.45 * tstd[:, 0]
    Hu = 990 + 120 * tstd[:, 1]
    Ld_Kw = lowest + (highest - lowest) * tstd[:, 2]
    power = tstd[:, 3] - 0.5
    return np.column_stack((Hu, Ld_Kw, Treff, power))
