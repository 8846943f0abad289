"""One generator for sampling and for local optimization: called it samples, persistent it runs NLopt from a point.

The allocation function is `start_persistent_local_opt_gens.start_persistent_local_opt_gens`, which decides where runs
start. Needs the package nlopt, for the runs only.
"""

import logging

import numpy as np

from libensemble.message_numbers import EVAL_GEN_TAG, FINISHED_PERSISTENT_GEN_TAG, PERSIS_STOP, STOP_TAG
from libensemble.tools.persistent_support import PersistentSupport

__all__ = ["uniform_or_localopt"]

logger = logging.getLogger(__name__)

_FAR = ("dist_to_unit_bounds", "dist_to_better_l", "dist_to_better_s")
_NONE_BETTER = ("ind_of_better_l", "ind_of_better_s")
_CONVERGED = (1, 2, 3, 4)  # codes of NLopt: success, or one of its tolerances or the stop value reached


def uniform_or_localopt(H, persis_info, gen_specs, libE_info):
    """Draw a sample or, if persistent, run a local optimization method from the point in `H`.

    A sample is ``gen_batch_size`` points, each drawn by ``uniform(lb, ub, (1, n))`` from
    ``persis_info["rand_stream"]``. A run asks for one point at a time, and does not ask for its starting point again.

    Parameters
    ----------
    H : structured array
        For a run: the one row that it starts from, with the fields ``x``, ``f`` and, for methods that need gradients,
        ``grad``.
    gen_specs : dict
        ``user``: ``lb``, ``ub`` (arrays of length n), ``gen_batch_size``; for runs ``localopt_method`` (an NLopt
        algorithm such as ``"LD_MMA"`` or ``"LN_BOBYQA"``), ``xtol_rel``, ``localopt_maxeval`` (default 100 n) and
        ``dist_to_bound_multiple`` (the first step is this times the distance to the nearest bound; default 1).
        Out fields: ``x``, ``x_on_cube``, and those of the allocation function.

    Returns
    -------
    A sample: (H_o, persis_info). A run: (H_o without rows, updates, FINISHED_PERSISTENT_GEN_TAG), where the updates of
    ``persis_info`` are ``done`` and, if the run has converged, ``x_opt``; none after a stop or an error of NLopt.

    Raises
    ------
    ImportError
        nlopt is not installed, and a run was to start.
    ValueError
        An option is missing, or NLopt has no such method.
    """
    if libE_info.get("persistent"):
        updates = _run(H[0], gen_specs, PersistentSupport(libE_info, EVAL_GEN_TAG))
        return np.zeros(0, dtype=gen_specs["out"]), updates, FINISHED_PERSISTENT_GEN_TAG
    user = gen_specs["user"]
    lb, ub = user["lb"], user["ub"]
    x = [persis_info["rand_stream"].uniform(lb, ub, (1, len(lb))) for _ in range(user["gen_batch_size"])]
    return _rows(np.reshape(x, (-1, len(lb))), gen_specs), persis_info


def _rows(x, gen_specs, **fields):
    """Return rows for these points, with nothing known of better points."""
    lb, ub = gen_specs["user"]["lb"], gen_specs["user"]["ub"]
    H_o = np.zeros(len(x), dtype=gen_specs["out"])
    H_o["x"] = x.reshape(H_o["x"].shape)
    H_o["x_on_cube"] = ((x - lb) / (ub - lb)).reshape(H_o["x_on_cube"].shape)
    for name, value in {**dict.fromkeys(_FAR, np.inf), **dict.fromkeys(_NONE_BETTER, -1), **fields}.items():
        H_o[name] = value
    return H_o


def _run(start, gen_specs, support):
    """Optimize from a row, and return the updates of `persis_info`."""
    nlopt = _nlopt()
    objective = _Objective(start, gen_specs, support, nlopt.ForcedStop)
    method = _method(nlopt, objective.x0, gen_specs["user"])
    method.set_min_objective(objective)
    x_opt = None
    try:
        x_opt = method.optimize(objective.x0.copy())
    except Exception as error:  # NLopt's own, of several types; what was raised here is in `objective.error`
        if objective.error is not None:
            raise objective.error from None
        if not objective.is_stopped:
            logger.warning(f"The local run from {objective.x0} ended with an error of NLopt: {error!r}")
    if x_opt is None or objective.is_stopped:
        return {}
    return {"done": True, "x_opt": x_opt} if method.last_optimize_result() in _CONVERGED else {"done": True}


def _nlopt():
    try:
        import nlopt
    except ImportError as error:
        raise ImportError(
            "local runs of uniform_or_localopt need nlopt: pip install 'libensemble[generators]'", name="nlopt"
        ) from error
    return nlopt


def _method(nlopt, x0, user):
    """Return the optimizer that the options describe."""
    missing = [name for name in ("localopt_method", "xtol_rel") if name not in user]
    if missing:
        raise ValueError(f"local runs of uniform_or_localopt need gen_specs['user'] to have {missing}")
    name, lb, ub = user["localopt_method"], np.asarray(user["lb"], dtype=float), np.asarray(user["ub"], dtype=float)
    if not isinstance(algorithm := getattr(nlopt, name, None), int) or name[:3] not in ("LD_", "LN_"):
        raise ValueError(f"NLopt has no local method {name!r}; examples are 'LD_MMA' and 'LN_BOBYQA'")
    method = nlopt.opt(algorithm, len(x0))
    method.set_lower_bounds(lb)
    method.set_upper_bounds(ub)
    distances = np.concatenate((x0 - lb, ub - x0))
    nearest = np.min(distances[distances > 0])  # a start at a bound can still go the other way
    method.set_initial_step(nearest * user.get("dist_to_bound_multiple", 1))
    method.set_maxeval(user.get("localopt_maxeval", 100 * len(x0)))
    method.set_xtol_rel(user["xtol_rel"])
    return method


class _Objective:
    """What NLopt calls: asks the ensemble for the value at a point.

    Attributes
    ----------
    x0 : array
        Where the run starts; its value is known.
    is_stopped : bool
        The manager has said stop.
    error : BaseException or None
        What was raised here. NLopt would lose it.
    """

    def __init__(self, start, gen_specs, support, abort):
        self.x0 = np.array(start["x"], dtype=float).reshape(-1)
        self.is_stopped, self.error = False, None
        self._known = start
        self._gen_specs, self._support, self._abort = gen_specs, support, abort

    def __call__(self, x, grad):
        try:
            row = self._known if np.array_equal(x, self.x0) else self._evaluated(np.array(x))
            if row is not None and grad.size:
                grad[:] = self._gradient(row)
        except BaseException as error:
            self.error = error
            raise self._abort(str(error)) from error
        if row is None:
            self.is_stopped = True
            raise self._abort("the manager says stop")
        return float(row["f"])

    def _evaluated(self, x):
        """Return the row with the value at `x`, or None when it is time to stop."""
        H_o = _rows(x[np.newaxis], self._gen_specs, local_pt=True, num_active_runs=1)
        tag, _, calc_in = self._support.send_recv(H_o)
        return None if tag in (STOP_TAG, PERSIS_STOP) else calc_in[-1]

    def _gradient(self, row):
        if "grad" not in row.dtype.names:
            method = self._gen_specs["user"]["localopt_method"]
            raise ValueError(f"{method} needs gradients: add 'grad' to gen_specs['persis_in'] and sim_specs['out']")
        return np.reshape(row["grad"], -1)
