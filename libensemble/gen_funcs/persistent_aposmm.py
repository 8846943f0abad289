"""APOSMM: many local optimization runs, advanced at the same time, that find many minima.

J. Larson and S. M. Wild, "Asynchronously parallel optimization solver for finding multiple minima", Mathematical
Programming Computation 10 (2018), doi 10.1007/s12532-017-0131-4; and, by the same, "A batch, derivative-free algorithm
for finding multiple local minima", Optimization and Engineering 17 (2016), doi 10.1007/s11081-015-9289-7.

It owns the conversation with the manager and the order of things:

    results ---> local history ---> runs go on or end ---> new runs at the best starts ---> more sample points ---> send

Its parts are in `aposmm/`: the local history, distances, the rules for starts, runs, optimizers.
"""

import numpy as np

from libensemble.gen_funcs.aposmm.local_history import LocalHistory
from libensemble.gen_funcs.aposmm.optimizers import METHODS
from libensemble.gen_funcs.aposmm.points import cdist, update_history_dist
from libensemble.gen_funcs.aposmm.runs import Runs, update_history_optimal
from libensemble.gen_funcs.aposmm.standalone import simulate_recv_from_manager
from libensemble.gen_funcs.aposmm.starts import calc_rk, decide_where_to_start_localopt, extract_rk_c
from libensemble.message_numbers import EVAL_GEN_TAG, FINISHED_PERSISTENT_GEN_TAG, PERSIS_STOP, STOP_TAG
from libensemble.tools.persistent_support import PersistentSupport

__all__ = ["aposmm", "decide_where_to_start_localopt", "initialize_APOSMM", "update_history_dist"]

# Scripts import these from here, too.
_ALSO_HERE = (calc_rk, cdist, extract_rk_c, update_history_optimal)

STOPS = (STOP_TAG, PERSIS_STOP)
DEFAULT_MU = 1e-4
NEEDS_GRAD_IN_H0 = ("LD_MMA", "blmvm")


def aposmm(H, persis_info, gen_specs, libE_info):
    """Find many local minima with concurrent local optimization runs.

    Parameters
    ----------
    H : structured array
        Evaluated points to start from, or nothing.
    persis_info : dict
        ``rand_stream``; ``nworkers``, the number of workers, which says how many points the first round has.
    gen_specs : dict
        ``out`` lists at least x (n), x_on_cube (n), sim_id, local_min, local_pt; ``persis_in`` at least f, x_on_cube,
        sim_id, and grad or fvec where the method needs it. Keys of ``user`` (n is the number of variables):

        - ``lb``, ``ub``: array of float, shape (n,). The domain.
        - ``localopt_method``: str. One of `aposmm.optimizers.METHODS`.
        - ``initial_sample_size``: int. Points to evaluate before runs start. 0 only with evaluated points in
          `H`.
        - ``max_active_runs``: int, default unlimited.
        - ``sample_points``: array of float, shape (k, n), optional. Used in their order for every sample,
          before random ones.
        - ``components``: int, optional. Length of `fvec`, for least squares and other composite problems.
        - ``mu``, ``nu``: float, default 1e-4 and 0. Least distance of starts, on the unit cube, to the boundary
          and to minima that are known.
        - ``rk_const``: float, optional. Multiplier of the critical radius; default ``(Gamma(1 + n/2) 5)^(1/n) /
          sqrt(pi)``.
        - ``lhs_divisions``: int, default 0. If `sample_points` are Latin hypercubes, how many points each has.
        - ``stop_after_k_minima``, ``stop_after_k_runs``: int, default unlimited.
        - ``dist_to_bound_multiple``: float, default 1. First step of NLopt and TAO methods, as a part of the
          distance to the nearest bound.
        - ``run_max_eval``: int, optional. Evaluations of one run; default 1000 n for NLopt and TAO, 100 (n + 1)
          for IBCDFO, none for SciPy.
        - ``xtol_rel``, ``xtol_abs``, ``ftol_rel``, ``ftol_abs``: float, optional. Tolerances of NLopt.
        - ``grtol``, ``gatol``: float, default 1e-8. Tolerances of TAO.
        - ``opt_return_codes``: list of int. For SciPy (there required): which values of ``status`` mean
          "converged".
        - ``scipy_kwargs``, ``dfols_kwargs``: dict, optional. Further keywords of ``scipy.optimize.minimize``
          and ``dfols.solve``.
        - ``hfun``, ``combinemodels``: callable, optional. Outer function, and how models are combined, for
          IBCDFO.
        - ``periodic``: bool, default False. The domain is a torus.
        - ``print``: bool, default False. Print each minimum found.
        - ``generate_sample_points``: bool, default True. With False, evaluated points are received first, until
          there are `initial_sample_size` of them.
        - ``standalone``: dict, optional. Run without an ensemble; see
          `aposmm.standalone.simulate_recv_from_manager`.

    Returns
    -------
    H : structured array
        The local history: all points, with `local_min`, `local_pt`, `started_run`, distances and so on.
    persis_info : dict
        ``run_order``: run number -> rows of its points, start first; ``run_endings``: of each run that has ended,
        whether it converged, why it ended, and the row of its result.
    FINISHED_PERSISTENT_GEN_TAG

    Raises
    ------
    NotImplementedError
        The method is unknown.
    APOSMMException
        A local run failed; the message ends with the traceback of the run.
    """
    _check(gen_specs)
    solver = _Aposmm(H, persis_info, gen_specs, libE_info)
    with solver.runs:
        solver.run()
    persis_info["run_order"] = solver.runs.run_order
    persis_info["run_endings"] = solver.runs.endings
    return solver.history.H.copy(), persis_info, FINISHED_PERSISTENT_GEN_TAG


def initialize_APOSMM(H, user_specs, libE_info):
    """Return what the rules for starts need.

    Parameters
    ----------
    H : structured array
        Evaluated points (`sim_id`, `x`, `x_on_cube`, `f`, `local_pt`, `sim_ended`), or nothing.
    user_specs : dict
        ``gen_specs["user"]`` of `aposmm`; only `lb` and `ub` must be there.
    libE_info : dict

    Returns
    -------
    n, n_s : int
        Dimension, and the number of sample points evaluated.
    rk_const : float
    ld : int
        ``lhs_divisions``.
    mu, nu : float
    comm : object or None
        ``libE_info["comm"]``.
    local_H : structured array
        The local history.
    """
    history = LocalHistory(user_specs, _rows_or_none(H))
    return (
        history.n,
        history.count_samples(),
        extract_rk_c(user_specs, history.n),
        user_specs.get("lhs_divisions", 0),
        user_specs.get("mu", DEFAULT_MU),
        user_specs.get("nu", 0),
        libE_info.get("comm"),
        history.H,
    )


class _Aposmm:
    """One life of `aposmm`: what it knows, and the steps of a round."""

    def __init__(self, H, persis_info, gen_specs, libE_info):
        user = gen_specs["user"]
        self.user, self.gen_specs = user, gen_specs
        self.stream = persis_info.get("rand_stream")
        self.nworkers = persis_info.get("nworkers", 1)
        self.manager = _Evaluator(self, gen_specs) if user.get("standalone") else _Manager(gen_specs, libE_info)
        self.history = LocalHistory(user, _rows_or_none(H))
        _check_start(self.history, H, user)
        self.runs = Runs(user, self.history)
        self.max_runs = user.get("max_active_runs", np.inf)
        self.rules = {
            "rk_const": extract_rk_c(user, self.history.n),
            "ld": user.get("lhs_divisions", 0),
            "mu": user.get("mu", DEFAULT_MU),
            "nu": user.get("nu", 0),
        }
        self.samples_ended = self.history.count_samples()

    def run(self):
        """Go round until told to stop, or enough has been found."""
        update_history_dist(self.history.H, self.history.n)
        if not self._first_sample():
            return
        new, changed = self._start_runs()
        new += self._sample(self.nworkers - 1 - len(new))
        while True:
            self.manager.send(self.history.points([*new, *changed]))
            rows = self._receive()
            if rows is None or self._has_found_enough():
                return
            new, changed = self.runs.advance(rows)
            started, changed_too = self._start_runs()
            new += started
            new += self._sample(len(rows) - len(new))
            changed = sorted({*changed, *changed_too} - set(new))

    def _first_sample(self):
        """Have the initial sample evaluated; return whether to go on."""
        size = self.user["initial_sample_size"]
        if not self.user.get("generate_sample_points", True):
            return self._receive_sample(size)
        if size > 0:
            self.manager.send(self.history.points(self.history.add_sample(size, self.stream)))
            return self._receive() is not None
        return True

    def _receive_sample(self, size):
        """Take points that somebody else chose and evaluated, until there are enough of them."""
        count = 0
        while count < size:
            tag, _, points = self.manager.receive()
            if tag in STOPS:
                return False
            self._note_ended(self.history.add_evaluated(points))
            count += len(points)
        return True

    def _receive(self):
        """Store the next results; return their rows, or None when it is time to stop."""
        tag, rows, results = self.manager.receive()
        ended = [] if results is None else self.history.store(rows, results)
        self._note_ended(ended)
        return None if tag in STOPS else ended

    def _note_ended(self, rows):
        H = self.history.H
        self.samples_ended += int(np.count_nonzero(~H["local_pt"][rows]))
        update_history_dist(H, self.history.n, rows)

    def _has_found_enough(self):
        if len(self.runs.endings) >= self.user.get("stop_after_k_runs", np.inf):
            return True
        wanted = self.user.get("stop_after_k_minima", np.inf)
        return np.isfinite(wanted) and np.count_nonzero(self.history.H["local_min"]) >= wanted

    def _start_runs(self):
        """Start runs at the best candidates; return (new rows, changed rows)."""
        new, changed = [], []
        if len(self.runs.active) >= self.max_runs or not self.samples_ended:
            return new, changed
        H = self.history.H
        for row in decide_where_to_start_localopt(H, self.history.n, self.samples_ended, **self.rules):
            if len(self.runs.active) >= self.max_runs:
                break
            asked, ended = self.runs.start(row)
            new += asked
            changed += ended
        return new, changed

    def _sample(self, count):
        """Add so many sample points; one if there is nothing else to wait for."""
        if count < 1 and not self.history.count_open():
            count = 1
        return self.history.add_sample(count, self.stream) if count > 0 else []


class _Manager:
    """The manager of an ensemble."""

    def __init__(self, gen_specs, libE_info):
        self.support = PersistentSupport(libE_info, EVAL_GEN_TAG)
        self.out = [field[0] for field in gen_specs["out"]]
        self.dtype = np.dtype(list(gen_specs["out"]))

    def send(self, points):
        output = np.zeros(len(points), dtype=self.dtype)
        for name in self.out:
            if name in points.dtype.names:
                output[name] = points[name].reshape(output[name].shape)
        self.support.send(output)

    def receive(self):
        tag, Work, results = self.support.recv()
        if results is None:
            return tag, [], None
        return tag, results["sim_id"] if "sim_id" in results.dtype.names else Work["libE_info"]["H_rows"], results


class _Evaluator:
    """No manager: points are evaluated here."""

    def __init__(self, solver, gen_specs):
        self.solver, self.gen_specs = solver, gen_specs

    def send(self, points):
        """All open points are found in the local history."""

    def receive(self):
        tag, Work, results = simulate_recv_from_manager(self.solver.history.H, self.gen_specs)
        return tag, Work["libE_info"]["H_rows"] if Work else [], results


def _rows_or_none(H):
    return H if H is not None and len(H) and getattr(H, "dtype", np.dtype(float)).names else None


def _check(gen_specs):
    user = gen_specs["user"]
    method = user.get("localopt_method")
    if method not in METHODS:
        raise NotImplementedError(f"localopt_method {method!r} is unknown; there are {list(METHODS)}")
    for name in ("lb", "ub", "initial_sample_size"):
        if name not in user:
            raise KeyError(f"gen_specs['user'] of APOSMM needs {name!r}; it has {sorted(user)}")
    if method.startswith("scipy_") and user.get("opt_return_codes") is None:
        raise KeyError(f"{method} needs gen_specs['user']['opt_return_codes'], the statuses that mean 'converged': [0]")
    needs = METHODS[method].needs
    if needs == "fvec":
        assert user.get("components"), f"{method} needs gen_specs['user']['components'], the length of fvec"
    if method == "pounders" and "dist_to_bound_multiple" not in user:
        raise KeyError("pounders needs gen_specs['user']['dist_to_bound_multiple']")
    if not user.get("standalone"):
        back = gen_specs.get("persis_in") or []
        for name in ("f", needs):
            assert name in back, f"{method} needs {name!r} in gen_specs['persis_in'], which is {list(back)}"


def _check_start(history, H, user):
    if user["initial_sample_size"] == 0:
        assert history.count_samples() or np.any(history.H["sim_ended"]), (
            "initial_sample_size is 0, and there are no evaluated points to start from: give H0, or sample"
        )
    method = user["localopt_method"]
    if len(history) and method in NEEDS_GRAD_IN_H0:
        assert "grad" in H.dtype.names and np.any(H["grad"]), f"{method} needs 'grad' in the starting history"
