"""APOSMM without an ensemble: a manager that evaluates points in this process."""

import numpy as np

from libensemble.message_numbers import EVAL_GEN_TAG, PERSIS_STOP

VALUE_FIELDS = ("f", "grad", "fvec")


def simulate_recv_from_manager(local_H, gen_specs):
    """Evaluate all points that have not been evaluated, in this process.

    Parameters
    ----------
    local_H : structured array
        The local history; left as it is.
    gen_specs : dict
        ``user["standalone"]``: ``eval_max``, the number of evaluations after which to stop, and either
        ``obj_and_grad_func(x) -> (f, grad)`` or ``obj_func(x) -> f``, to which ``grad_func(x)`` may be added.

    Returns
    -------
    tag : int
        PERSIS_STOP once enough points have been evaluated, else EVAL_GEN_TAG.
    Work : dict
        ``Work["libE_info"]["H_rows"]`` are the rows evaluated.
    results : structured array or None
        Their values, with `sim_id`.
    """
    user = gen_specs["user"]
    options = user["standalone"]
    if np.count_nonzero(local_H["sim_ended"]) >= options["eval_max"]:
        return PERSIS_STOP, {}, None
    rows = np.flatnonzero(~local_H["sim_ended"])
    names = ["sim_id", *(name for name in VALUE_FIELDS if name in local_H.dtype.names)]
    results = np.zeros(len(rows), dtype=[(name, local_H.dtype[name]) for name in names])
    results["sim_id"] = rows
    for result, x in zip(results, local_H["x"][rows]):
        _evaluate(options, x, result)
    return EVAL_GEN_TAG, {"libE_info": {"H_rows": rows, "persistent": True}}, results


def _evaluate(options, x, result):
    if "obj_and_grad_func" in options:
        result["f"], result["grad"] = options["obj_and_grad_func"](x)
        return
    result["f"] = options["obj_func"](x)
    if options.get("grad_func") is not None:
        result["grad"] = options["grad_func"](x)
