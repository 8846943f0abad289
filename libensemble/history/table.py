"""History: all rows of an ensemble, in one growing structured array.

It owns the array `H`, the live views of its columns, and the `Agenda` that follows each row's state. Who may call
the five acts (`add`, `start`, `finish`, `inform`, `cut`) is the manager's ledger alone.
"""

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from libensemble.errors import HistoryError
from libensemble.history.agenda import Agenda
from libensemble.history.fields import blank, merge_fields, protected_libE_fields
from libensemble.logger import MANAGER_WARNING

logger = logging.getLogger(__name__)

_PROTECTED = frozenset(protected_libE_fields)
_FIRST_LENGTH = 100  # rows made room for when `sim_max` does not say how many


class History:
    """All rows of an ensemble.

    Parameters
    ----------
    alloc_specs, sim_specs, gen_specs : dict
        Their ``"out"`` lists (which may be missing) declare the user fields.
    exit_criteria : dict
        `sim_max`, if given, is the number of rows made room for at first.
    H0 : structured array, optional
        Rows to begin with. Its field types win over those declared.

    Attributes
    ----------
    H : structured array
        All rows, including room for those to come; see `trim_H`.
    index : int
        How many rows are in use.
    columns : dict of str to array
        Live views of the columns of `H`.
    agenda : Agenda
    sim_started_count, sim_ended_count, gen_informed_count : int
    sim_started_offset, sim_ended_offset, gen_informed_offset : int
        The same counts for H0 alone.
    """

    def __init__(
        self,
        alloc_specs: Mapping[str, Any],
        sim_specs: Mapping[str, Any],
        gen_specs: Mapping[str, Any],
        exit_criteria: Mapping[str, Any],
        H0: npt.NDArray[np.void] | Sequence[Any] | None = None,
    ) -> None:
        start = _completed(H0) if H0 is not None and len(H0) else None
        declared = [specs.get("out") or [] for specs in (gen_specs, sim_specs, alloc_specs)]
        dtype = merge_fields(start.dtype if start is not None else None, *declared)
        self.using_H0 = start is not None
        self.safe_mode = False
        self.grow_count = 0
        self.index = len(start) if start is not None else 0
        room = exit_criteria.get("sim_max")
        self.H = blank(self.index + (_FIRST_LENGTH if room is None else int(room)), dtype)
        self.columns: dict[str, npt.NDArray[Any]] = {name: self.H[name] for name in dtype.names or ()}
        if start is not None:
            for name in start.dtype.names or ():
                self.columns[name][: self.index] = start[name]
        self.agenda = Agenda(self.columns)
        self.agenda.load(self.index, by_gens_of_before=True)
        self.sim_started_offset = self.agenda.started_count
        self.sim_ended_offset = self.agenda.ended_count
        self.gen_informed_offset = self.agenda.informed_count
        self.H0_length = self.index
        self._H0_was_told = not self.using_H0
        self.last_started = -1
        self.last_ended = -1
        self._cut_dtypes: dict[tuple[str, ...], np.dtype[Any]] = {}
        self._known_types: dict[np.dtype[Any], tuple[tuple[str, ...], bool]] = {}  # checked before: names, protected?

    @property
    def sim_started_count(self) -> int:
        """Rows given to a worker so far, those of H0 included."""
        return self.agenda.started_count

    @property
    def sim_ended_count(self) -> int:
        """Rows that came back so far, those of H0 included; each row counts once."""
        return self.agenda.ended_count

    @property
    def gen_informed_count(self) -> int:
        """Ended rows that a generator was told of, those of H0 included."""
        return self.agenda.informed_count

    # ---- the acts

    def add(self, points: npt.NDArray[np.void] | None, gen_worker: int, started: float = 0.0) -> range | list[int]:
        """Store what a generator sent: new points, or (with a `sim_id` field) also changes to old ones.

        Parameters
        ----------
        points : structured array or None
            One entry per point. Without `sim_id`, all are new.
        gen_worker : int
            Who sent them.
        started : float
            When this generator was last given work (seconds since the epoch).

        Returns
        -------
        range or list of int
            The rows written, in the order of `points`.

        Raises
        ------
        HistoryError
            The ids repeat, leave a gap after the last row, or are negative; or `safe_mode` forbids a field.
        """
        if points is None or len(points) == 0:
            return []
        names, touches_state = self._checked_names(points, f"the generator on worker {gen_worker}")
        if "sim_id" in names:
            rows: range | list[int] = self._rows_of_ids(points["sim_id"])
        else:
            rows = range(self.index, self.index + len(points))
        first_new = self.index
        end = max(first_new, max(rows) + 1) if isinstance(rows, list) else rows.stop
        self._make_room(end)
        where = slice(rows.start, rows.stop) if isinstance(rows, range) else rows
        for name in names:
            try:
                self.columns[name][where] = points[name]
            except (ValueError, TypeError) as error:
                raise HistoryError(self._misfit(name, points.dtype[name], "a generator")) from error
        self._stamp_new(first_new, end, gen_worker, started)
        if isinstance(rows, range):
            self.columns["sim_id"][where] = np.arange(rows.start, rows.stop)
        self.agenda.added(range(first_new, end), gen_worker)
        if isinstance(rows, list):
            self.agenda.updated(row for row in rows if row < first_new)
        if touches_state:
            self.agenda.sync(rows)
            self.agenda.recount(self.index)
        return rows

    def start(self, rows: Sequence[int], worker: int, now: float | None = None) -> None:
        """Note that these rows are given to a worker's simulator."""
        now = time.time() if now is None else now
        columns = self.columns
        workers, started, times = columns["sim_worker"], columns["sim_started"], columns["sim_started_time"]
        for row in rows:
            workers[row] = worker
            started[row] = True
            times[row] = now
            self.last_started = row
        self.agenda.started(rows, worker)

    def finish(self, rows: Sequence[int], outputs: npt.NDArray[np.void] | None, now: float | None = None) -> None:
        """Store what a simulator returned for these rows (None: nothing) and mark them ended.

        Raises
        ------
        HistoryError
            Fewer entries than rows, a sub-array that is empty or too long, or a field that `safe_mode` protects.
        """
        now = time.time() if now is None else now
        touches_state = False
        if outputs is not None:
            known = self._known_types.get(outputs.dtype)
            names, touches_state = known or self._checked_names(outputs, "a simulator")
            if len(outputs) < len(rows):
                raise HistoryError(f"a simulator returned {len(outputs)} entries for {len(rows)} rows {list(rows)}")
            for name in names:
                self._store_outputs(name, rows, outputs[name])
        ended, ended_time = self.columns["sim_ended"], self.columns["sim_ended_time"]
        for row in rows:
            ended[row] = True
            ended_time[row] = now
            self.last_ended = row
        self.agenda.ended(rows)
        if touches_state and outputs is not None:
            self._resync_after_outputs(rows, outputs)

    def inform(self, rows: Sequence[int] | npt.NDArray[np.int_], now: float | None = None) -> None:
        """Note that these rows are sent to a generator."""
        if len(rows) == 0:
            return
        columns = self.columns
        where = np.asarray(rows, dtype=int)
        if not self._H0_was_told and int(where.min()) < self.H0_length:
            self._H0_was_told = True
            logger.log(MANAGER_WARNING, "Giving rows of H0 to a generator: they are being marked as gen_informed")
        columns["gen_informed_time"][where] = time.time() if now is None else now
        told = where[columns["sim_ended"][where]]
        columns["gen_informed"][told] = True
        self.agenda.informed(told.tolist())

    def cut(self, rows: Sequence[int] | npt.NDArray[np.int_], fields: Sequence[str]) -> npt.NDArray[np.void]:
        """Return a copy of some fields of some rows, as a structured array of shape ``(len(rows),)``."""
        names = tuple(fields)
        dtype = self._cut_dtypes.get(names)
        if dtype is None:
            dtype = self._cut_dtype(names)
        data = np.empty(len(rows), dtype=dtype)
        if len(rows) == 1:
            row = rows[0]
            for name in names:  # for a single row, indexing by an int is several times cheaper than by a list
                data[name][0] = self.columns[name][row]
        elif len(rows):
            where = _as_slice(rows)
            for name in names:
                data[name] = self.columns[name][where]
        return data

    def trim_H(self) -> npt.NDArray[np.void]:
        """Return the rows in use, as a view."""
        return self.H[: self.index]

    def grow_H(self, k: int) -> None:
        """Add `k` blank rows of room at the end."""
        self.grow_count = k
        self._replace(np.concatenate((self.H, blank(k, self.H.dtype))))

    # ---- the same acts under the names that live-data objects and older scripts know

    def update_history_f(self, D: Mapping[str, Any], kill_canceled_sims: bool = False) -> None:
        """Store a simulator's result: ``D["calc_out"]`` for the rows ``D["libE_info"]["H_rows"]``."""
        self.finish([int(row) for row in D["libE_info"]["H_rows"]], D["calc_out"])

    def update_history_x_out(self, rows: Iterable[int], worker: int, kill_canceled_sims: bool = False) -> None:
        """Mark rows as given to `worker`."""
        self.start(np.atleast_1d(np.asarray(rows, dtype=int)).tolist(), worker)

    def update_history_to_gen(self, rows: Iterable[int]) -> None:
        """Mark rows as told to a generator."""
        self.inform(np.atleast_1d(np.asarray(rows, dtype=int)))

    def update_history_x_in(self, worker: int, D: npt.NDArray[np.void], gen_started_time: float) -> None:
        """Store points from a generator."""
        self.add(D, worker, gen_started_time)

    # ---- inside

    def _checked_names(self, data: npt.NDArray[np.void], who: str) -> tuple[tuple[str, ...], bool]:
        """Return the fields of `data`, and whether protected ones are among them; those that H lacks are added."""
        names = data.dtype.names
        if names is None:
            raise HistoryError(f"{who} returned an array of type {data.dtype}, which has no named fields")
        if self.safe_mode and not _PROTECTED.isdisjoint(names):
            forbidden = sorted(_PROTECTED.intersection(names))
            raise HistoryError(f"{who} wrote the protected fields {forbidden}; safe_mode forbids it")
        if not self.columns.keys() >= set(names):
            self._add_fields([(name, data.dtype[name]) for name in names if name not in self.columns])
        found = names, not _PROTECTED.isdisjoint(names)
        self._known_types[data.dtype] = found
        return found

    def _rows_of_ids(self, ids: npt.NDArray[Any]) -> list[int]:
        rows: list[int] = [int(i) for i in np.ravel(ids)]
        distinct = set(rows)
        if len(distinct) < len(rows):
            twice = sorted({row for row in rows if rows.count(row) > 1})[:5] if len(rows) < 1000 else "several"
            raise HistoryError(
                f"a generator returned {len(rows)} points with repeated sim_id {twice}. A generator that declares "
                "sim_id in its outputs must fill it with a different number for each point"
            )
        if min(rows) < 0:
            raise HistoryError(f"a generator returned the negative sim_id {min(rows)}; ids are row numbers from 0 on")
        new = {row for row in distinct if row >= self.index}
        if new and max(new) != self.index + len(new) - 1:
            missing = next(row for row in range(self.index, max(new)) if row not in new)
            raise HistoryError(
                f"a generator returned sim_id {max(new)}, but the history has {self.index} rows and sim_id {missing} "
                f"is not in its output: new ids must go on from {self.index} without a gap"
            )
        return rows

    def _stamp_new(self, first: int, end: int, gen_worker: int, started: float) -> None:
        """Say who made the new rows, and when; rows that say so themselves keep what they say."""
        self.index = end
        columns = self.columns
        new = slice(first, end)
        if np.any(columns["gen_ended_time"][new]):
            new = first + np.nonzero(columns["gen_ended_time"][new] == 0)[0]  # type: ignore[assignment]
        columns["gen_worker"][new] = gen_worker
        columns["gen_started_time"][new] = started
        columns["gen_ended_time"][new] = time.time()

    def _store_outputs(self, name: str, rows: Sequence[int], values: npt.NDArray[Any]) -> None:
        column = self.columns[name]
        if column.ndim == 1:
            try:
                for j, row in enumerate(rows):
                    column[row] = values[j]
            except (ValueError, TypeError) as error:
                raise HistoryError(self._misfit(name, values.dtype, "a simulator", values.shape[1:])) from error
            return
        shape = values.shape[1:]
        room = column.shape[1:]
        if len(shape) != len(room) or not all(0 < n <= most for n, most in zip(shape, room)):
            raise HistoryError(self._misfit(name, values.dtype, "a simulator", shape))
        part: tuple[Any, ...] = tuple(slice(n) for n in shape)
        for j, row in enumerate(rows):
            column[(row, *part)] = values[j]

    def _resync_after_outputs(self, rows: Sequence[int], outputs: npt.NDArray[np.void]) -> None:
        """Let a simulator that wrote protected fields have its way (it may reset `sim_started`, say)."""
        for name in _PROTECTED.intersection(outputs.dtype.names or ()):
            self._store_outputs(name, rows, outputs[name])
        self.agenda.sync(rows)
        self.agenda.recount(self.index)

    def _misfit(self, name: str, dtype: Any, who: str, shape: tuple[int, ...] = ()) -> str:
        column = self.columns[name]
        return (
            f"{who} returned field {name!r} with type {dtype} and shape {shape or dtype.shape} per point, which does "
            f"not fit the history's {column.dtype} with shape {column.shape[1:]}"
        )

    def _cut_dtype(self, names: tuple[str, ...]) -> "np.dtype[Any]":
        missing = [name for name in names if name not in self.columns]
        if missing:
            raise HistoryError(f"the history has no field {missing}; it has {list(self.columns)}")
        dtype = np.dtype([(name, self.H.dtype[name]) for name in names])
        self._cut_dtypes[names] = dtype
        return dtype

    def _make_room(self, end: int) -> None:
        if end > len(self.H):
            missing = end - len(self.H)
            # Doubling keeps the cost of growing independent of the number of rows.
            self.grow_H(max(missing, 2 * self.grow_count, len(self.H)))

    def _add_fields(self, fields: list[tuple[str, Any]]) -> None:
        dtype = np.dtype([(name, self.H.dtype[name]) for name in self.columns] + fields)
        bigger = blank(len(self.H), dtype)
        for name, column in self.columns.items():
            bigger[name] = column
        self._replace(bigger)
        if any(name == "priority" for name, _ in fields):
            self.agenda.priority_field_added()

    def _replace(self, H: npt.NDArray[np.void]) -> None:
        self.H = H
        self.columns.update((name, H[name]) for name in H.dtype.names or ())
        self._cut_dtypes = {}
        self._known_types = {}


def _completed(H0: Any) -> npt.NDArray[np.void]:
    """Return H0 with the fields that say which of its rows have run."""
    if not isinstance(H0, np.ndarray) or H0.dtype.names is None:
        raise HistoryError(f"H0 must be a structured array, not {type(H0).__name__}")
    names = H0.dtype.names
    added: dict[str, Any] = {}
    if "sim_started" not in names:
        logger.log(MANAGER_WARNING, "H0 has no field 'sim_started': all its rows are marked as started and ended")
        added["sim_started"] = added["sim_ended"] = np.ones(len(H0), dtype=bool)
    elif "sim_ended" not in names:
        logger.log(MANAGER_WARNING, "H0 has no field 'sim_ended': rows that have started are marked as ended")
        added["sim_ended"] = np.array(H0["sim_started"])
    if "sim_id" not in names:
        logger.log(MANAGER_WARNING, "H0 has no field 'sim_id': its rows are numbered from 0 on")
        added["sim_id"] = np.arange(len(H0))
    kept = [(name, H0.dtype[name]) for name in names if name not in added]
    whole = np.zeros(len(H0), dtype=kept + [(name, column.dtype) for name, column in added.items()])
    for name, _ in kept:
        whole[name] = H0[name]
    for name, column in added.items():
        whole[name] = column
    return whole


def _as_slice(rows: Sequence[int] | npt.NDArray[np.int_]) -> Any:
    """Return a slice for rows that lie side by side, which numpy copies much faster, else an index array."""
    if isinstance(rows, range) and rows.step == 1:
        return slice(rows.start, rows.stop)
    where = np.asarray(rows, dtype=int)
    first, last = int(where[0]), int(where[-1])
    if last - first + 1 == len(where) and (len(where) < 3 or bool(np.all(np.diff(where) == 1))):
        return slice(first, last + 1)
    return where
