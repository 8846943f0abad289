"""Ledger: the only one who changes the state of a run.

    received(batch)   letters in  -> rows added and finished, workers idle, resource sets free
    sent(worker, ...) an order out -> rows started or told, worker busy, resource sets assigned

Nothing here waits or talks: it is handed letters, and the state it keeps can be looked at afterwards.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from libensemble.comms.messages import Failure, Leaving, LogLine, Message, Order, Report
from libensemble.errors import HistoryError, ManagerException, NoWorkError
from libensemble.history import History
from libensemble.manager.roster import Roster
from libensemble.message_numbers import (
    EVAL_GEN_TAG,
    EVAL_SIM_TAG,
    FINISHED_PERSISTENT_GEN_TAG,
    FINISHED_PERSISTENT_SIM_TAG,
    PERSIS_STOP,
)

logger = logging.getLogger(__name__)

_FINISHED = (FINISHED_PERSISTENT_SIM_TAG, FINISHED_PERSISTENT_GEN_TAG)
_FRUITLESS_CALLS = 100  # generator calls in a row that change only old rows, after which it is taken for an error


class Ledger:
    """State of a run and its changes.

    Parameters
    ----------
    history : History
    roster : Roster
    persis_info : dict
        Per-worker dicts under integer keys; other keys belong to allocation functions.
    gen_specs, libE_specs : dict
    resource_manager : object, optional
        Who holds which resource sets.
    write_stats : callable, optional
        Called with (worker, text) for each line of statistics.
    relay : callable, optional
        Called with (worker, LogLine).
    """

    def __init__(
        self,
        history: History,
        roster: Roster,
        persis_info: dict[Any, Any],
        gen_specs: dict[str, Any],
        libE_specs: Mapping[str, Any],
        resource_manager: Any = None,
        write_stats: Callable[[int, str], None] | None = None,
        relay: Callable[[int, LogLine], None] | None = None,
    ) -> None:
        self.history, self.roster, self.persis_info = history, roster, persis_info
        self.agenda = history.agenda
        self.failures: list[tuple[int, Failure]] = []
        self.leaving: dict[int, bool] = {}  # workers that copy their directories back: whether they are done
        self.changed_rows: list[int] = []  # by the last batch
        self.is_closing = False  # no more orders: what comes in still counts
        self._gen_specs = gen_specs
        self._keeps_final = {
            EVAL_GEN_TAG: bool(libE_specs.get("use_persis_return_gen")),
            EVAL_SIM_TAG: bool(libE_specs.get("use_persis_return_sim")),
        }
        self._resources = resource_manager
        self._write_stats, self._relay = write_stats, relay
        self._rows_given: dict[int, list[int]] = {}
        self._teams: dict[int, list[int]] = {}  # resource sets that workers hold
        self._fruitless_calls = 0

    # ---- letters in

    def received(self, batch: Sequence[tuple[int, Message]]) -> None:
        """Take a batch of letters into account."""
        self.changed_rows = []
        for worker, message in batch:
            if type(message) is Report:
                self._received_report(worker, message)
            elif type(message) is LogLine:
                if self._relay is not None:
                    self._relay(worker, message)
            elif type(message) is Failure:
                self._received_failure(worker, message)
            elif type(message) is Leaving:
                self.leaving[worker] = message.is_done
            else:
                raise ManagerException(f"worker {worker} sent a {type(message).__name__}: {message!r}")

    def _received_report(self, worker: int, report: Report) -> None:
        if report.line is not None and self._write_stats is not None:
            self._write_stats(worker, report.line)
        if report.kind == EVAL_SIM_TAG and report.final and not self.roster.persistent(worker):
            # Nearly all letters are of this kind.
            rows = self._rows_given[worker]
            self.history.finish(rows, report.data)
            self.changed_rows += rows
            self.roster.idle(worker)
            self._free(worker)
        else:
            self._received_other(worker, report)
        if report.persis_info:
            self.persis_info.setdefault(worker, {}).update(report.persis_info)

    def _received_other(self, worker: int, report: Report) -> None:
        """Take in what a generator, or a persistent simulator, sent or returned."""
        lives = self.roster.persistent(worker) if report.final else 0
        if report.data is not None:
            if lives and not self._keeps_final[report.kind]:
                option = "use_persis_return_gen" if report.kind == EVAL_GEN_TAG else "use_persis_return_sim"
                logger.info("What the persistent function of worker %s returned is dropped (see %s)", worker, option)
            elif report.kind == EVAL_GEN_TAG:
                self._received_points(worker, report)
        if report.kind == EVAL_SIM_TAG:
            self._received_results(worker, report, bool(lives))
        self._update_worker(worker, report)
        is_empty = report.data is None or len(report.data) == 0
        if report.kind == EVAL_GEN_TAG and report.final and not lives and is_empty:
            self._check_nothing_came(worker)

    def _received_points(self, worker: int, report: Report) -> None:
        length = self.history.index
        rows = self.history.add(report.data, worker, float(self.roster[worker]["gen_started_time"]))
        if self._gen_specs.get("generator") is not None and "sim_id" in (report.data.dtype.names or ()):  # type: ignore[union-attr]
            self._send_ids_back()
        self.changed_rows += rows
        if self.history.index > length or not report.final or self.agenda.running:
            self._fruitless_calls = 0
        elif len(rows):
            self._fruitless_calls += 1
            if self._fruitless_calls >= _FRUITLESS_CALLS:
                raise HistoryError(
                    f"the generator returned only the sim_ids {sorted(set(rows))[:5]} in {_FRUITLESS_CALLS} calls in a "
                    "row, while nothing was running. A generator that declares sim_id must fill it; new points go on "
                    f"from {length}"
                )

    def _check_nothing_came(self, worker: int) -> None:
        """A generator call without points is an error when nothing else is under way: the next would be the same."""
        if not (self.is_closing or self.roster.any_busy) and self.agenda.all_ended():
            raise NoWorkError(
                f"the generator on worker {worker} returned no points while nothing else was running or waiting "
                f"({self.history.index} rows so far). It must return a structured array, and may return an empty one "
                "only while simulations are under way"
            )

    def _send_ids_back(self) -> None:
        fields = list(self._gen_specs.get("persis_in") or [])
        if "sim_id" not in fields:
            self._gen_specs["persis_in"] = [*fields, "sim_id"]

    def _received_results(self, worker: int, report: Report, is_last_word: bool) -> None:
        """Store what a simulator sent, be it the result of an order or what a persistent one sends."""
        if is_last_word and (report.data is None or not self._keeps_final[EVAL_SIM_TAG]):
            rows = [row for row in self._rows_given.get(worker, []) if row in self.agenda.running]
            self.history.finish(rows, None)  # it left without a result for these
        else:
            rows = self._rows_given.get(worker, [])
            if report.info and report.info.get("H_rows"):
                rows = report.info["H_rows"]
            self.history.finish(rows, report.data)
        self.changed_rows += rows

    def _update_worker(self, worker: int, report: Report) -> None:
        roster = self.roster
        if report.status in _FINISHED or (report.final and roster.persistent(worker)):
            roster.ended(worker)
            self._free(worker)
        elif report.final:
            roster.idle(worker)
            self._free(worker)
        elif not report.keep_state and not roster.is_active_recv(worker) and not self.is_closing:
            roster.idle(worker)

    def _received_failure(self, worker: int, failure: Failure) -> None:
        if failure.line is not None and self._write_stats is not None:
            self._write_stats(worker, failure.line)
        self.failures.append((worker, failure))
        self.roster.lost(worker)
        self._free(worker)

    def _free(self, worker: int) -> None:
        team = self._teams.pop(worker, None)
        if team is not None:
            self._resources.free_rsets(worker, team)

    # ---- orders out

    def sent(self, worker: int, work: Mapping[str, Any], rows: list[int], rset_team: list[int] | None) -> Order:
        """Take an order into account and return it as the letter to send."""
        now = time.time()
        tag, info = work["tag"], work["libE_info"].copy()
        del info["H_rows"]
        starts = not self.roster.persistent(worker)
        if rset_team is not None:
            info["rset_team"] = rset_team
            if starts and rset_team and self._resources is not None:
                self._resources.assign_rsets(rset_team, worker)
                self._teams[worker] = rset_team
        data = self.history.cut(rows, work["H_fields"])
        if tag == EVAL_GEN_TAG:
            self.history.inform(rows, now)
            self.roster.gen_started(worker, now)
        else:
            self.history.start(rows, worker, now)
            self._rows_given[worker] = rows
        self.roster.sent(worker, tag)
        if info.get("persistent"):
            self.roster.lives(worker, tag, bool(info.get("active_recv")))
        return Order(tag, rows, data, work.get("persis_info"), info, starts)

    def last_order(self, worker: int, rows: list[int], fields: Sequence[str]) -> Order:
        """Return the order that hands a persistent generator, as it is stopped, the rows it has not been told of."""
        data = self.history.cut(rows, fields)
        return Order(PERSIS_STOP, rows, data, self.persis_info.get(worker), {"persistent": True}, starts=False)

    def kill_sent(self, row: int) -> None:
        """Note that a kill signal has gone to the worker of a row."""
        self.history.columns["kill_sent"][row] = True
