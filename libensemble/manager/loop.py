"""Manager: receive, allocate, send, until an exit test holds; then bring everybody home.

    hub.wait -> Ledger.received -> observers -> Allocator.orders -> Ledger.sent -> hub.send -> hub.wait ...

The loop sleeps in `hub.wait` and is woken by the first letter. It asks the allocation function once per batch of
letters, and every 50 ms for those policies that watch the clock.
"""

import logging
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from libensemble.comms.comms import Hub
from libensemble.comms.messages import Failure, Signal
from libensemble.errors import NoWorkError, WorkerException
from libensemble.history import History
from libensemble.manager.allocation import Allocator
from libensemble.manager.ledger import Ledger
from libensemble.manager.observers import Observer
from libensemble.manager.roster import Roster
from libensemble.manager.stopping import ExitTests
from libensemble.message_numbers import EVAL_GEN_TAG, MAN_SIGNAL_FINISH, MAN_SIGNAL_KILL, PERSIS_STOP, STOP_TAG

logger = logging.getLogger(__name__)

_TICK = 0.05  # seconds after which the allocation function is asked again although nothing has come
_TRIES_WITHOUT_WORK = 3  # an allocation function may need a second call to notice what it has just changed

NORMAL, OUT_OF_TIME = 0, 2  # exit flags


class Outcome(NamedTuple):
    """How a run ended: the manager's persis_info, the exit flag (0, or 2: out of time), and seconds elapsed."""

    persis_info: dict[Any, Any]
    exit_flag: int
    elapsed: float


class Manager:
    """Runs an ensemble.

    Parameters
    ----------
    history : History
    hub : Hub
        The ends of all workers' comms.
    roster : Roster
    ledger : Ledger
    allocator : Allocator
    exit_tests : ExitTests
    libE_specs, gen_specs : dict
    observers : sequence of Observer
    begun : float
        When the run began (`time.monotonic`).
    """

    def __init__(
        self,
        history: History,
        hub: Hub,
        roster: Roster,
        ledger: Ledger,
        allocator: Allocator,
        exit_tests: ExitTests,
        libE_specs: dict[str, Any],
        gen_specs: dict[str, Any],
        observers: Sequence[Observer] = (),
        begun: float | None = None,
    ) -> None:
        self.hist = history
        self._hub, self._roster, self._ledger = hub, roster, ledger
        self._allocator, self._exit_tests = allocator, exit_tests
        self._gen_specs = gen_specs
        self._observers = observers
        # Grouped by what they want to hear: nobody listens, nothing is called.
        self._batch_observers = [o for o in observers if type(o).batch is not Observer.batch]
        self._idle_observers = [o for o in observers if type(o).idle is not Observer.idle]
        self._begun = time.monotonic() if begun is None else begun
        self._kills_cancelled = bool(libE_specs.get("kill_canceled_sims"))
        self._grace = float(libE_specs.get("worker_timeout", 1))
        self._final_gen_send = bool(libE_specs.get("final_gen_send"))

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._begun

    @property
    def leaving(self) -> dict[int, bool]:
        """See `Ledger.leaving`."""
        return self._ledger.leaving

    def run(self) -> Outcome:
        """Run until an exit test holds or the allocation function wants to stop.

        Raises
        ------
        WorkerException
            A user function raised, or a worker died. The other workers have been told to finish.
        """
        try:
            self._work()
            flag = self._bring_home()
        finally:
            self._dismiss()
        for observer in self._observers:
            observer.ended(self.hist)
        return Outcome(self._ledger.persis_info, flag, self.elapsed)

    # ---- the loop

    def _work(self) -> None:
        tries = 0
        while not self._exit_tests.reached(self.elapsed):
            sent = self._give_work()
            if self._allocator.wants_stop:
                logger.info("The allocation function ends the run (a generator returned, or no work is left)")
                return
            if self._roster.any_busy:
                tries = 0
                self._receive(self._pause())
            elif not sent and not self._exit_tests.reached(self.elapsed):
                tries += 1
                if tries >= _TRIES_WITHOUT_WORK:
                    raise NoWorkError(
                        "the allocation function gives no work although all workers are idle, and no exit test "
                        f"holds ({self.hist.index} rows generated, {self.hist.sim_ended_count} evaluated)"
                        + self._why_idle()
                    )
                self._receive(0)

    def _why_idle(self) -> str:
        if not self._roster.any_persistent:
            return ""
        if len(self._roster.persistent_workers()) == len(self._roster.ids):
            return "; persistent functions keep all workers: add one for simulations, or set gen_on_manager"
        return "; persistent functions live, but have sent nothing that is left to do"

    def _give_work(self) -> int:
        sent = 0
        for worker, order in self._allocator.orders():
            self._hub.send(worker, order)
            sent += 1
        if self._kills_cancelled:
            self._send_kills()
        return sent

    def _receive(self, timeout: float) -> None:
        batch = self._hub.wait(timeout)
        if not batch:
            for observer in self._idle_observers:
                observer.idle()
            return
        self._ledger.received(batch)
        if self._ledger.failures:
            self._raise_failure()
        self._exit_tests.look_at(self._ledger.changed_rows)
        for observer in self._batch_observers:
            observer.batch(self.hist)

    def _pause(self) -> float:
        limit = self._exit_tests.wallclock_max
        return _TICK if limit is None else max(0.0, min(_TICK, limit - self.elapsed))

    def _send_kills(self) -> None:
        columns = self.hist.columns
        cancelled, told = columns["cancel_requested"], columns["kill_sent"]
        for row, worker in self._ledger.agenda.running.items():
            if cancelled[row] and not told[row]:
                self._hub.send(worker, Signal(STOP_TAG, MAN_SIGNAL_KILL))
                self._ledger.kill_sent(row)

    # ---- the end

    def _bring_home(self) -> int:
        """Stop persistent functions and wait for everybody; return the exit flag."""
        self._ledger.is_closing = True
        was_busy = self._roster.any_busy
        self._stop_persistent()
        patience: float | None = None  # when a persistent function that does not listen is given up
        while self._roster.any_busy or self._roster.any_persistent:
            if self._exit_tests.out_of_time(self.elapsed):
                patience = patience or self.elapsed + self._grace
                if not self._roster.any_persistent or self.elapsed >= patience:
                    self._warn_of_abandoned()
                    return OUT_OF_TIME
            if self._kills_cancelled:
                self._send_kills()  # what a generator has cancelled as its last act
            self._receive(self._pause() or _TICK / 10)
        return OUT_OF_TIME if was_busy and self._exit_tests.out_of_time(self.elapsed) else NORMAL

    def _stop_persistent(self) -> None:
        fields = list(self._gen_specs.get("persis_in") or [])
        rows = self._ledger.agenda.all_returned() if self._final_gen_send and fields else []
        for worker in self._roster.persistent_workers():
            if self._final_gen_send and self._roster.persistent(worker) == EVAL_GEN_TAG:
                self._hub.send(worker, self._ledger.last_order(worker, rows, fields))
            else:
                self._hub.send(worker, Signal(PERSIS_STOP, MAN_SIGNAL_KILL))
        if self._roster.count_persistent_gens():
            self.hist.inform(rows)

    def _warn_of_abandoned(self) -> None:
        running = sorted(self._ledger.agenda.running)
        text = f"rows {running[:10]} were still being evaluated and are abandoned" if running else "nothing was lost"
        logger.manager_warning("Out of time (wallclock_max) while finishing: %s", text)  # type: ignore[attr-defined]

    def _dismiss(self) -> None:
        for worker in self._roster.ids:
            self._hub.send(worker, Signal(STOP_TAG, MAN_SIGNAL_FINISH))

    def _raise_failure(self) -> None:
        worker, failure = self._ledger.failures[0]
        self._dismiss()
        self._take_what_is_here()
        raise WorkerException(f"Received error message from worker {worker}", failure.message, failure.trace)

    def _take_what_is_here(self) -> None:
        """After a failure: results that have come already are kept."""
        self._ledger.is_closing = True
        while batch := self._hub.wait(0):
            self._ledger.received([letter for letter in batch if type(letter[1]) is not Failure])


def report_worker_exc(worker: int, message: str, trace: str) -> None:
    """Log what went wrong on a worker, with its traceback, as one record: nothing can come in between."""
    text = f"---- Received error message from worker {worker} ----\nMessage: {message}"
    logger.error("%s%s", text, f"\nTraceback:\n{trace}" if trace else "")


def manager_main(manager: Manager) -> Outcome:
    """Run a manager; see `Manager.run`."""
    return manager.run()
