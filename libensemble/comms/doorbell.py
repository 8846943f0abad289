"""Doorbell: one thread of a process wakes another that waits for something to come into a queue.

A pipe, rung only while somebody listens. It costs less than a lock hand-over between threads, and a selector can
wait on it together with sockets.
"""

import os
import select
from collections.abc import Sized

_CHUNK = 4096


class Doorbell:
    """Wakes the one thread that waits on it.

    Attributes
    ----------
    fd : int
        Readable after a ring; for who waits with a selector (and then calls `answer`).
    listening : bool
        Set it before looking into the queue for the last time, then wait: a ring cannot be missed.
    """

    __slots__ = ("_is_open", "_poll", "_write", "fd", "listening")

    def __init__(self) -> None:
        self._is_open = False
        self.fd, self._write = os.pipe()
        self._is_open = True
        os.set_blocking(self.fd, False)
        os.set_blocking(self._write, False)
        self.listening = False
        self._poll = select.poll()
        self._poll.register(self.fd, select.POLLIN)

    def ring(self) -> None:
        """Wake who listens; called after something was put into the queue, on any thread."""
        if self.listening:
            self.listening = False  # one ring is enough
            try:  # noqa: SIM105 -- suppress() costs more
                os.write(self._write, b"\0")
            except BlockingIOError:
                pass  # it is full of rings: who listens will wake

    def answer(self) -> None:
        """Take the rings that have come."""
        os.read(self.fd, _CHUNK)

    def wait(self, queue: Sized, timeout: float | None) -> None:
        """Wait until something is in `queue`, at most `timeout` seconds (None: without limit)."""
        self.listening = True
        try:
            if not queue and self._poll.poll(None if timeout is None else timeout * 1000):
                self.answer()
        finally:
            self.listening = False

    def close(self) -> None:
        """Give up the pipe."""
        if self._is_open:
            self._is_open = False
            os.close(self.fd)
            os.close(self._write)

    __del__ = close  # of a thread that was left behind, or never started
