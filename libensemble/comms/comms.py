"""The contracts of the post: Comm (one end), Hub (all ends), Team (who starts and joins workers).

A message that one end sends arrives whole, once, and in the order of sending; different workers' messages keep no
order among each other. Only the thread that owns an end may use it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from libensemble.comms.messages import Message, Signal
from libensemble.comms.queues import CommResult, CommResultErr, QComm, QCommProcess, QCommThread
from libensemble.errors import CommFinishedException, ManagerStop, RemoteException, Timeout
from libensemble.message_numbers import MAN_SIGNAL_FINISH

__all__ = [
    "Comm",
    "CommFinishedException",
    "CommResult",
    "CommResultErr",
    "Hub",
    "ManagerStop",
    "Parting",
    "QComm",
    "QCommProcess",
    "QCommThread",
    "RemoteException",
    "Team",
    "Timeout",
]


class Parting(NamedTuple):
    """How a worker ended: a phrase such as ``"exit code 3"``, and its last words (a traceback, or empty)."""

    how: str
    words: str


class Comm(ABC):
    """A worker's end."""

    @abstractmethod
    def send(self, message: Message) -> None:
        """Send a message to the manager.

        Raises
        ------
        CommFinishedException
            The manager is gone.
        """

    @abstractmethod
    def recv(self, timeout: float | None = None) -> Message:
        """Return the next message, waiting up to `timeout` seconds (None: without limit).

        Raises
        ------
        Timeout
            Nothing came in time.
        CommFinishedException
            The manager is gone.
        """

    @abstractmethod
    def ready(self) -> bool:
        """Return whether `recv` would return at once."""

    @abstractmethod
    def unread(self, message: Message) -> None:
        """Put a message back, to be received next."""

    @abstractmethod
    def close(self) -> None:
        """Give the end up; the manager sees that this worker is gone."""


class Hub(ABC):
    """The manager's ends.

    Attributes
    ----------
    leaving : set of int
        Workers that were told to finish: that they go is no failure.
    """

    def __init__(self) -> None:
        self.leaving: set[int] = set()
        self._threads: dict[int, Callable[[Message], None]] = {}

    def add_thread(self, worker: int, deliver: Callable[[Message], None]) -> None:
        """Reach a worker that is a thread of this process by calling `deliver`."""
        self._threads[worker] = deliver

    def _sent_to_thread(self, worker: int, message: Message) -> bool:
        if type(message) is Signal and message.payload == MAN_SIGNAL_FINISH:
            self.leaving.add(worker)
        deliver = self._threads.get(worker)
        if deliver is not None:
            deliver(message)
        return deliver is not None

    @property
    def present(self) -> set[int]:
        """Workers whose end is not known to be closed; a thread's never is."""
        return set(self._threads)

    @abstractmethod
    def send(self, worker: int, message: Message) -> None:
        """Send a message to a worker without blocking; to one that is gone it is dropped."""

    @abstractmethod
    def wait(self, timeout: float) -> list[tuple[int, Message]]:
        """Return all that has come as (worker, message) pairs, waiting up to `timeout` seconds for the first.

        A worker that is gone without having been told to finish appears once, with a `Failure`.
        """

    @abstractmethod
    def post(self, worker: int, message: Message) -> None:
        """Deliver a message from a worker that is a thread of this process; called on that worker's thread."""

    @abstractmethod
    def close(self) -> None:
        """Close all ends."""


class Team(ABC):
    """Who starts and joins the workers of one run.

    Attributes
    ----------
    hub : Hub
    """

    hub: Hub

    @abstractmethod
    def start(self, work: Callable[..., Any], *args: Any) -> None:
        """Start every worker with ``work(comm, worker_id, *args)``."""

    @abstractmethod
    def join(self, timeout: float) -> list[int]:
        """Wait up to `timeout` seconds for all to end, then end the rest by force; return who was forced.

        The workers have been told to finish at the same time, so they share the time that they are given.
        """

    def interrupt(self, workers: Collection[int]) -> bool:
        """Ask workers to leave what they are doing and go; return whether any could be asked (threads cannot)."""
        return False

    @abstractmethod
    def abort(self) -> None:
        """End all workers at once, and what they started."""
