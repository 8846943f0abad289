"""Agenda: which rows wait, run, are back and not yet told.

It owns sets of row numbers that are kept up as things happen, so that no question costs more than what changed.
The values (flags, priorities) stay in the history's columns, which it reads through live views: an allocation
function may write `cancel_requested` into H and the agenda notices when it is about to hand the row out.

    added -> waiting -> running -> returned -> told
                  \\-> set aside (cancelled before it started)
"""

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from heapq import heapify, heappop, heappush
from typing import Any

import numpy as np
import numpy.typing as npt

_GONE = -1  # in place of a generator's worker: one that lived in an earlier run


class Agenda:
    """Sets of rows, kept up as things happen.

    Parameters
    ----------
    columns : mapping of str to array
        Live views of the history's columns. `cancel_requested` must be there; `priority` (float, higher first)
        may be.
    """

    def __init__(self, columns: Mapping[str, npt.NDArray[Any]]) -> None:
        self._columns = columns
        self._waiting: dict[int, int] = {}  # row -> its generator
        self._set_aside: dict[int, int] = {}  # the same, for rows cancelled before they started
        # Waiting rows in the order in which they are to be given; entries may be out of date. Without priorities, rows
        # that come in ascending order, as nearly all do, need no heap.
        self._line: deque[int] = deque()
        self._queue: list[Any] = []  # heap of rows, or of (-priority, row)
        self._offered: set[int] = set()  # rows handed out in this round; they may have started since
        self._has_priority = "priority" in columns
        self._is_doubtful = False
        self._seen: dict[str, npt.NDArray[Any]] = {}  # columns as they were at the last review
        self._gen_of_running: dict[int, int] = {}
        self._out: dict[int, int] = {}  # generator -> how many of its rows wait or run
        self._returned: dict[int, dict[int, None]] = {}  # generator -> its ended rows that it has not been told of
        self.running: dict[int, int] = {}
        self.is_given_in_order = False  # kept by AllocSupport: somebody goes through the rows by their numbers
        self.started_count = 0
        self.ended_count = 0
        self.informed_count = 0

    @classmethod
    def from_history(cls, H: npt.NDArray[np.void]) -> "Agenda":
        """Build an agenda from a history array with one scan."""
        agenda = cls({name: H[name] for name in H.dtype.names or ()})
        agenda.load(len(H))
        return agenda

    # ---- what an allocation function asks

    def next(self, count: int = 1) -> list[int]:
        """Return up to `count` waiting rows: highest priority first, then oldest; none that is cancelled.

        A row is offered once per round (see `restart`).
        """
        if self._is_doubtful:
            self._review()
        rows: list[int] = []
        while len(rows) < count and (row := self._pop()) is not None:
            rows.append(row)
            self._offered.add(row)
        return rows

    def next_equal(self) -> list[int]:
        """Return all waiting rows that share the top priority; without priorities, the oldest one."""
        rows = self.next(1)
        if not rows or not self._has_priority:
            return rows
        priority = self._columns["priority"]
        top = priority[rows[0]]
        while (row := self._pop()) is not None:
            if priority[row] != top:
                self._push(row)
                break
            rows.append(row)
            self._offered.add(row)
        return rows

    def put_back(self, rows: Iterable[int]) -> None:
        """Take back rows offered in this round, so that they can be offered again."""
        for row in rows:
            if row in self._offered:
                self._offered.remove(row)
                self._push(row)

    def restart(self, doubtful: bool = False) -> None:
        """Begin a new round: rows that were offered and not started wait again.

        With `doubtful`, flags and priorities may have been changed behind our back since the last round, and all
        waiting rows are looked at again before the next answer.
        """
        if self._offered:
            for row in self._offered:
                if row in self._waiting:
                    self._push(row)
            self._offered.clear()
        self._is_doubtful = doubtful

    def all_started(self) -> bool:
        """Return whether no uncancelled row waits, besides those offered in this round."""
        if self._is_doubtful:
            self._review()
        if not self._waiting:
            return True
        row = self._pop()
        if row is None:
            return True
        self._push(row)
        return False

    def all_ended(self) -> bool:
        """Return whether no uncancelled row waits or runs."""
        if self.running:
            return False
        return self.all_started() and not any(row in self._waiting for row in self._offered)

    def returned(self, gen: int) -> list[int]:
        """Return the rows of generator `gen` that have ended and that it has not been told of, in row order."""
        rows = self._returned.get(gen)
        return sorted(rows) if rows else []

    def returned_of_before(self) -> list[int]:
        """Return the rows of H0 that have ended and that no generator has been told of, in row order."""
        return self.returned(_GONE)

    def all_returned(self) -> list[int]:
        """Return the rows that have ended and that no generator has been told of, in row order."""
        return sorted(row for rows in self._returned.values() for row in rows)

    def all_back(self, gen: int) -> bool:
        """Return whether none of generator `gen`'s uncancelled rows waits or runs."""
        if self._is_doubtful:
            self._review()
        return not self._out.get(gen)

    # ---- what happens to rows

    def added(self, rows: Iterable[int], gen: int) -> None:
        """Note new rows of generator `gen`."""
        cancelled = self._columns["cancel_requested"]
        for row in rows:
            if cancelled[row]:
                self._set_aside[row] = gen
                self._note("cancel_requested", row, True)
            else:
                self._wait(row, gen)

    def started(self, rows: Iterable[int], worker: int) -> None:
        """Note rows given to a worker."""
        for row in rows:
            gen = self._waiting.pop(row, None)
            if gen is None:
                gen = self._leave_otherwise(row)
            self._gen_of_running[row] = gen
            self.running[row] = worker
            self.started_count += 1

    def ended(self, rows: Iterable[int]) -> None:
        """Note rows that came back from a worker; one that has ended before is not counted again."""
        for row in rows:
            gen = self._gen_of_running.pop(row, None)
            if gen is None:
                continue
            del self.running[row]
            self._out[gen] -= 1
            self._returned.setdefault(gen, {})[row] = None
            self.ended_count += 1

    def informed(self, rows: Iterable[int]) -> None:
        """Note ended rows that a generator has been told of."""
        gen_worker = self._columns["gen_worker"]
        of_before = self._returned.get(_GONE, {})
        for row in rows:
            untold = self._returned.get(int(gen_worker[row]), of_before)
            if untold.pop(row, 0) is None or of_before.pop(row, 0) is None:
                self.informed_count += 1

    def updated(self, rows: Iterable[int]) -> None:
        """Note rows whose flags or priorities a generator has changed."""
        cancelled = self._columns["cancel_requested"]
        for row in rows:
            if row in self._waiting:
                if cancelled[row]:
                    self._put_aside(row)
                elif self._has_priority:
                    self._push(row)
            elif row in self._set_aside and not cancelled[row]:
                self._take_up(row)

    def sync(self, rows: Iterable[int]) -> None:
        """Take the state of these rows from the history's own flags (the counters are left to `recount`)."""
        names = ("sim_started", "sim_ended", "gen_informed", "gen_worker", "sim_worker")
        columns = [self._columns[name] for name in names]
        for row in rows:
            started, ended, informed, gen, worker = (int(column[row]) for column in columns)
            self._forget(row)
            if not started:
                self.added([row], gen)
            elif not ended:
                self.running[row] = worker
                self._gen_of_running[row] = gen
                self._out[gen] = self._out.get(gen, 0) + 1
            elif not informed:
                self._returned.setdefault(gen, {})[row] = None

    def load(self, length: int, by_gens_of_before: bool = False) -> None:
        """Take the state of the first `length` rows from the history's flags; nothing must be known yet.

        With `by_gens_of_before`, generators that no longer live made them: no generator has them returned as its own.
        """
        columns = {name: self._columns[name][:length] for name in ("sim_started", "sim_ended", "gen_informed")}
        started, ended, informed = columns["sim_started"], columns["sim_ended"], columns["gen_informed"]
        cancelled = self._columns["cancel_requested"][:length]
        gens = self._columns["gen_worker"][:length]
        if by_gens_of_before:
            gens = np.full(length, _GONE)
        waiting, running = ~started & ~cancelled, started & ~ended
        self._waiting = _pairs(waiting, gens)
        self._set_aside = _pairs(~started & cancelled, gens)
        self._gen_of_running = _pairs(running, gens)
        self.running = _pairs(running, self._columns["sim_worker"])
        self._out = dict(Counter(gens[waiting | running].tolist()))
        for row, gen in _pairs(ended & ~informed, gens).items():
            self._returned.setdefault(gen, {})[row] = None
        self._rebuild_queue()
        self.recount(length)

    def recount(self, length: int) -> None:
        """Set the counters from the flags of the first `length` rows."""
        columns = self._columns
        self.started_count = int(np.count_nonzero(columns["sim_started"][:length]))
        self.ended_count = int(np.count_nonzero(columns["sim_ended"][:length]))
        self.informed_count = int(np.count_nonzero(columns["gen_informed"][:length]))

    def priority_field_added(self) -> None:
        """Note that the history has got a `priority` field (waiting rows are ordered anew)."""
        self._has_priority = "priority" in self._columns
        self._rebuild_queue()

    # ---- inside

    def _wait(self, row: int, gen: int) -> None:
        self._waiting[row] = gen
        self._out[gen] = self._out.get(gen, 0) + 1
        self._push(row)

    def _put_aside(self, row: int) -> None:
        gen = self._waiting.pop(row)
        self._set_aside[row] = gen
        self._out[gen] -= 1
        self._note("cancel_requested", row, True)

    def _take_up(self, row: int) -> None:
        self._note("cancel_requested", row, False)
        self._wait(row, self._set_aside.pop(row))

    def _note(self, name: str, row: int, value: Any) -> None:
        """Keep what a review compares with equal to what the sets say."""
        seen = self._seen.get(name)
        if seen is not None and row < len(seen):
            seen[row] = value

    def _leave_otherwise(self, row: int) -> int:
        """Take out a row that is started without having waited (a custom policy gave it); return its generator."""
        gen = self._set_aside.pop(row, None)
        if gen is None:
            self._forget(row)
            gen = int(self._columns["gen_worker"][row])
        self._out[gen] = self._out.get(gen, 0) + 1
        return gen

    def _forget(self, row: int) -> None:
        """Remove a row from wherever it is."""
        if row in self._waiting:
            self._out[self._waiting.pop(row)] -= 1
        elif row in self._gen_of_running:
            self._out[self._gen_of_running.pop(row)] -= 1
            del self.running[row]
        elif self._set_aside.pop(row, None) is None:
            for rows in self._returned.values():
                rows.pop(row, None)

    def _key(self, row: int) -> float:
        priority = float(self._columns["priority"][row])
        return -priority if priority == priority else np.inf  # a NaN comes last

    def _push(self, row: int) -> None:
        if self._has_priority:
            heappush(self._queue, (self._key(row), row))
            if self._seen:
                self._note("priority", row, self._columns["priority"][row])
        elif not self._line or row > self._line[-1]:
            self._line.append(row)
        else:
            heappush(self._queue, row)

    def _first(self) -> Any:
        """Take the first entry, or None."""
        line, queue = self._line, self._queue
        if line and not (queue and queue[0] < line[0]):
            return line.popleft()
        return heappop(queue) if queue else None

    def _pop(self) -> int | None:
        """Take the best waiting row, dropping entries that are out of date."""
        waiting, offered = self._waiting, self._offered
        while (entry := self._first()) is not None:
            row: int = entry[1] if self._has_priority else entry
            if row not in waiting or row in offered:
                continue
            if self._columns["cancel_requested"][row]:
                self._put_aside(row)
            elif self._has_priority and entry[0] != self._key(row):
                self._push(row)  # its priority was changed after it was queued
            else:
                return row
        return None

    def _review(self) -> None:
        """Find the rows whose flags or priorities were written directly since the last review."""
        self._is_doubtful = False
        for row in self._changed("cancel_requested"):
            if row in self._waiting and self._columns["cancel_requested"][row]:
                self._put_aside(row)
            elif row in self._set_aside and not self._columns["cancel_requested"][row]:
                self._take_up(row)
        if self._has_priority:
            for row in self._changed("priority"):
                if row in self._waiting and row not in self._offered:
                    self._push(row)

    def _changed(self, name: str) -> list[int]:
        """Return the rows where a column differs from what it was when this was last asked."""
        column = self._columns[name]
        seen = self._seen.get(name)
        if seen is None or len(seen) < len(column):
            before = seen if seen is not None else column[:0]
            seen = self._seen[name] = np.zeros(len(column), dtype=column.dtype)
            if column.dtype.kind == "f":
                seen[:] = np.nan  # rows never looked at count as changed
            else:
                seen[list(self._set_aside)] = True
            seen[: len(before)] = before
        same = seen[: len(column)] == column
        if column.dtype.kind == "f":
            same |= np.isnan(column) & np.isnan(seen[: len(column)])
        changed = np.flatnonzero(~same)
        seen[changed] = column[changed]
        rows: list[int] = changed.tolist()
        return rows

    def _rebuild_queue(self) -> None:
        rows = [row for row in self._waiting if row not in self._offered]
        self._line, self._queue = deque(), []
        if self._has_priority:
            self._queue = [(self._key(row), row) for row in rows]
            heapify(self._queue)
        else:
            self._line.extend(sorted(rows))


def _pairs(where: npt.NDArray[np.bool_], values: npt.NDArray[Any]) -> dict[int, int]:
    """Return {row: value} for the rows where a mask holds."""
    rows = np.flatnonzero(where)
    return dict(zip(rows.tolist(), values[rows].tolist()))
