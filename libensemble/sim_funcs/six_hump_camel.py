"""The six-hump camel function, as simulation functions and as a small application.

Owns the formula, its gradient and three ways to evaluate it in an ensemble. Run as a program
(``python six_hump_camel.py -0.99 -0.19``) it prints the value at the point that its two arguments name.
"""

import sys
import time

import numpy as np

from libensemble.message_numbers import EVAL_SIM_TAG, FINISHED_PERSISTENT_SIM_TAG, PERSIS_STOP, STOP_TAG
from libensemble.specs.decorators import input_fields, output_data
from libensemble.tools.persistent_support import PersistentSupport

__all__ = ["persistent_six_hump_camel", "six_hump_camel", "six_hump_camel_simple"]


@input_fields(["x"])
@output_data([("f", float)])
def six_hump_camel(H, persis_info, sim_specs, libE_info):
    """Evaluate the six-hump camel function at every row.

    Parameters
    ----------
    H : structured array
        Field ``x``: float vectors, of which the first two entries count.
    sim_specs : dict
        ``user["pause_time"]``: seconds to sleep after each row. If ``grad`` (2 floats) is among the out fields it is
        filled, too.

    Returns
    -------
    H_o : structured array
        Fields ``f`` and, if declared, ``grad``.
    persis_info : dict
    """
    H_o = _evaluate(H["x"], sim_specs["out"])
    pause = sim_specs.get("user", {}).get("pause_time")
    if pause:
        time.sleep(pause * len(H_o))
    return H_o, persis_info


def _evaluate(x, out):
    H_o = np.zeros(len(x), dtype=out)
    H_o["f"] = six_hump_camel_func(x.T)
    if "grad" in H_o.dtype.names:
        H_o["grad"] = six_hump_camel_grad(x.T).T
    return H_o


@input_fields(["x"])
@output_data([("f", float)])
def six_hump_camel_simple(x, _, sim_specs):
    """Evaluate the six-hump camel function at the first field of `x`, with optional noise.

    Parameters
    ----------
    x : structured array
        Its first field holds the points; their first two entries count.
    sim_specs : dict
        ``user["pause_time"]``: seconds to sleep; ``user["rand"]``: if true, add a standard normal draw of NumPy's
        global stream to each value.

    Returns
    -------
    structured array
        Field ``f``.
    """
    H_o = np.zeros(len(x), dtype=sim_specs["out"])
    user = sim_specs.get("user", {})
    H_o["f"] = six_hump_camel_func(x[x.dtype.names[0]].T)
    if user.get("rand"):
        H_o["f"] += np.random.normal(0, 1, len(x))
    if user.get("pause_time"):
        time.sleep(user["pause_time"])
    return H_o


def persistent_six_hump_camel(H, persis_info, sim_specs, libE_info):
    """Evaluate the six-hump camel function at rows that keep coming, until the manager says stop.

    Parameters
    ----------
    H : structured array
        Field ``x``. If it has no rows, the first ones are awaited.
    sim_specs : dict
        ``user["replace_final_fields"]``: if true, return one row evaluated at (1, 1) at the end, which overwrites the
        last point when ``libE_specs["use_persis_return_sim"]`` is set.

    Returns
    -------
    (structured array or None, dict, FINISHED_PERSISTENT_SIM_TAG)
    """
    support = PersistentSupport(libE_info, EVAL_SIM_TAG)
    tag, Work = None, {}
    if len(H) == 0:
        tag, Work, H = support.recv()
    while tag not in (STOP_TAG, PERSIS_STOP):
        persis_info = Work.get("persis_info") or persis_info
        libE_info = Work.get("libE_info") or libE_info
        H_o, persis_info = six_hump_camel(H, persis_info, sim_specs, libE_info)
        tag, Work, H = support.send_recv(H_o)
    final = None
    if sim_specs.get("user", {}).get("replace_final_fields"):
        final = _evaluate(np.ones((1, 2)), sim_specs["out"])
    return final, persis_info, FINISHED_PERSISTENT_SIM_TAG


def six_hump_camel_func(x):
    """Return f(x1, x2) = (4 - 2.1 x1^2 + x1^4 / 3) x1^2 + x1 x2 + (-4 + 4 x2^2) x2^2.

    Parameters
    ----------
    x : array_like
        Its first two entries count; each may be an array.
    """
    x1, x2 = x[0], x[1]
    return (4 - 2.1 * x1**2 + x1**4 / 3) * x1**2 + x1 * x2 + (-4 + 4 * x2**2) * x2**2


def six_hump_camel_grad(x):
    """Return the two entries of the gradient of `six_hump_camel_func` at `x`."""
    x1, x2 = x[0], x[1]
    return np.array([8 * x1 - 8.4 * x1**3 + 2 * x1**5 + x2, x1 + 16 * x2**3 - 8 * x2])


if __name__ == "__main__":
    print(six_hump_camel_func([float(argument) for argument in sys.argv[1:3]]))
