"""A function run in a thread or process of its own, and two-way messages with it.

::

    caller: QCommThread / QCommProcess                      function: QComm
        send(*message)   ---------- inbox ---------->           recv(timeout)
        recv(timeout)    <--------- outbox ----------           send(*message)
        result(timeout)  <-- CommResult, CommResultErr --   its return value, or what it raised

For generators that run beside their caller. The workers of an ensemble use `links.py` and `local.py`.
A message is the tuple of what was given to `send`.
"""

import atexit
import contextvars
import copy
import multiprocessing
import queue
import threading
import time
import traceback
import weakref
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from libensemble.errors import CommError, CommFinishedException, RemoteException, Timeout

_LOOK_SECONDS = 0.5  # how often to look whether the other process lives, while nothing comes


@dataclass(frozen=True, slots=True)
class CommResult:
    """What the function returned."""

    value: Any


@dataclass(frozen=True, slots=True)
class CommResultErr:
    """What the function raised: ``"<Type>: <text>"``, and the traceback as text."""

    msg: str
    exc: str


class QComm:
    """One end of a pair of queues.

    Parameters
    ----------
    inbox, outbox : queue.Queue, multiprocessing.Queue or the like
        What this end receives from and sends to.
    nworkers : int, optional
        What `get_num_workers` returns.
    copy_msg : bool, default False
        Send deep copies, so that the other end (a thread) never shares an object with this one.
    """

    def __init__(self, inbox: Any, outbox: Any, nworkers: int | None = None, copy_msg: bool = False) -> None:
        self._inbox = inbox
        self._outbox = outbox
        self._nworkers = nworkers
        self._copy_msg = copy_msg
        self._buffer: deque[tuple[Any, ...]] = deque()

    def get_num_workers(self) -> int | None:
        """Return the number of workers of the ensemble."""
        return self._nworkers

    def send(self, *message: Any) -> None:
        """Send a message; returns at once."""
        self._outbox.put(copy.deepcopy(message) if self._copy_msg else message)

    def recv(self, timeout: float | None = None) -> Any:
        """Return the next message, waiting up to `timeout` seconds (None: without limit).

        Raises
        ------
        Timeout
            Nothing came in time.
        CommFinishedException
            The other end is gone (where the queues can tell).
        """
        if self._buffer:
            return self._buffer.popleft()
        try:
            return self._inbox.get(timeout=timeout)
        except queue.Empty:
            raise Timeout(f"no message within {timeout} seconds") from None

    def mail_flag(self) -> bool:
        """Say whether `recv` would return at once; messages put back count."""
        return bool(self._buffer) or not self._inbox.empty()

    def push_to_buffer(self, *message: Any) -> None:
        """Put a message back, to be received next."""
        self._buffer.appendleft(message)


class QCommLocal(ABC):
    """The caller's end; see `QCommThread` and `QCommProcess`.

    Parameters
    ----------
    main : callable
        Called as ``main(comm, *args, **kwargs)`` with the function's own end.
    nworkers : int or None
        What the function's end answers to `get_num_workers`.
    user_function : bool, default False
        Call ``main(*args, **kwargs)``: the function has its communicator elsewhere.
    """

    def __init__(
        self, main: Callable[..., Any], nworkers: int | None, *args: Any, user_function: bool = False, **kwargs: Any
    ) -> None:
        self._call = (main, args, kwargs, user_function)
        self._nworkers = nworkers
        self._buffer: deque[Any] = deque()
        self._outcome: CommResult | CommResultErr | None = None
        self._prepare()

    # What a kind of execution brings along.

    _kind = ""

    @abstractmethod
    def _prepare(self) -> None:
        """Make the queues, and the thread or process, which does not run yet."""

    @abstractmethod
    def run(self) -> None:
        """Start the function."""

    @abstractmethod
    def send(self, *message: Any) -> None:
        """Send a message; if the function has ended, nobody receives it."""

    @abstractmethod
    def terminate(self, timeout: float | None = None) -> None:
        """End the function's life as far as that is possible, waiting up to `timeout` seconds.

        Raises
        ------
        Timeout
            It is still alive.
        """

    @property
    @abstractmethod
    def running(self) -> bool:
        """Whether the thread or process is alive."""

    @abstractmethod
    def _take(self, timeout: float | None) -> Any:
        """Return the next message or the outcome; raise Timeout."""

    @abstractmethod
    def _has_mail(self) -> bool: ...

    @abstractmethod
    def _join(self, timeout: float | None) -> None: ...

    # The same for all.

    def get_num_workers(self) -> int | None:
        """Return the number of workers given at construction."""
        return self._nworkers

    def push_to_buffer(self, *message: Any) -> None:
        """Put a message back, to be received next."""
        self._buffer.appendleft(message)

    def mail_flag(self) -> bool:
        """Say whether `recv` would return or raise at once."""
        return bool(self._buffer) or (self._outcome is None and self._has_mail())

    def recv(self, timeout: float | None = None) -> Any:
        """Return the next message, waiting up to `timeout` seconds (None: without limit).

        Raises
        ------
        Timeout
            Nothing came in time.
        CommFinishedException
            The function has returned, raised, or died; `result` tells more.
        """
        if self._buffer:
            return self._buffer.popleft()
        if self._outcome is None:
            message = self._take(timeout)
            if not isinstance(message, CommResult | CommResultErr):
                return message
            self._outcome = message
        raise CommFinishedException(
            self._outcome.msg if isinstance(self._outcome, CommResultErr) else "the function has returned"
        )

    def result(self, timeout: float | None = None) -> Any:
        """Wait up to `timeout` seconds for the function to end, and return what it returned.

        Messages that it sent remain to be received.

        Raises
        ------
        Timeout
            It did not end in time.
        RemoteException
            It raised, or its process died; `exc` holds the traceback, if there is one.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        outcome = self._await_outcome(deadline)
        self._join(_left(deadline))
        if self.running:
            raise Timeout(f"the function has ended, but its {self._kind} has not within {timeout} seconds")
        if isinstance(outcome, CommResultErr):
            raise RemoteException(outcome.msg, outcome.exc)
        return outcome.value

    def _await_outcome(self, deadline: float | None) -> CommResult | CommResultErr:
        while self._outcome is None:
            message = self._take(_left(deadline))
            if isinstance(message, CommResult | CommResultErr):
                self._outcome = message
            else:
                self._buffer.append(message)
        return self._outcome

    def __enter__(self) -> "QCommLocal":
        self.run()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if kind is not None:
            self.terminate(_LOOK_SECONDS)
            return
        self._await_outcome(None)  # a process does not end before its messages are taken
        self._join(None)


class QCommThread(QCommLocal):
    """A function in a thread of its own. Messages are copied, as if it were elsewhere.

    See Also
    --------
    QCommLocal : parameters and methods.
    """

    _kind = "thread"

    def _prepare(self) -> None:
        self._inbox: queue.Queue[Any] = queue.Queue()
        self._outbox: queue.Queue[Any] = queue.Queue()
        comm = QComm(self._inbox, self._outbox, self._nworkers, copy_msg=True)
        context = contextvars.copy_context()  # it writes its log lines and finds its executor as its caller does
        self.thread = threading.Thread(
            target=context.run, args=(_serve, self._call, comm, self._outbox.put), daemon=True
        )

    def run(self) -> None:
        """Start the function."""
        self.thread.start()

    def send(self, *message: Any) -> None:
        """Send a message; if the function has ended, nobody receives it."""
        self._inbox.put(copy.deepcopy(message))

    def terminate(self, timeout: float | None = None) -> None:
        """Wait up to `timeout` seconds for the thread to end: it cannot be forced to. Timeout if it has not."""
        self._join(timeout)
        if self.running:
            raise Timeout(f"a thread cannot be forced to end; it is still running after {timeout} seconds")

    @property
    def running(self) -> bool:
        """Whether the thread is alive."""
        return self.thread.is_alive()

    def _take(self, timeout: float | None) -> Any:
        try:
            return self._outbox.get(timeout=timeout)
        except queue.Empty:
            raise Timeout(f"no message within {timeout} seconds") from None

    def _has_mail(self) -> bool:
        return not self._outbox.empty()

    def _join(self, timeout: float | None) -> None:
        if self.thread.ident is not None:
            self.thread.join(timeout)


class QCommProcess(QCommLocal):
    """A function in a process of its own, started by the default method of `multiprocessing`.

    What it sends waits in a pipe: a large message lets the function go on only when the caller receives it.

    See Also
    --------
    QCommLocal : parameters and methods.
    """

    _kind = "process"

    def _prepare(self) -> None:
        self._inbox: Any = multiprocessing.Queue()
        self._inbox.cancel_join_thread()  # what a dead process did not read must not hold up this one's end
        self._mail, self._their_end = multiprocessing.Pipe(duplex=False)
        self.process = multiprocessing.Process(
            target=_serve_process, args=(self._call, self._inbox, self._their_end, self._nworkers)
        )
        self._started = False

    def run(self) -> None:
        """Start the function."""
        self.process.start()
        self._their_end.close()  # so that its death closes the pipe
        self._started = True
        _alive.add(self)

    def send(self, *message: Any) -> None:
        """Send a message; if the function has ended, nobody receives it."""
        self._inbox.put(message)

    def terminate(self, timeout: float | None = None) -> None:
        """Send SIGTERM and wait up to `timeout` seconds; Timeout if the process is still alive."""
        if self._started:
            self.process.terminate()
            self.process.join(timeout)
        if self.running:
            raise Timeout(f"process {self.process.pid} is still alive {timeout} seconds after SIGTERM")

    @property
    def running(self) -> bool:
        """Whether the process is alive."""
        return self.process.is_alive()

    def _take(self, timeout: float | None) -> Any:
        if not self._started:
            raise CommError("the function has not been started: call run() first")
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._mail.poll():
            left = _left(deadline)
            # The sentinel may be held open by processes that the function started; so look now and then.
            wait([self._mail, self.process.sentinel], _LOOK_SECONDS if left is None else min(left, _LOOK_SECONDS))
            if not self.process.is_alive() and not self._mail.poll():
                return self._death()
            if left == 0 and not self._mail.poll():
                raise Timeout(f"no message within {timeout} seconds")
        try:
            return self._mail.recv()
        except (EOFError, OSError):
            return self._death()

    def _death(self) -> CommResultErr:
        self.process.join(_LOOK_SECONDS)
        code = self.process.exitcode
        how = f"was killed by signal {-code}" if code is not None and code < 0 else f"ended with exit code {code}"
        return CommResultErr(f"process {self.process.pid} {how} before its function returned", "")

    def _has_mail(self) -> bool:
        return self._started and (self._mail.poll() or not self.process.is_alive())

    def _join(self, timeout: float | None) -> None:
        if self._started:
            self.process.join(timeout)


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())


# -- In the thread or process of the function ------------------------------------------------------------------------

_Call = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any], bool]


def _serve(call: _Call, comm: QComm, report: Callable[[Any], None]) -> None:
    main, args, kwargs, user_function = call
    try:
        value = main(*args, **kwargs) if user_function else main(comm, *args, **kwargs)
        report(CommResult(value))
    except (Exception, SystemExit, KeyboardInterrupt) as error:  # also a value that cannot be sent
        report(CommResultErr(f"{type(error).__name__}: {error}", traceback.format_exc()))


def _serve_process(call: _Call, inbox: Any, outbox: "Connection[Any, Any]", nworkers: int | None) -> None:
    _serve(call, QComm(_Inbox(inbox), _Outbox(outbox), nworkers), outbox.send)


class _Inbox:
    """The function's inbox; it notices when the caller's process is gone."""

    def __init__(self, mail: Any) -> None:
        self._mail = mail

    def empty(self) -> bool:
        return self._mail.empty()

    def get(self, timeout: float | None = None) -> Any:
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            left = _left(deadline)
            try:
                return self._mail.get(timeout=_LOOK_SECONDS if left is None else min(left, _LOOK_SECONDS))
            except queue.Empty:
                caller = multiprocessing.parent_process()
                if caller is not None and not caller.is_alive():
                    raise CommFinishedException("the process of the caller is gone") from None
                if left is not None and left <= _LOOK_SECONDS:
                    raise


class _Outbox:
    """The function's outbox."""

    def __init__(self, connection: "Connection[Any, Any]") -> None:
        self._connection = connection

    def put(self, message: Any) -> None:
        try:
            self._connection.send(message)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise CommFinishedException("the caller does not receive any more") from error


_alive: "weakref.WeakSet[QCommProcess]" = weakref.WeakSet()


@atexit.register
def _end_processes() -> None:
    """Do not let the interpreter wait for ever, at its end, for functions that wait for messages."""
    for comm in list(_alive):
        if comm.running:
            comm.process.terminate()
