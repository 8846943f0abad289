"""APOSMM as a generator object: many local runs that find many minima, through suggest and ingest.

It owns which points are handed out and when results are passed on; `gen_funcs/persistent_aposmm.py`, which runs in a
thread in the background, owns the method.

    sample:  suggest ... until the initial sample is handed out;  ingest ... until all of it is back
    or:      ingest points evaluated before
    then:    suggest, evaluate, ingest, suggest, ...      suggest_updates() names minima as they are found
"""

import contextlib
import math
import warnings
import weakref
from typing import Any

import numpy as np
import numpy.typing as npt

from libensemble.errors import Timeout
from libensemble.gen_funcs.aposmm.optimizers import METHODS
from libensemble.gen_funcs.persistent_aposmm import aposmm
from libensemble.generators import DEFAULT_SEED, PersistentGenInterfacer
from libensemble.message_numbers import EVAL_GEN_TAG, PERSIS_STOP, STOP_TAG
from libensemble.utils.arrays import from_columns, list_dicts_to_np, map_numpy_array

__all__ = ["APOSMM"]

Array = npt.NDArray[np.void]

UPDATE_FIELDS = ["x", "x_on_cube", "sim_id", "local_min", "local_pt"]
PATIENCE = 10.0  # s; how long the background thread may take to end after an error


class APOSMM(PersistentGenInterfacer):
    """Find many local minima with concurrent local optimization runs.

    Parameters
    ----------
    vocs : gest_api.vocs.VOCS
        Each variable twice: the real one, and one for its place on the unit cube (the domain of which is not used).
        One objective, which is minimized. Constraints and constants are ignored, with a warning.
    max_active_runs : int
        How many local runs are advanced at the same time.
    initial_sample_size : int
        How many points are evaluated before local runs start.
    History : structured array or list of dict, optional
        Evaluations from before; they count towards the initial sample.
    sample_points : array of float, shape (k, n), optional
        In original units: used in their order before random ones.
    localopt_method : str, default "scipy_Nelder-Mead"
        See `libensemble.gen_funcs.persistent_aposmm.aposmm`.
    rk_const : float, optional
        Multiplier of the critical radius; default half of the paper's value for n variables.
    xtol_abs, ftol_abs : float, default 1e-6
        Tolerances of NLopt methods; the SciPy methods have theirs in ``scipy_kwargs``.
    opt_return_codes : list of int, default [0]
        For the SciPy methods: the statuses that mean "converged".
    mu, nu : float, default 1e-8
        Least distance of starts, on the unit cube, to the boundary and to minima that are known.
    dist_to_bound_multiple : float, default 0.5
        First step of NLopt and TAO methods, as a part of the distance to the nearest bound.
    random_seed : int, default 1
        Of the sample.
    variables_mapping : dict
        Must have ``x_on_cube``, and may have ``x`` and ``f``:
        ``{"x": ["a", "b"], "x_on_cube": ["a_on_cube", "b_on_cube"], "f": ["energy"]}``. ``grad`` and ``fvec`` name
        what gradient and least-squares methods need.
    **kwargs
        Further options of `aposmm`, such as ``run_max_eval``, ``scipy_kwargs``, ``components``.

    Raises
    ------
    ValueError
        ``x`` or ``x_on_cube`` is missing or empty, or their lengths differ; or the objective is to be maximized.
    """

    returns_id = True
    threaded = True

    def __init__(
        self,
        vocs: Any,
        max_active_runs: int,
        initial_sample_size: int,
        History: Any = None,
        sample_points: npt.ArrayLike | None = None,
        localopt_method: str = "scipy_Nelder-Mead",
        rk_const: float | None = None,
        xtol_abs: float = 1e-6,
        ftol_abs: float = 1e-6,
        opt_return_codes: list[int] | None = None,
        mu: float = 1e-8,
        nu: float = 1e-8,
        dist_to_bound_multiple: float = 0.5,
        random_seed: int = 1,
        **kwargs: Any,
    ) -> None:
        options: dict[str, Any] = {
            "max_active_runs": max_active_runs,
            "initial_sample_size": initial_sample_size,
            "localopt_method": localopt_method,
            "rk_const": rk_const or None,
            "xtol_abs": xtol_abs,
            "ftol_abs": ftol_abs,
            "opt_return_codes": [0] if opt_return_codes is None else opt_return_codes,
            "mu": mu,
            "nu": nu,
            "dist_to_bound_multiple": dist_to_bound_multiple,
        }
        if sample_points is not None:
            options["sample_points"] = np.array(sample_points, dtype=float)
        given = dict(kwargs.pop("gen_specs", None) or {})
        persis_info = dict(kwargs.pop("persis_info", None) or {})
        # Seed 1 is the stream that generators have where nothing is said.
        persis_info.setdefault("rand_stream", np.random.default_rng(DEFAULT_SEED - 1 + random_seed))
        persis_info["nworkers"] = max_active_runs  # of so many points is the first round after the sample
        super().__init__(vocs, History, persis_info, {"gen_f": aposmm, **given}, **options, **kwargs)
        self._complete_gen_specs()
        self._prepare_exchange()

    def _validate_vocs(self, vocs: Any) -> None:
        for kind in ("constraints", "constants"):
            if getattr(vocs, kind, None):
                warnings.warn(f"APOSMM ignores the {kind} of the VOCS: {list(getattr(vocs, kind))}", stacklevel=4)
        wrong = [name for name, objective in vocs.objectives.items() if type(objective).__name__ == "MaximizeObjective"]
        if wrong:
            raise ValueError(f"APOSMM minimizes: let the simulation return the negative of {wrong}")

    def _complete_gen_specs(self) -> None:
        lengths = {field: len(self.variables_mapping.get(field) or ()) for field in ("x", "x_on_cube")}
        n = lengths["x"]
        if not n or lengths["x_on_cube"] != n:
            raise ValueError(
                "variables_mapping must name as many variables for 'x_on_cube' as for 'x', and at least one; it is "
                f"{self.variables_mapping}"
            )
        user = self.gen_specs["user"]
        domains = [self.vocs.variables[name].domain for name in self.variables_mapping["x"]]
        user.setdefault("lb", np.array([low for low, _ in domains], dtype=float))
        user.setdefault("ub", np.array([high for _, high in domains], dtype=float))
        if user["rk_const"] is None:
            user["rk_const"] = 0.5 * (math.exp((math.lgamma(1 + n / 2) + math.log(5)) / n) / math.sqrt(math.pi))
        vectors: list[Any] = [("x", float, (n,)), ("x_on_cube", float, (n,))]
        self.gen_specs.setdefault("out", [*vectors, ("sim_id", int), ("local_min", bool), ("local_pt", bool)])
        persis_in = ["sim_id", "x", "x_on_cube", "f", "sim_ended"]
        method = METHODS.get(user["localopt_method"])
        if user.get("components"):
            persis_in.append("fvec")
        if "grad" in self.variables_mapping or (method is not None and method.needs == "grad"):
            persis_in.append("grad")
        self.gen_specs.setdefault("persis_in", persis_in)

    # ---- Which points are out

    def _prepare_exchange(self) -> None:
        self._sample_size = int(self.gen_specs["user"]["initial_sample_size"])
        self._offer: list[Array] = []  # fetched, and not yet handed out
        self._updates: list[Array] = []
        self._known = 0  # points that have an id
        self._given: list[Array] = []  # evaluated before the background thread was started
        self._held_back: list[Array] = []  # results of the sample, until all are there
        self._sample_awaited = 0  # points of the sample that are not back
        self._answers_due = 0  # sets of points that the background thread will send
        self._owes_note = False

    def setup(self) -> None:
        """Make the background thread; points ingested so far count as the sample, or as a part of it."""
        before = [*self._history_given(), *self._given]
        rows = sum(len(points) for points in before)
        if rows:
            self.History = _joined(before)
            self.gen_specs["user"]["initial_sample_size"] = max(0, self._sample_size - rows)
        self._known = rows
        super().setup()
        self._answers_due = 1
        self._sample_awaited = self.gen_specs["user"]["initial_sample_size"]
        weakref.finalize(self, self._running_gen_f.send, PERSIS_STOP, None)  # an object that nobody finalizes

    def _history_given(self) -> list[Array]:
        if self.History is None or not len(self.History):
            return []
        if isinstance(self.History, list):
            return [list_dicts_to_np(self.History, mapping=self.variables_mapping)]
        return [map_numpy_array(self.History, self.variables_mapping)]

    # ---- Suggest

    def suggest_numpy(self, num_points: int | None = 0) -> Array:
        """Return up to `num_points` of the points that wait to be evaluated; 0 or None means all of them.

        When none is left, the next ones come from the background thread, which answers to what was ingested.

        Raises
        ------
        RuntimeError
            None is left, and results must be ingested first. If all points were asked for, the generator is then
            finalized.
        """
        if not self._offer:
            self._fetch(num_points)
        points = self._offer.pop(0)
        if num_points and num_points < len(points):
            self._offer.insert(0, points[num_points:])
            points = points[:num_points]
        return points

    def _fetch(self, num_points: int | None) -> None:
        if self.gen_result is None:
            self._start()
        while not self._offer:
            message = self.next_message() if self._answers_due else None
            if message is None:
                self._refuse(num_points)
            elif len(message[0]):
                self._offer.append(message[0])

    def _refuse(self, num_points: int | None) -> None:
        if self.gen_result is not None:
            raise RuntimeError("this generator has ended: there are no more points; see export()")
        awaited = f"{self._sample_awaited} points of the initial sample" if self._sample_awaited else "results"
        if not num_points:
            self.finalize()
        raise RuntimeError(f"all points have been handed out, and {awaited} must be ingested before there are more")

    def next_message(self) -> tuple[Array, bool] | None:
        """Return the next new points; rows that are known already become updates. See the base class."""
        if self._owes_note:  # a part of the sample came: the manager is to go on giving the rest
            self._owes_note = False
            return np.zeros(0, dtype=self.gen_specs["out"]), False
        message = super().next_message()
        if message is None:
            return None
        self._answers_due -= 1
        rows, keep_state = message
        is_new = rows["sim_id"] >= self._known
        self._known += int(np.count_nonzero(is_new))
        minima = rows[~is_new & rows["local_min"]]
        if len(minima):
            self._updates.append(from_columns({name: minima[name] for name in UPDATE_FIELDS}, len(minima)))
        return rows[is_new], keep_state

    def wait_for_message(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds; return whether `next_message` would return at once."""
        return self._owes_note or super().wait_for_message(timeout)

    def suggest_updates(self) -> list[Array]:
        """Return the points ruled minima since the last call: arrays with the fields `UPDATE_FIELDS`."""
        updates, self._updates = self._updates, []
        return updates

    # ---- Ingest

    def ingest_numpy(self, results: Array | None, tag: int = EVAL_GEN_TAG) -> None:
        """Take results of points that were suggested, in any portions; or, before the first suggest, any points.

        Raises
        ------
        ValueError
            A point has an ``_id`` that this generator never gave, or none.
        """
        if tag in (STOP_TAG, PERSIS_STOP):
            self._end_with(results, tag)
        elif results is None or not len(results):
            self._owes_note = self._running_gen_f is not None and not self._answers_due
        elif self._running_gen_f is None:
            self._given.append(_without_ids(results))
            if self._history_length() >= self._sample_size:
                self._start()
        else:
            self._pass_on(self._checked(results))

    def _history_length(self) -> int:
        return sum(len(points) for points in [*self._history_given(), *self._given])

    def _pass_on(self, results: Array) -> None:
        if not self._sample_awaited:
            self._send(results)
            return
        self._held_back.append(results)
        self._sample_awaited -= len(results)
        if self._sample_awaited > 0:
            self._owes_note = True
            return
        self._sample_awaited = 0
        held_back, self._held_back = _joined(self._held_back), []
        self._send(held_back)

    def _send(self, results: Array) -> None:
        self._owes_note = False
        super().ingest_numpy(results)
        self._answers_due += 1

    def _end_with(self, results: Array | None, tag: int) -> None:
        held_back, self._held_back = self._held_back, []
        last = held_back if results is None or not len(results) else [*held_back, self._checked(results)]
        super().ingest_numpy(_joined(last) if last else None, tag)

    def _checked(self, results: Array) -> Array:
        if "sim_id" not in (results.dtype.names or ()):
            raise ValueError(
                "points without '_id' can be ingested before the first suggest only: they belong to no local run"
            )
        wrong = [int(number) for number in results["sim_id"] if not 0 <= number < self._known]
        if wrong:
            raise ValueError(f"this generator made no points with the _id {wrong[:5]}; its ids are below {self._known}")
        return results

    # ---- Its end

    def finalize(self) -> tuple[Any, Any, Any]:  # type: ignore[override]
        """Stop all local runs and keep the local history for `export`; may be called again.

        Raises
        ------
        RuntimeError
            Nothing was suggested, nor enough ingested, before.
        """
        return super().finalize()

    def terminate(self) -> None:
        """Give the background thread up, after an error."""
        if self._running_gen_f is not None and self.gen_result is None:
            self._running_gen_f.send(PERSIS_STOP, None)
            with contextlib.suppress(Timeout):
                self._running_gen_f.terminate(PATIENCE)


def _without_ids(points: Array) -> Array:
    """Return points as they are, but for ids that others gave them."""
    names = points.dtype.names or ()
    return from_columns({name: points[name] for name in names if name != "sim_id"}, len(points))


def _joined(parts: list[Array]) -> Array:
    """Return all parts as one array, with the fields of the first and, where they are missing, sim_id and sim_ended."""
    names = [name for name in parts[0].dtype.names or () if all(name in (part.dtype.names or ()) for part in parts)]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in names}
    length = sum(len(part) for part in parts)
    columns.setdefault("sim_id", np.arange(length))
    columns.setdefault("sim_ended", np.ones(length, dtype=bool))
    return from_columns(columns, length)
