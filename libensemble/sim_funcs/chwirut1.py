"""NIST's least squares problem Chwirut1: 214 ultrasonic measurements and a model with three parameters.

The data are those of the Statistical Reference Data of the National Institute of Standards and Technology
(https://www.itl.nist.gov/div898/strd/nls/data/chwirut1.shtml, public domain). The certified parameters are
(0.19027818, 0.0061314004, 0.010530908), with a sum of squares of 2384.4771393.
"""

import numpy as np

__all__ = ["chwirut_eval"]

NOBSERVATIONS = 214


def chwirut_eval(H, _, sim_specs):
    """Evaluate residuals at every row.

    Parameters
    ----------
    H : structured array
        Field ``x`` (three floats) and, to evaluate single residuals, ``obj_component`` (int).
    sim_specs : dict
        With components, ``user["component_nan_frequency"]`` is the probability of a NaN (drawn from NumPy's global
        stream). Without, ``user["combine_component_func"]`` makes one value of all residuals; the default is their
        sum of squares.

    Returns
    -------
    structured array
        Field ``f_i`` with components, else ``fvec`` (214 floats, if declared) and ``f``.
    """
    H_o = np.zeros(len(H["x"]), dtype=sim_specs["out"])
    user = sim_specs.get("user", {})
    for row, x in enumerate(H["x"]):
        if "obj_component" in H.dtype.names:
            is_lost = np.random.uniform(0, 1) < user.get("component_nan_frequency", 0)
            H_o["f_i"][row] = np.nan if is_lost else EvaluateFunction(x, H["obj_component"][row])
            continue
        residuals = EvaluateFunction(x)
        if "fvec" in H_o.dtype.names:
            H_o["fvec"][row] = residuals
        combine = user.get("combine_component_func")
        H_o["f"][row] = np.sum(residuals**2) if combine is None else combine(residuals)
    return H_o


def EvaluateFunction(x, component=np.nan):
    """Return all 214 residuals at `x`, or the one asked for (an int from 0)."""
    if component is None or np.isnan(component):
        return func_def(x, slice(None))
    return func_def(x, int(component))


def EvaluateJacobian(x):
    """Return the derivatives of the residuals at `x`, shape (214, 3)."""
    denominator = x[1] + x[2] * t
    model = np.exp(-x[0] * t) / denominator
    return np.column_stack((t * model, model / denominator, t * model / denominator))


def func_def(x, i):
    """Return residual `i` at `x`: y_i - exp(-x0 t_i) / (x1 + x2 t_i)."""
    return y[i] - np.exp(-x[0] * t[i]) / (x[1] + x[2] * t[i])


# fmt: off
# Ultrasonic response
y = np.array([
    92.9, 78.7, 64.2, 64.9, 57.1, 43.3, 31.1, 23.6, 31.05, 23.775, 17.7375, 13.8, 11.5875, 9.4125, 7.725, 7.35,
    8.025, 90.6, 76.9, 71.6, 63.6, 54.0, 39.2, 29.3, 21.4, 29.175, 22.125, 17.5125, 14.25, 9.45, 9.15, 7.9125, 8.475,
    6.1125, 80.0, 79.0, 63.8, 57.2, 53.2, 42.5, 26.8, 20.4, 26.85, 21.0, 16.4625, 12.525, 10.5375, 8.5875, 7.125,
    6.1125, 5.9625, 74.1, 67.3, 60.8, 55.5, 50.3, 41.0, 29.4, 20.4, 29.3625, 21.15, 16.7625, 13.2, 10.875, 8.175,
    7.35, 5.9625, 5.625, 81.5, 62.4, 32.5, 12.41, 13.12, 15.56, 5.63, 78.0, 59.9, 33.2, 13.84, 12.75, 14.62, 3.94,
    76.8, 61.0, 32.9, 13.87, 11.81, 13.31, 5.44, 78.0, 63.5, 33.8, 12.56, 5.63, 12.75, 13.12, 5.44, 76.8, 60.0, 47.8,
    32.0, 22.2, 22.57, 18.82, 13.95, 11.25, 9.0, 6.67, 75.8, 62.0, 48.8, 35.2, 20.0, 20.32, 19.31, 12.75, 10.42,
    7.31, 7.42, 70.5, 59.5, 48.5, 35.8, 21.0, 21.67, 21.0, 15.64, 8.17, 8.55, 10.12, 78.0, 66.0, 62.0, 58.0, 47.7,
    37.8, 20.2, 21.07, 13.87, 9.67, 7.76, 5.44, 4.87, 4.01, 3.75, 24.19, 25.76, 18.07, 11.81, 12.07, 16.12, 70.8,
    54.7, 48.0, 39.8, 29.8, 23.7, 29.62, 23.81, 17.7, 11.55, 12.07, 8.74, 80.7, 61.3, 47.5, 29.0, 24.0, 17.7, 24.56,
    18.67, 16.24, 8.74, 7.87, 8.51, 66.7, 59.2, 40.8, 30.7, 25.7, 16.3, 25.99, 16.95, 13.35, 8.62, 7.2, 6.64, 13.69,
    81.0, 64.5, 35.5, 13.31, 4.87, 12.94, 5.06, 15.19, 14.62, 15.64, 25.5, 25.95, 81.7, 61.6, 29.8, 29.81, 17.17,
    10.39, 28.4, 28.69, 81.3, 60.9, 16.65, 10.05, 28.9, 28.95,
])

# Metal distance
t = np.array([
    0.5, 0.625, 0.75, 0.875, 1.0, 1.25, 1.75, 2.25, 1.75, 2.25, 2.75, 3.25, 3.75, 4.25, 4.75, 5.25, 5.75, 0.5, 0.625,
    0.75, 0.875, 1.0, 1.25, 1.75, 2.25, 1.75, 2.25, 2.75, 3.25, 3.75, 4.25, 4.75, 5.25, 5.75, 0.5, 0.625, 0.75,
    0.875, 1.0, 1.25, 1.75, 2.25, 1.75, 2.25, 2.75, 3.25, 3.75, 4.25, 4.75, 5.25, 5.75, 0.5, 0.625, 0.75, 0.875, 1.0,
    1.25, 1.75, 2.25, 1.75, 2.25, 2.75, 3.25, 3.75, 4.25, 4.75, 5.25, 5.75, 0.5, 0.75, 1.5, 3.0, 3.0, 3.0, 6.0, 0.5,
    0.75, 1.5, 3.0, 3.0, 3.0, 6.0, 0.5, 0.75, 1.5, 3.0, 3.0, 3.0, 6.0, 0.5, 0.75, 1.5, 3.0, 6.0, 3.0, 3.0, 6.0, 0.5,
    0.75, 1.0, 1.5, 2.0, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 0.5, 0.75, 1.0, 1.5, 2.0, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 0.5,
    0.75, 1.0, 1.5, 2.0, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 0.5, 0.625, 0.75, 0.875, 1.0, 1.25, 2.25, 2.25, 2.75, 3.25,
    3.75, 4.25, 4.75, 5.25, 5.75, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 2.0, 2.5, 3.0, 4.0,
    5.0, 6.0, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 2.0, 2.5,
    3.0, 4.0, 5.0, 6.0, 3.0, 0.5, 0.75, 1.5, 3.0, 6.0, 3.0, 6.0, 3.0, 3.0, 3.0, 1.75, 1.75, 0.5, 0.75, 1.75, 1.75,
    2.75, 3.75, 1.75, 1.75, 0.5, 0.75, 2.75, 3.75, 1.75, 1.75,
])
# fmt: on
