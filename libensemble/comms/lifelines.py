"""How a manager and its worker processes notice each other's end, whoever else holds their descriptors open.

A socket or a pipe tells of an end only once the last copy of its other side is closed, and copies are inherited by all
that a process forks: a pool of the user's, say. What is here does not depend on that where the system is Linux.
"""

import contextlib
import ctypes
import fcntl
import os
import select
import signal
import sys
from typing import Any

_PR_SET_PDEATHSIG = 1


def end_of(process: Any) -> int:
    """Return a descriptor, the caller's to close, that becomes readable when a process has ended.

    Parameters
    ----------
    process : multiprocessing.Process
        It has been started.
    """
    if hasattr(os, "pidfd_open"):
        with contextlib.suppress(OSError):  # an old kernel; or the fork server has reaped it already
            return os.pidfd_open(process.pid)
    return os.dup(process.sentinel)


def await_end(process: Any, end: int, timeout: float, grace: float) -> bool:
    """Wait up to `timeout` seconds for a process to end; return whether it has.

    Parameters
    ----------
    process : multiprocessing.Process
    end : int
        From `end_of`.
    timeout : float
    grace : float
        Seconds until the exit code of a process that has ended must be known: the fork server tells it after the end.
    """
    poll = select.poll()
    poll.register(end, select.POLLIN)
    if poll.poll(max(0.0, timeout) * 1000) and process.exitcode is None:
        process.join(grace)
    return process.exitcode is not None


def end_with_manager(manager: Any) -> None:
    """Have SIGTERM sent to this worker process when its manager ends (Linux only, elsewhere nothing).

    Otherwise a worker that is busy would notice only when it next sends or receives.

    Parameters
    ----------
    manager : multiprocessing.process.parent_process()
    """
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError, AttributeError):
        if os.getppid() == manager.pid:
            # It is the end of the thread that has started this process; a run's workers are joined by that thread.
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        else:  # a child of the fork server, which outlives the manager; it holds no copy of this pipe's other end
            fcntl.fcntl(manager.sentinel, fcntl.F_SETOWN, os.getpid())
            fcntl.fcntl(manager.sentinel, fcntl.F_SETSIG, signal.SIGTERM)
            fcntl.fcntl(manager.sentinel, fcntl.F_SETFL, fcntl.fcntl(manager.sentinel, fcntl.F_GETFL) | os.O_ASYNC)
