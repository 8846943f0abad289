"""Stopwatches: how long something took, and when.

Owns `Timer` and `TaskTimer`. Dates are local wall-clock time; lengths come from the monotonic clock, so that a change
of the system's clock does not bend them.
"""

import time
from types import TracebackType


def _date(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(seconds))}.{rest:03d}"


class Timer:
    """A stopwatch that adds up its intervals.

    Attributes
    ----------
    tstart, tend : int
        Start and end of the last interval, in milliseconds since the epoch (0 before there is one).
    tcum : int
        Milliseconds in all intervals that have ended.
    timing : bool
        Whether an interval is open.

    Examples
    --------
    >>> with Timer() as timer:
    ...     pass
    >>> timer.elapsed < 1
    True
    """

    def __init__(self) -> None:
        self.tstart = 0
        self.tend = 0
        self.tcum = 0
        self.timing = False
        self._mark = 0.0

    def start(self) -> None:
        """Open an interval; one that is open is dropped."""
        self.tstart = int(time.time() * 1000)
        self._mark = time.monotonic()
        self.timing = True

    def stop(self) -> None:
        """Close the open interval; does nothing when there is none."""
        if not self.timing:
            return
        self.tend = self._now()
        self.tcum += self.tend - self.tstart
        self.timing = False

    def _now(self) -> int:
        return self.tstart + int((time.monotonic() - self._mark) * 1000)

    @property
    def elapsed(self) -> float:
        """Seconds since the open interval began, or else the length of the last one."""
        return ((self._now() if self.timing else self.tend) - self.tstart) / 1000

    @property
    def total(self) -> float:
        """Seconds in all intervals, the open one included."""
        return self.tcum / 1000 + (self.elapsed if self.timing else 0.0)

    @property
    def date_start(self) -> str:
        """When the last interval began, as ``YYYY-mm-dd HH:MM:SS.mmm``."""
        return _date(self.tstart)

    @property
    def date_end(self) -> str:
        """When the last interval ended (now, while it is open), as ``YYYY-mm-dd HH:MM:SS.mmm``."""
        return _date(self._now() if self.timing else self.tend)

    def __str__(self) -> str:
        return f"Time: {self.total:.3f} Start: {self.date_start} End: {self.date_end}"

    def __enter__(self) -> "Timer":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class TaskTimer(Timer):
    """A stopwatch that writes itself as the statistics file shows tasks."""

    def summary(self) -> str:
        """Return the total seconds with three decimals."""
        return f"{self.total:.3f}"

    def __str__(self) -> str:
        return f"{self.total:.3f} Tstart: {self.date_start} Tend: {self.date_end}"
