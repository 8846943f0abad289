"""The paired Rosenbrock function, whole or one component at a time.

For x of even length, component i is 100 (x_{2i}^2 - x_{2i+1})^2 + (x_{2i} - 1)^2.
"""

import numpy as np

__all__ = ["rosenbrock_eval"]

DEFAULT_CONST = 1000  # what gradients are divided by


def EvaluateFunction(x, component=None):
    """Return the sum of all components at `x`, or the one component that is asked for (an int from 0)."""
    first, second = _pairs(x)
    components = 100 * (first**2 - second) ** 2 + (first - 1) ** 2
    if component is None or np.isnan(component):
        return np.sum(components)
    return components[int(component)]


def EvaluateJacobian(x, component=np.nan, const=DEFAULT_CONST):
    """Return the gradient divided by `const`: of the sum when `component` is NaN, else of this component alone.

    Returns
    -------
    array, shape (len(x),)
        Zero in entries that the component does not depend on.
    """
    first, second = _pairs(x)
    gradient = np.zeros(len(x))
    gradient[0::2] = 400 * first * (first**2 - second) + 2 * (first - 1)
    gradient[1::2] = -200 * (first**2 - second)
    if component is not None and not np.isnan(component):
        others = np.arange(len(x)) // 2 != int(component)
        gradient[others] = 0
    return gradient / const


def _pairs(x):
    x = np.asarray(x, dtype=float)
    if len(x) % 2:
        raise AssertionError(f"the paired Rosenbrock function needs an even number of variables, not {len(x)}")
    return x[0::2], x[1::2]


def rosenbrock_eval(H, persis_info, sim_specs, _):
    """Evaluate the paired Rosenbrock function, or single components of it, at every row.

    Parameters
    ----------
    H : structured array
        Field ``x`` (even length) and, to evaluate components, ``obj_component`` (int).
    persis_info : dict
        ``params["const"]``: what gradients are divided by (default 1000).
    sim_specs : dict
        Gradients are computed when ``grad`` (or ``gradf_i`` with components) is among the out fields.

    Returns
    -------
    H_o : structured array
        Fields ``f`` and ``grad``, or ``f_i`` and ``gradf_i`` with components.
    persis_info : dict
    """
    H_o = np.zeros(len(H["x"]), dtype=sim_specs["out"])
    const = persis_info["params"].get("const", DEFAULT_CONST) if "params" in (persis_info or {}) else DEFAULT_CONST
    by_component = "obj_component" in H.dtype.names
    value, gradient = ("f_i", "gradf_i") if by_component else ("f", "grad")
    for row, x in enumerate(H["x"]):
        component = H["obj_component"][row] if by_component else np.nan
        H_o[value][row] = EvaluateFunction(x, component)
        if gradient in H_o.dtype.names:
            H_o[gradient][row] = EvaluateJacobian(x, component, const)
    return H_o, persis_info
