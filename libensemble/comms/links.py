"""Comm and Hub over pipes and sockets.

A `Link` is one end of a byte stream with frames on it. A worker's `LinkComm` has one; the manager's `LinkHub` has
one per worker and waits on all of them with one selector. Workers that are threads of the manager's process post
their messages to the hub and wake it with a doorbell.

    manager                                   worker
    LinkHub -- Link ====== byte stream ====== Link -- LinkComm
       ^------ post() and a doorbell ------- ThreadComm
"""

import os
import select
import time
import traceback
from collections import deque
from collections.abc import Callable
from typing import Any

from libensemble.comms.comms import Comm, Hub, Parting
from libensemble.comms.doorbell import Doorbell
from libensemble.comms.messages import Failure, Message
from libensemble.comms.persis_post import PersisPost
from libensemble.comms.wire import HEADER, Decoder, Encoder
from libensemble.errors import CommFinishedException, Timeout

_CHUNK = 1 << 16
_ALIGNMENT = 16  # bytes: where the array of a message begins in memory
_READ = select.POLLIN
_WRITE = select.POLLOUT


class Link:
    """One end of a byte stream that carries frames.

    Parameters
    ----------
    stream : object with ``fileno()`` and ``close()``
        A connected socket or pipe end, used in both directions. The link closes it.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.fd: int = stream.fileno()
        os.set_blocking(self.fd, False)
        persis_post = PersisPost()
        self._encoder, self._decoder = Encoder(persis_post), Decoder(persis_post)
        self._rest = b""  # the beginning of a frame that has not come whole
        self._large: bytearray | None = None  # the frame being filled, when it is a large one
        self._begin = self._filled = 0  # of the frame in there, and how far it is filled
        self._outgoing: deque[Any] = deque()

    @property
    def has_outgoing(self) -> bool:
        """Whether bytes wait to be sent."""
        return bool(self._outgoing)

    def put(self, message: Message) -> None:
        """Send a message as far as the stream takes it now; the rest waits for `flush`."""
        buffers = self._encoder.encode(message)
        if not self._outgoing and len(buffers) == 1:
            buffer = buffers[0]
            try:
                sent = os.write(self.fd, buffer)
            except BlockingIOError:
                sent = 0
            if sent == len(buffer):
                return
            self._outgoing.append(memoryview(buffer)[sent:])
            return
        self._outgoing.extend(memoryview(buffer) for buffer in buffers)
        self.flush()

    def flush(self) -> None:
        """Send what waits, as far as the stream takes it now."""
        while self._outgoing:
            try:
                sent = os.write(self.fd, self._outgoing[0])
            except BlockingIOError:
                return
            if sent == len(self._outgoing[0]):
                self._outgoing.popleft()
            else:
                self._outgoing[0] = self._outgoing[0][sent:]

    def get(self) -> list[Message]:
        """Return the messages that have come whole with what the stream holds now (one read).

        Raises
        ------
        CommFinishedException
            The other end is closed.
        """
        if self._large is not None:
            return self._get_large()
        try:
            data = os.read(self.fd, _CHUNK)
        except BlockingIOError:
            return []
        except OSError as error:
            raise CommFinishedException(f"the connection broke: {error}") from error
        if not data:
            raise CommFinishedException("the other end has closed the connection")
        if self._rest:
            data = self._rest + data
        return self._split(data)

    def _split(self, data: bytes) -> list[Message]:
        messages = []
        start, size = 0, len(data)
        while size - start >= HEADER.size:
            head_length, body_length = HEADER.unpack_from(data, start)
            middle = start + HEADER.size + head_length
            end = middle + body_length
            if end > size:
                if end - start > _CHUNK:
                    self._begin_large(data[start:], middle - start, end - start)
                    start = size
                break
            body = bytearray(data[middle:end]) if body_length else b""
            try:
                messages.append(self._decoder.decode(data[start + HEADER.size : middle], body))
            except Exception as error:  # whatever objects do when they are unpacked
                messages.append(_unreadable(error))
            start = end
        self._rest = data[start:]
        return messages

    def _begin_large(self, data: bytes, middle: int, size: int) -> None:
        self._begin = -middle % _ALIGNMENT
        self._filled = self._begin + len(data)
        try:
            self._large = bytearray(self._begin + size)
        except (MemoryError, OverflowError) as error:
            raise CommFinishedException(f"there is no memory for a message of {size} bytes") from error
        self._large[self._begin : self._filled] = data

    def _get_large(self) -> list[Message]:
        frame = self._large
        assert frame is not None
        with memoryview(frame) as view:
            try:
                count = os.readv(self.fd, [view[self._filled :]])
            except BlockingIOError:
                return []
            except OSError as error:
                raise CommFinishedException(f"the connection broke: {error}") from error
        if not count:
            raise CommFinishedException("the other end closed the connection in the middle of a message")
        self._filled += count
        if self._filled < len(frame):
            return []
        self._large = None
        head_length, _ = HEADER.unpack_from(frame, self._begin)
        start = self._begin + HEADER.size
        middle = start + head_length
        try:
            return [self._decoder.decode(frame[start:middle], memoryview(frame)[middle:])]
        except Exception as error:
            return [_unreadable(error)]

    def holds_bytes(self) -> bool:
        """Return whether the stream holds bytes to read, or is closed at the other end."""
        poll = select.poll()
        poll.register(self.fd, _READ)
        return bool(poll.poll(0))

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()


def _unreadable(error: Exception) -> Failure:
    return Failure(f"a message cannot be unpacked here: {type(error).__name__}: {error}", traceback.format_exc())


class LinkComm(Comm):
    """A worker's end of a link.

    Parameters
    ----------
    stream : object with ``fileno()`` and ``close()``
    manager_sentinel : int, optional
        A file descriptor that becomes readable when the manager's process ends.
    """

    def __init__(self, stream: Any, manager_sentinel: int | None = None) -> None:
        self._link = Link(stream)
        self._inbox: deque[Message] = deque()
        self._sentinel = manager_sentinel
        self._poll = select.poll()
        self._poll.register(self._link.fd, _READ)
        if manager_sentinel is not None:
            self._poll.register(manager_sentinel, _READ)

    def send(self, message: Message) -> None:
        """Send, waiting until the other end has taken all of it; what comes in meanwhile is kept."""
        link = self._link
        try:
            link.put(message)
            while link.has_outgoing:
                self._wait_to_send()
                link.flush()
        except OSError as error:
            raise CommFinishedException(f"the manager is gone: {error}") from error

    def _wait_to_send(self) -> None:
        self._poll.modify(self._link.fd, _READ | _WRITE)
        try:
            for fd, event in self._poll.poll():
                if fd == self._sentinel:
                    raise CommFinishedException("the manager's process has ended")
                if event & _READ:
                    self._inbox.extend(self._link.get())
        finally:
            self._poll.modify(self._link.fd, _READ)

    def recv(self, timeout: float | None = None) -> Message:
        """Return the next message; see `Comm.recv`."""
        if timeout is None:
            while not self._inbox:
                self._take(None)
        else:
            self._await_message(timeout)
        return self._inbox.popleft()

    def _await_message(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while not self._inbox:
            left = max(0.0, deadline - time.monotonic())
            if not self._take(left) or (left == 0 and not self._inbox):
                raise Timeout(f"no message within {timeout} seconds")

    def ready(self) -> bool:
        """Return whether `recv` would return at once."""
        while not self._inbox and self._take(0):
            pass
        return bool(self._inbox)

    def unread(self, message: Message) -> None:
        """Put a message back, to be received next."""
        self._inbox.appendleft(message)

    def close(self) -> None:
        """Close the link."""
        self._link.close()

    def _take(self, timeout: float | None) -> bool:
        """Wait for bytes and read them; return False when none came in time."""
        events = self._poll.poll(None if timeout is None else timeout * 1000)
        for fd, _ in events:
            if fd == self._link.fd:
                self._inbox.extend(self._link.get())
                return True
        if events:
            raise CommFinishedException("the manager's process has ended")
        return False


class LinkHub(Hub):
    """The manager's end of all links, and of the workers that are threads of its own process."""

    def __init__(self) -> None:
        super().__init__()
        self._links: dict[int, Link] = {}
        self._worker_of: dict[int, int] = {}
        self._sentinels: dict[int, int] = {}
        self._last_words: dict[int, Callable[[], Parting]] = {}
        self._posted: deque[tuple[int, Message]] = deque()
        self._bell = Doorbell()
        self._has_epoll = hasattr(select, "epoll")
        self._poll: Any = select.epoll() if self._has_epoll else select.poll()
        self._poll.register(self._bell.fd, _READ)

    def add_link(
        self, worker: int, stream: Any, sentinel: int | None = None, last_words: Callable[[], Parting] | None = None
    ) -> None:
        """Listen to a worker.

        Parameters
        ----------
        worker : int
        stream : object with ``fileno()`` and ``close()``
        sentinel : int, optional
            A file descriptor that becomes readable when the worker's process ends.
        last_words : callable, optional
            Called once the worker is gone; tells how it ended.
        """
        link = Link(stream)
        self._links[worker] = link
        self._worker_of[link.fd] = worker
        self._poll.register(link.fd, _READ)
        if sentinel is not None:
            self._sentinels[sentinel] = worker
            self._poll.register(sentinel, _READ)
        if last_words is not None:
            self._last_words[worker] = last_words

    @property
    def present(self) -> set[int]:
        """Workers whose end is not known to be closed."""
        return super().present | set(self._links)

    def post(self, worker: int, message: Message) -> None:
        """Deliver a message from a worker that is a thread of this process (called on that thread)."""
        self._posted.append((worker, message))
        self._bell.ring()

    def send(self, worker: int, message: Message) -> None:
        """Send; never blocks (what the stream does not take now is sent while waiting)."""
        if self._sent_to_thread(worker, message):
            return
        link = self._links.get(worker)
        if link is None:
            return  # it is gone; the failure has been delivered or is under way
        try:
            link.put(message)
        except OSError:
            return  # the next wait finds the closed end and says so
        if link.has_outgoing:
            self._poll.modify(link.fd, _READ | _WRITE)

    def wait(self, timeout: float) -> list[tuple[int, Message]]:
        """Return what has come, as (worker, message) pairs in order; wait up to `timeout` seconds for the first."""
        batch: list[tuple[int, Message]] = []
        events = self._events(timeout)
        gone: list[int] = []
        for fd, event in events:
            worker = self._worker_of.get(fd)
            if worker is None:
                self._wake_or_sentinel(fd, gone)
                continue
            if event & _WRITE:
                self._flush(worker)
            if event & ~_WRITE:
                self._drain(worker, batch)
        for worker in gone:
            while worker in self._links and self._links[worker].holds_bytes():
                self._drain(worker, batch)
            self._drop(worker, batch)
        for _ in range(len(self._posted)):  # not more: others may post faster than this takes
            batch.append(self._posted.popleft())
        return batch

    def close(self) -> None:
        """Close all links."""
        for worker in list(self._links):
            self._forget(worker)
        if self._has_epoll:
            self._poll.close()
        self._bell.close()

    def _events(self, timeout: float) -> Any:
        if self._posted and not self._links:
            return ()
        self._bell.listening = True
        try:
            if self._posted:
                timeout = 0
            return self._poll.poll(timeout if self._has_epoll else timeout * 1000)
        finally:
            self._bell.listening = False

    def _wake_or_sentinel(self, fd: int, gone: list[int]) -> None:
        if fd == self._bell.fd:
            self._bell.answer()
        elif fd in self._sentinels:
            self._poll.unregister(fd)
            gone.append(self._sentinels.pop(fd))

    def _flush(self, worker: int) -> None:
        link = self._links[worker]
        try:
            link.flush()
        except OSError:
            return
        if not link.has_outgoing:
            self._poll.modify(link.fd, _READ)

    def _drain(self, worker: int, batch: list[tuple[int, Message]]) -> None:
        """Read once from a worker."""
        try:
            messages = self._links[worker].get()
        except CommFinishedException:
            self._drop(worker, batch)
            return
        for message in messages:
            batch.append((worker, message))

    def _drop(self, worker: int, batch: list[tuple[int, Message]]) -> None:
        """Stop listening to a worker that is gone, and say so unless it was told to go."""
        if worker not in self._links:
            return
        self._forget(worker)
        if worker in self.leaving:
            return
        tell = self._last_words.get(worker)
        parting = tell() if tell is not None else Parting("its connection was lost", "")
        batch.append((worker, Failure(f"worker {worker} died: {parting.how}", parting.words, died=True)))

    def _forget(self, worker: int) -> None:
        link = self._links.pop(worker)
        del self._worker_of[link.fd]
        self._poll.unregister(link.fd)
        link.close()
