"""Teams of processes and of threads on this machine.

A process team gives each worker a socket pair. A worker process that ends without being told to is noticed through
its closed socket and its sentinel; what it wrote as it died (a fatal signal's traceback, say) is kept in a file of its
own and told with its exit code.
"""

import contextlib
import faulthandler
import logging
import multiprocessing
import os
import pickle
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from libensemble.comms.comms import Comm, Hub, Parting, Team
from libensemble.comms.doorbell import Doorbell
from libensemble.comms.lifelines import await_end, end_of, end_with_manager
from libensemble.comms.links import LinkComm, LinkHub
from libensemble.comms.messages import Failure, Message, Report
from libensemble.errors import CommError, CommFinishedException, Timeout

logger = logging.getLogger(__name__)

_EXIT_WAIT = 2.0  # seconds for a process whose socket is closed to be gone altogether
_LAST_WORDS_LENGTH = 4000
_MARK = "LIBE_STARTED_BY"  # in the environment of a worker process, and so of all that it starts
_ORPHAN_GRACE = 1.0  # seconds between SIGTERM and SIGKILL for what a dead worker has started


class ThreadComm(Comm):
    """A worker's end when the worker is a thread of the manager's process. Messages are shared, not copied."""

    def __init__(self, worker: int, hub: Hub) -> None:
        self._worker, self._hub = worker, hub
        self._inbox: deque[Message] = deque()
        self._bell = Doorbell()
        hub.add_thread(worker, self._deliver)

    def _deliver(self, message: Message) -> None:
        self._inbox.append(message)
        self._bell.ring()

    def send(self, message: Message) -> None:
        """Send to the manager."""
        if type(message) is Report and not message.final and message.data is not None:
            # The function lives on and may write into its array again.
            message = message._replace(data=message.data.copy())
        self._hub.post(self._worker, message)

    def recv(self, timeout: float | None = None) -> Message:
        """Return the next message; see `Comm.recv`."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._inbox:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise Timeout(f"no message within {timeout} seconds")
            self._bell.wait(self._inbox, left)
        return self._inbox.popleft()

    def ready(self) -> bool:
        """Return whether `recv` would return at once."""
        return bool(self._inbox)

    def unread(self, message: Message) -> None:
        """Put a message back, to be received next."""
        self._inbox.appendleft(message)

    def close(self) -> None:
        """Give up the doorbell; the thread's end is noticed by its team."""
        self._bell.close()


class ThreadTeam(Team):
    """Workers that are threads of this process.

    Parameters
    ----------
    workers : iterable of int
        Worker ids.
    hub : Hub, optional
        Join the ends of another team (for a generator on the manager); default is a hub of its own.
    """

    def __init__(self, workers: "range | list[int]", hub: Hub | None = None) -> None:
        self.hub: Hub = hub if hub is not None else LinkHub()
        self._comms = {worker: ThreadComm(worker, self.hub) for worker in workers}
        self._threads: dict[int, threading.Thread] = {}

    def start(self, work: Callable[..., Any], *args: Any) -> None:
        """Start the threads. They are daemons: one that hangs does not keep the interpreter from ending."""
        for worker, comm in self._comms.items():
            thread = threading.Thread(
                target=self._run, args=(work, comm, worker, *args), name=f"libE worker {worker}", daemon=True
            )
            self._threads[worker] = thread
            thread.start()

    def _run(self, work: Callable[..., Any], comm: Comm, worker: int, *args: Any) -> None:
        try:
            work(comm, worker, *args)
        except BaseException as error:
            message = Failure(f"{type(error).__name__}: {error}", traceback.format_exc(), died=True)
            self.hub.post(worker, message)

    def join(self, timeout: float) -> list[int]:
        """Wait up to `timeout` seconds for all; a thread that still runs is left behind and named."""
        deadline = time.monotonic() + timeout
        for thread in self._threads.values():
            thread.join(max(0.0, deadline - time.monotonic()))
        for worker, comm in self._comms.items():
            if worker not in self._threads or not self._threads[worker].is_alive():
                comm.close()
        return [worker for worker, thread in self._threads.items() if thread.is_alive()]

    def abort(self) -> None:
        """Threads cannot be ended from outside: nothing is done."""


class ProcessTeam(Team):
    """Workers that are processes on this machine, made by `multiprocessing` with its current start method.

    Parameters
    ----------
    workers : iterable of int
        Worker ids.
    """

    def __init__(self, workers: "range | list[int]") -> None:
        self.hub: Hub = LinkHub()
        self._workers = list(workers)
        self._processes: dict[int, Any] = {}
        self._ends: dict[int, int] = {}  # descriptors that tell of a worker's end
        self._has_lost_some = False  # who died without having been told to leave
        self._folder = Path(tempfile.mkdtemp(prefix="libE_workers_"))
        self._context = multiprocessing.get_context()

    def start(self, work: Callable[..., Any], *args: Any) -> None:
        """Start the processes with ``work(comm, worker, *args)``."""
        assert isinstance(self.hub, LinkHub)
        method = self._context.get_start_method()
        _warn_of_mpi(method)
        if method == "fork":
            payload: Any = (work, args)
        else:
            # Packed by us, so that a worker that cannot unpack it says so in its own words.
            payload = _packed((work, args), method)
        ours: list[Any] = []
        for worker in self._workers:
            here, there = self._context.Pipe(duplex=True)
            ours.append(here)
            inherited = [end.fileno() for end in ours] if method == "fork" else []
            process = self._context.Process(
                target=_process_main,
                args=(there, inherited, worker, str(self._words(worker)), payload),
                name=f"libE worker {worker}",
            )
            process.start()
            there.close()
            self._processes[worker] = process
            self._ends[worker] = end_of(process)
            self.hub.add_link(worker, here, self._ends[worker], partial(self._parting, worker))

    def join(self, timeout: float) -> list[int]:
        """Wait up to `timeout` seconds for all, then terminate, then kill; return who had to be ended."""
        forced = []
        deadline = time.monotonic() + timeout
        for worker in self._processes:
            if not self._has_ended(worker, deadline - time.monotonic()):
                forced.append(worker)
        self._end(forced, timeout)
        self._clean_up()
        return forced

    def _has_ended(self, worker: int, timeout: float) -> bool:
        return await_end(self._processes[worker], self._ends[worker], timeout, _EXIT_WAIT)

    def interrupt(self, workers: Collection[int]) -> bool:
        """Send SIGTERM to these workers; see `_leave`."""
        asked = [process for worker, process in self._processes.items() if worker in workers]
        for process in asked:
            process.terminate()
        return bool(asked)

    def abort(self) -> None:
        """End all workers at once, and the processes that they have started."""
        self._end([worker for worker, process in self._processes.items() if process.exitcode is None], 1.0)
        self._clean_up()

    def _end(self, workers: list[int], grace: float) -> None:
        """Terminate, wait, kill; the processes that these have started are ended with them."""
        family = [child for worker in workers for child in _descendants(self._processes[worker].pid)]
        for worker in workers:
            self._processes[worker].terminate()
        deadline = time.monotonic() + max(grace, 0.1)
        for worker in workers:
            if not self._has_ended(worker, deadline - time.monotonic()):
                self._processes[worker].kill()
                self._has_ended(worker, _EXIT_WAIT)
        for child in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        if self._has_lost_some or any(process.exitcode for process in self._processes.values()):
            _end_orphans(str(self._folder))

    def _clean_up(self) -> None:
        for process in self._processes.values():
            if process.exitcode is not None:
                process.close()
        for end in self._ends.values():
            os.close(end)
        self._processes, self._ends = {}, {}
        shutil.rmtree(self._folder, ignore_errors=True)

    def _words(self, worker: int) -> Path:
        return self._folder / f"worker_{worker}"

    def _parting(self, worker: int) -> Parting:
        self._has_lost_some = True
        process = self._processes[worker]
        self._has_ended(worker, _EXIT_WAIT)
        words = ""
        with contextlib.suppress(OSError):
            words = self._words(worker).read_text(errors="replace")[:_LAST_WORDS_LENGTH]  # newest call first
        return Parting(f"process {process.pid} ended with {_exit_text(process.exitcode)}", words)


def _packed(payload: Any, method: str) -> bytes:
    try:
        return pickle.dumps(payload)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise CommError(
            f"the specs cannot be sent to worker processes ({method}): {error}. Functions must be importable by name, "
            "and the objects in 'user' must be picklable; or use comms='threads', which sends nothing"
        ) from error


def _exit_text(code: int | None) -> str:
    if code is None:
        return "its connection closed (the process still runs)"
    if code >= 0:
        return f"exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"exit code {code} ({name})"


def _process_main(stream: Any, inherited: list[int], worker: int, words: str, payload: Any) -> None:
    """Be a worker process: unpack the work, do it, and leave last words if that fails."""
    for fd in inherited:  # the manager's ends: a fork must not hold them open
        with contextlib.suppress(OSError):
            os.close(fd)
    parent = multiprocessing.parent_process()
    comm = LinkComm(stream, parent.sentinel if parent is not None else None)
    os.environ[_MARK] = words
    signal.set_wakeup_fd(-1)  # a fork must not tell the manager's event loop of its own signals
    signal.signal(signal.SIGTERM, _leave)
    end_with_manager(parent)
    # Ctrl-C is the manager's to handle. A handler, not SIG_IGN, which applications started from here would inherit.
    signal.signal(signal.SIGINT, lambda signum, frame: None)
    with open(words, "w", encoding="utf-8", errors="replace") as file:
        faulthandler.enable(file)
        try:
            work, args = pickle.loads(payload) if isinstance(payload, bytes) else payload
            work(comm, worker, *args)
        except CommFinishedException:
            sys.exit(1)  # the manager is gone: there is nobody to tell
        except Exception as error:
            with contextlib.suppress(CommFinishedException):
                comm.send(Failure(f"{type(error).__name__}: {error}", traceback.format_exc()))
            sys.exit(1)
        finally:
            faulthandler.disable()
            comm.close()


class Terminated(SystemExit):
    """This worker was sent SIGTERM."""

    def __str__(self) -> str:
        return "the worker process was sent SIGTERM"


def _leave(signum: int, frame: Any) -> None:
    """Turn SIGTERM into an ordinary end, so that what a worker holds is given up in order."""
    raise Terminated(128 + signum)


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _end_orphans(folder: str) -> None:
    """End what worker processes have started and, as they died, could not end themselves."""
    orphans = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):  # of other users, or just gone
            if os.path.dirname(process.environ().get(_MARK, "")) == folder:
                process.terminate()
                orphans.append(process)
    for process in psutil.wait_procs(orphans, timeout=_ORPHAN_GRACE)[1]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def _warn_of_mpi(method: str) -> None:
    """Warn when processes are to be forked although MPI has been initialised here."""
    module = sys.modules.get("mpi4py.MPI")
    if method == "fork" and module is not None and module.Is_initialized():
        logger.manager_warning(  # type: ignore[attr-defined]
            "MPI is initialised in this process, and worker processes are about to be forked from it, which may hang "
            "or crash. Import mpi4py.MPI (or petsc4py) inside the user functions, or call "
            "multiprocessing.set_start_method('spawn')"
        )
