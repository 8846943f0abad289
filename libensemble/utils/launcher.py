"""Start, wait for and stop a child process.

Owns the ways a process ends: waiting that wakes when the process ends, and stopping that leaves nothing behind. What
is stopped is the whole tree: the process group of a child that leads one, what left that group but is still in its
session, and the descendants known when the stopping began. A child that leads no group (some launchers want to forward
signals themselves) is asked first, alone; its descendants follow only if they outlive it.
"""

import contextlib
import logging
import os
import select
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import psutil

logger = logging.getLogger(__name__)

_POSIX = os.name == "posix"
_AFTER_KILL = 10.0  # seconds to wait for what SIGKILL was sent to; what stays longer hangs in the kernel


def form_command(cmd_template: Sequence[str], specs: Mapping[str, Any]) -> list[str]:
    """Fill a command's template and split it into words.

    Parameters
    ----------
    cmd_template : sequence of str
        Texts with fields as in `str.format`. One that names a missing field is left out whole.
    specs : mapping
        The fields' values; None counts as missing.

    Returns
    -------
    list of str
        The words; quotes stay in them.
    """
    given = {name: value for name, value in specs.items() if value is not None}
    words: list[str] = []
    for text in cmd_template:
        with contextlib.suppress(KeyError):
            words += shlex.split(text.format(**given), posix=False)
    return words


def launch(
    cmd_template: Sequence[str], specs: Mapping[str, Any] | None = None, **kwargs: Any
) -> "subprocess.Popen[Any]":
    """Start a command and return its process; `kwargs` go to `subprocess.Popen`.

    Raises
    ------
    OSError
        The command cannot be started.
    """
    command = list(cmd_template) if specs is None else form_command(cmd_template, specs)
    return subprocess.Popen(command, **kwargs)


def wait(process: "subprocess.Popen[Any]", timeout: float | None = None) -> int | None:
    """Wait for a process to end, for at most `timeout` seconds (None: without limit).

    Returns
    -------
    int or None
        Its return code; None when it still runs.
    """
    if timeout is not None and process.poll() is None and not _sleep_on_pidfd(process.pid, timeout):
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout)
    return process.wait() if timeout is None else process.poll()


def _sleep_on_pidfd(pid: int, timeout: float) -> bool:
    """Sleep until the process ends or the time is over; False where the system cannot do that."""
    if not hasattr(os, "pidfd_open"):
        return False
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        poll.poll(max(0.0, timeout) * 1000)
    finally:
        os.close(descriptor)
    return True


def process_is_stopped(process: "subprocess.Popen[Any]", timeout: float) -> bool:
    """Return whether the process has ended within `timeout` seconds."""
    return wait(process, timeout) is not None


def terminatepg(process: "subprocess.Popen[Any]") -> bool:
    """Send SIGTERM to the process, and to its group if it leads one; return False when it is gone already."""
    return _signal(process, signal.SIGTERM)


def killpg(process: "subprocess.Popen[Any]") -> bool:
    """Send SIGKILL to the process, and to its group if it leads one; return False when it is gone already."""
    return _signal(process, getattr(signal, "SIGKILL", signal.SIGTERM))


def _signal(process: "subprocess.Popen[Any]", number: int) -> bool:
    if process.returncode is not None:
        return False  # its id may belong to another process by now
    try:
        if _POSIX and os.getpgid(process.pid) == process.pid:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
    except OSError:
        return False
    return True


def wait_and_kill(process: "subprocess.Popen[Any]", timeout: float | None) -> int | None:
    """Wait up to `timeout` seconds (None: without limit), then kill; return the return code."""
    if wait(process, timeout) is None:
        return cancel(process, 0)
    return process.returncode


def cancel(process: "subprocess.Popen[Any]", timeout: float | None = 0) -> int | None:
    """Stop a process and all that it started.

    Parameters
    ----------
    process : subprocess.Popen
    timeout : float or None
        Seconds between SIGTERM and SIGKILL. 0 kills at once; None sends SIGTERM only and waits for the process to end,
        however long it takes.

    Returns
    -------
    int or None
        The return code; None for a process that even SIGKILL did not end (one that hangs in the kernel).
    """
    cancel_all([process], timeout)
    return process.poll()


def cancel_all(processes: Iterable["subprocess.Popen[Any]"], timeout: float | None = 0) -> None:
    """Stop several processes as `cancel` does, in one grace period for all of them."""
    trees = [_Tree(process) for process in processes if process.poll() is None]
    if timeout != 0:
        for tree in trees:
            tree.ask()
        if timeout is None:
            for tree in trees:
                tree.wait_for_end()
            return
        _until(lambda: _all_gone(trees), timeout)
    for tree in trees:
        tree.kill()
    if not _until(lambda: _all_gone(trees), _AFTER_KILL):
        left = sorted(pid for tree in trees for pid in tree.left())
        logger.warning(f"Processes {left} are still there {_AFTER_KILL:.0f} s after SIGKILL")


def _until(condition: Callable[[], bool], timeout: float) -> bool:
    """Ask for a condition at growing intervals, for at most `timeout` seconds; return what it was last."""
    end = time.monotonic() + timeout
    delay = 0.001
    while not condition():
        remaining = end - time.monotonic()
        if remaining <= 0:
            return False
        time.sleep(min(delay, remaining))
        delay = min(2 * delay, 0.05)
    return True


class _Tree:
    """A process that was started here, and all that it started.

    The process is not reaped before the rest is dealt with: as long as its id is taken, signals to its group cannot
    reach a stranger.
    """

    def __init__(self, process: "subprocess.Popen[Any]") -> None:
        self.process = process
        self.leads_session = _POSIX and _session(process.pid) == process.pid
        self._others: dict[int, psutil.Process] = {}
        self._asked = False
        self._note_descendants()

    def ask(self) -> None:
        """Send SIGTERM to the group, or to the process alone if it leads none."""
        terminatepg(self.process)

    def ask_rest(self) -> None:
        """Send SIGTERM, once, to what outlives the process and had no SIGTERM with its group."""
        if self._asked:
            return
        self._asked = True
        self._note_session()
        for pid, other in self._others.items():
            if _group(pid) != self.process.pid:
                with contextlib.suppress(psutil.Error):
                    other.terminate()

    def wait_for_end(self) -> None:
        """Wait for the process to end, ask the rest to end too, and reap the process."""
        while not _has_ended(self.process):
            if not _sleep_on_pidfd(self.process.pid, 60):
                time.sleep(0.02)
        self.ask_rest()
        self.process.wait()

    def kill(self) -> None:
        """Send SIGKILL to everything."""
        self._note_descendants()
        self._note_session()
        killpg(self.process)
        for other in self._others.values():
            with contextlib.suppress(psutil.Error):
                other.kill()

    def is_gone(self) -> bool:
        """Return whether nothing of the tree runs; what outlives the process is asked to end."""
        if not _has_ended(self.process):
            return False
        left = self.left()
        if left:
            self.ask_rest()
        else:
            self.process.poll()
        return not left

    def left(self) -> list[int]:
        """Return the ids of what still runs."""
        self._note_session()
        left = [pid for pid, other in self._others.items() if _runs(other)]
        return left if _has_ended(self.process) else [self.process.pid, *left]

    def _note_descendants(self) -> None:
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(self.process.pid).children(recursive=True):
                self._others.setdefault(child.pid, child)

    def _note_session(self) -> None:
        if not self.leads_session or self.process.returncode is not None:
            return
        for pid in psutil.pids():
            if pid != self.process.pid and pid not in self._others and _session(pid) == self.process.pid:
                with contextlib.suppress(psutil.Error):
                    self._others[pid] = psutil.Process(pid)


def _all_gone(trees: "list[_Tree]") -> bool:
    gone = [tree.is_gone() for tree in trees]  # each one is looked at: looking also asks what is left to end
    return all(gone)


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def _group(pid: int) -> int | None:
    try:
        return os.getpgid(pid) if _POSIX else None
    except OSError:
        return None


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _has_ended(process: "subprocess.Popen[Any]") -> bool:
    """Return whether a process has ended, and leave its id taken where the system allows that."""
    if process.returncode is not None:
        return True
    if sys.platform == "win32" or not hasattr(os, "waitid"):
        return process.poll() is not None
    try:
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:  # reaped elsewhere
        return process.poll() is not None
