"""Messages between two ranks of an MPI communicator, and the one place that imports mpi4py.

Each message is one MPI message of bytes, a pickle. Arrivals are looked for with plain probes of one sender and one
tag, never with matched probes, which some fabrics lack.
"""

import pickle
import time
from collections import deque
from typing import Any

from libensemble.errors import Timeout
from libensemble.message_numbers import PERSIS_STOP, STOP_TAG

__all__ = ["MPIComm", "MainMPIComm", "Timeout", "initialised_mpi"]

_MPI_TAG = 0  # of all messages; the tags of the ensemble are inside of them
_EAGER_LOOKS = 200  # before the first pause: an answer often comes within microseconds
_PAUSES = (1e-5, 1e-3)  # seconds between later looks: the first, and the longest


def initialised_mpi() -> Any:
    """Return the module `mpi4py.MPI`, with MPI initialised.

    Raises
    ------
    ModuleNotFoundError
        mpi4py is not installed; the message names the extra that brings it.
    """
    try:
        import mpi4py
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "mpi comms need mpi4py: pip install 'libensemble[mpi]'. "
            "To run on this machine without MPI, give --nworkers N (or nworkers=N in LibeSpecs).",
            name="mpi4py",
        ) from None
    from mpi4py import MPI

    if not mpi4py.rc.initialize and not MPI.Is_initialized():
        MPI.Init()
    return MPI


class MPIComm:
    """One end of a conversation between two ranks. Both ends are such objects; one thread uses each.

    Parameters
    ----------
    mpi_comm : mpi4py communicator
        Messages with MPI tag 0 between the two ranks are this object's; for other traffic, use a duplicate.
    remote_rank : int, default 0
        Who is at the other end.

    Raises
    ------
    ModuleNotFoundError
        mpi4py is not installed.
    ValueError
        The communicator is COMM_NULL, or has no such rank.
    """

    def __init__(self, mpi_comm: Any, remote_rank: int = 0) -> None:
        self._MPI = initialised_mpi()
        if mpi_comm == self._MPI.COMM_NULL:
            raise ValueError("this process is not part of the communicator: mpi_comm is COMM_NULL")
        if not 0 <= remote_rank < mpi_comm.Get_size():
            raise ValueError(f"remote_rank is {remote_rank}; the communicator has ranks 0 to {mpi_comm.Get_size() - 1}")
        self.mpi_comm = mpi_comm
        self.remote_rank = remote_rank
        self._buffer: deque[tuple[Any, ...]] = deque()
        self._under_way: list[tuple[Any, bytes]] = []  # sends, and what they send: it must stay in memory

    @property
    def rank(self) -> int:
        """The rank of this end."""
        return int(self.mpi_comm.Get_rank())

    def get_num_workers(self) -> int:
        """Return the number of workers: all ranks but the manager's."""
        return int(self.mpi_comm.Get_size()) - 1

    def send(self, *args: Any) -> None:
        """Send a message: the tuple of the arguments. Returns at once.

        A large message leaves only as the other end receives it, and while this end is in one of these methods; before
        the program ends, call `flush`.
        """
        content = pickle.dumps(args, 5)
        request = self.mpi_comm.Isend([content, self._MPI.BYTE], dest=self.remote_rank, tag=_MPI_TAG)
        self._under_way.append((request, content))
        self._forget_what_has_left()

    def recv(self, timeout: float | None = None) -> tuple[Any, ...]:
        """Return the next message, waiting up to `timeout` seconds (None: without limit).

        Raises
        ------
        Timeout
            Nothing came in time.
        """
        if self._buffer:
            return self._buffer.popleft()
        if not self._wait_until(self._has_arrived, timeout):
            raise Timeout(f"no message from rank {self.remote_rank} within {timeout} seconds")
        return self._take()

    def mail_flag(self) -> bool:
        """Return whether `recv` would return at once; messages that were put back count."""
        return bool(self._buffer) or self._has_arrived()

    def kill_pending(self) -> bool:
        """Return whether the next message is a stop or kill signal, without taking it."""
        if not self._buffer and self._has_arrived():
            self._buffer.append(self._take())
        first = self._buffer[0][0] if self._buffer and self._buffer[0] else None
        return isinstance(first, int) and first in (STOP_TAG, PERSIS_STOP)

    def push_to_buffer(self, *args: Any) -> None:
        """Put a message back, to be received next."""
        self._buffer.appendleft(args)

    def flush(self, timeout: float | None = None) -> None:
        """Wait up to `timeout` seconds (None: without limit) until all that was sent has left.

        Raises
        ------
        Timeout
            Some of it has not.
        """
        if not self._wait_until(self._forget_what_has_left, timeout):
            raise Timeout(
                f"{len(self._under_way)} messages have not left for rank {self.remote_rank} within {timeout} seconds"
            )

    def _has_arrived(self) -> bool:
        return bool(self.mpi_comm.Iprobe(source=self.remote_rank, tag=_MPI_TAG))

    def _take(self) -> tuple[Any, ...]:
        """Return a message that has arrived."""
        status = self._MPI.Status()
        self.mpi_comm.Probe(source=self.remote_rank, tag=_MPI_TAG, status=status)
        content = bytearray(status.Get_count(self._MPI.BYTE))
        self.mpi_comm.Recv([content, self._MPI.BYTE], source=self.remote_rank, tag=_MPI_TAG)
        message: tuple[Any, ...] = pickle.loads(content)
        return message

    def _forget_what_has_left(self) -> bool:
        """Return whether all has left; asking also makes MPI go on with it."""
        if self._under_way:
            self._under_way = [(request, content) for request, content in self._under_way if not request.Test()]
        return not self._under_way

    def _wait_until(self, is_so: Any, timeout: float | None) -> bool:
        """Look until `is_so()` or time is up; return whether it is. MPI itself would wait with a busy processor."""
        deadline = None if timeout is None else time.monotonic() + timeout
        looks, (pause, longest) = 0, _PAUSES
        while not is_so():
            if deadline is not None and time.monotonic() >= deadline:
                return False
            looks += 1
            if looks > _EAGER_LOOKS:
                time.sleep(pause)
                pause = min(2 * pause, longest)
        return True


class MainMPIComm(MPIComm):
    """An `MPIComm` whose messages are pairs (tag, payload); the other end may be of either class."""

    def send(self, tag: int, payload: Any) -> None:  # type: ignore[override]
        """Send a payload under a tag (see `message_numbers`). Returns at once; see `MPIComm.send`."""
        super().send(int(tag), payload)

    def recv(self, timeout: float | None = None) -> tuple[int, Any]:
        """Return the next (tag, payload), waiting up to `timeout` seconds (None: without limit).

        Raises
        ------
        Timeout
            Nothing came in time.
        """
        tag, payload = super().recv(timeout)
        return tag, payload

    def push_to_buffer(self, tag: int, payload: Any) -> None:  # type: ignore[override]
        """Put a message back, to be received next."""
        super().push_to_buffer(int(tag), payload)
