"""One launch of an application, and its state.

Owns `Task` and the names of its states:

    CREATED --> RUNNING --> FINISHED | FAILED | USER_KILLED
        \\-----------------> FAILED_TO_START

WAITING stands between CREATED and RUNNING for tasks that another system queues. Only the task itself changes its state;
processes are started and stopped by `utils/launcher.py`.
"""

import itertools
import logging
import os
import subprocess
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from libensemble.errors import ExecutorException, TimeoutExpired
from libensemble.executors.application import Application, jassert
from libensemble.executors.command import Command, child_environment
from libensemble.utils import launcher
from libensemble.utils.timer import TaskTimer

logger = logging.getLogger(__name__)

STATES = (
    "UNKNOWN",  # never assigned
    "CREATED",  # known here, not seen running
    "WAITING",  # queued by another system
    "RUNNING",  # seen running
    "FINISHED",  # ended by itself, return code 0
    "USER_KILLED",  # ended by kill() or cancel()
    "FAILED",  # ended by itself, another return code
    "FAILED_TO_START",  # could not be launched
)
NOT_STARTED_STATES = ("CREATED", "WAITING")
END_STATES = ("FINISHED", "USER_KILLED", "FAILED", "FAILED_TO_START")


class _TaskFiles:
    """The files of a task, in its working directory."""

    workdir: str | None
    stdout: str
    stderr: str

    def workdir_exists(self) -> bool:
        """Return whether the working directory is there."""
        return bool(self.workdir) and os.path.exists(str(self.workdir))

    def file_exists_in_workdir(self, filename: str) -> bool:
        """Return whether the working directory has such a file."""
        return bool(self.workdir) and os.path.exists(self._path(filename))

    def read_file_in_workdir(self, filename: str) -> str:
        """Return the text of a file in the working directory.

        Raises
        ------
        ValueError
            There is no such file.
        """
        if not self.file_exists_in_workdir(filename):
            raise ValueError(f"{filename} not found in working directory")
        with open(self._path(filename), errors="replace") as file:
            return file.read()

    def stdout_exists(self) -> bool:
        """Return whether the file of the standard output is there."""
        return self.file_exists_in_workdir(self.stdout)

    def read_stdout(self) -> str:
        """Return the standard output so far."""
        return self.read_file_in_workdir(self.stdout)

    def stderr_exists(self) -> bool:
        """Return whether the file of the standard error is there."""
        return self.file_exists_in_workdir(self.stderr)

    def read_stderr(self) -> str:
        """Return the standard error so far."""
        return self.read_file_in_workdir(self.stderr)

    def stderr_tail(self, lines: int = 3) -> str:
        """Return the last lines of the standard error; empty when there is none."""
        with suppress(OSError, ValueError):
            return "\n".join(self.read_stderr().strip().splitlines()[-lines:])
        return ""

    def _path(self, filename: str) -> str:
        return os.path.join(self.workdir or "", filename)


class Task(_TaskFiles):
    """One launch of an application.

    Made by the executors' `submit`. It can be asked the way a future can: `done`, `running`, `result`, `cancel`.

    Attributes
    ----------
    state : str
        One of `STATES`.
    finished : bool
        It has ended, in whatever way.
    success : bool
        It ended with return code 0 (or was a dry run).
    errcode : int or None
        Its return code, also after a kill (negative: ended by that signal).
    submit_time : float or None
        Seconds since the epoch at launch.
    runtime : float
        Seconds from launch to the last poll, or to the end.
    total_time : float or None
        Seconds from submission to the end.
    runline : str or None
        The command as text, without the script of `env_script`.
    env : dict
        Variables that this task adds to what it inherits.
    ngpus_req : int
        GPUs assigned per node.
    run_attempts : int
        Launches tried.
    process : subprocess.Popen or None
    id, name, app, app_args, workerID, workdir, stdout, stderr, dry_run, timer
    """

    newid = itertools.count()
    prefix = "libe_task"

    def __init__(
        self,
        app: Application | None = None,
        app_args: Any = None,
        workdir: str | None = None,
        stdout: str | None = None,
        stderr: str | None = None,
        workerid: int | None = None,
        dry_run: bool = False,
    ) -> None:
        jassert(app is not None, "Task must be created with an app - no app found")
        assert app is not None
        self.id = next(Task.newid)
        self.app = app
        self.app_args = app_args
        self.workerID = workerid
        worker = f"_worker{workerid}" if workerid else ""
        self.name = f"{self.prefix}_{app.name}{worker}_{self.id}"
        self.stdout = stdout or f"{self.name}.out"
        self.stderr = stderr or f"{self.name}.err"
        self.workdir = workdir
        self.dry_run = dry_run
        self.runline: str | None = None
        self.run_attempts = 0
        self.ngpus_req = 0
        self.env: dict[str, str] = {}
        self.gpus_held: dict[str, tuple[str, ...]] = {}  # by node; for other tasks of this worker to avoid
        self.procs_held: dict[str, int] = {}  # by node
        self.advice: Callable[[str], str | None] | None = None  # on what a failed task says on stderr
        self._files_to_remove: list[str] = []  # written for the launch only
        self.kill_wanted: Callable[[], bool] | None = None  # whether the manager asks for this task's end
        self.kill_grace: float | None = 60
        self.reset()

    def reset(self) -> None:
        """Take the task back to what it was before its launch."""
        self.state = "CREATED"
        self.process: Any = None
        self.errcode: int | None = None
        self.finished = False
        self.success = False
        self.submit_time: float | None = None
        self.runtime: float = 0
        self.total_time: float | None = None
        self.timer = TaskTimer()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "process": None, "kill_wanted": None}  # a process cannot leave its parent

    def _add_to_env(self, key: str, value: str) -> None:
        self.env[key] = value

    def start(self, command: Command) -> None:
        """Launch the command and start the clock.

        Raises
        ------
        OSError
            It cannot be launched, or an output file cannot be opened.
        """
        self.timer.start()
        self.submit_time = self.timer.tstart / 1000
        with open(self._path(self.stdout), "w") as out:
            same_file = self._path(self.stdout) == self._path(self.stderr)
            err: Any = subprocess.STDOUT if same_file else open(self._path(self.stderr), "w")  # noqa: SIM115
            try:
                self.process = launcher.launch(
                    command.argv,
                    cwd=self.workdir or None,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    env=child_environment({**self.env, **command.env}),
                    start_new_session=command.new_session,
                )
            finally:
                if not same_file:
                    err.close()

    def fail_to_start(self) -> None:
        """Note that the task could not be launched."""
        self.state = "FAILED_TO_START"
        self.finished = True
        self.calc_task_timing()
        self._remove_files()

    def poll(self) -> None:
        """Look at the process, and update `state`, `runtime` and what else has changed.

        Raises
        ------
        ExecutorException
            The task was never launched.
        """
        if self.finished:
            return
        if self.dry_run:
            self._set_complete()
            return
        self._check_launched()
        if self.process.poll() is None:
            self.state = "RUNNING"
            self.runtime = self.timer.elapsed
        else:
            self._set_complete()

    def wait(self, timeout: float | None = None, poll_manager: bool = False) -> None:
        """Wait for the task to end.

        Parameters
        ----------
        timeout : float, optional
            Seconds. The task is not killed when they are over.
        poll_manager : bool
            Look for kill signals of the manager meanwhile, kill the task at one, and return.

        Raises
        ------
        TimeoutExpired
            The task still runs after `timeout` seconds.
        """
        if self.finished or self.dry_run:
            self.poll()
            return
        self._check_launched()
        if poll_manager and self.kill_wanted is not None:
            ended = self._wait_with_manager(timeout)
        else:
            ended = launcher.wait(self.process, timeout) is not None
        if not ended:
            self.poll()
            if not self.finished:
                raise TimeoutExpired(self.name, timeout or 0)
        elif not self.finished:
            self._set_complete()

    def _wait_with_manager(self, timeout: float | None) -> bool:
        end = None if timeout is None else self.timer.elapsed + timeout
        while True:
            step = 0.1 if end is None else min(0.1, end - self.timer.elapsed)
            if launcher.wait(self.process, max(0.0, step)) is not None:
                return True
            if self.kill_wanted is not None and self.kill_wanted():
                self.kill(self.kill_grace)
                return True
            if end is not None and self.timer.elapsed >= end:
                return False

    def pause(self, seconds: float) -> None:
        """Wait up to some seconds, or until the process ends if that is sooner."""
        if not self.finished and self.process is not None:
            launcher.wait(self.process, max(0.0, seconds))

    def result(self, timeout: float | None = None) -> str:
        """Wait as `wait` does and return the state."""
        self.wait(timeout)
        return self.state

    def exception(self, timeout: float | None = None) -> int | None:
        """Wait as `wait` does and return the return code."""
        self.wait(timeout)
        return self.errcode

    def running(self) -> bool:
        """Return whether the task runs now."""
        self.poll()
        return self.state == "RUNNING"

    def done(self) -> bool:
        """Return whether the task has ended."""
        self.poll()
        return self.finished

    def cancelled(self) -> bool:
        """Return whether the task was killed."""
        self.poll()
        return self.state == "USER_KILLED"

    def cancel(self) -> None:
        """Ask the task to end, and wait until it has: ``kill(wait_time=None)``."""
        self.kill(wait_time=None)

    def kill(self, wait_time: float | None = 60) -> None:
        """End the task and all that it started.

        Parameters
        ----------
        wait_time : float or None
            Seconds between SIGTERM and SIGKILL. 0 kills at once; None never sends SIGKILL and waits until the task
            ends.
        """
        if self.finished:
            logger.warning(f"Trying to kill task {self.name}, which is no longer running: {self.state}")
            return
        self.poll()
        if self.dry_run:
            return
        if self.finished:
            logger.warning(f"Trying to kill task {self.name}, which has just ended: {self.state}")
            return
        logger.info(f"Killing task {self.name}")
        launcher.cancel(self.process, wait_time)
        self.note_killed()

    def note_killed(self) -> None:
        """Note that the process was stopped from here."""
        self.errcode = self.process.poll()
        self.state = "USER_KILLED"
        self.finished = True
        self.calc_task_timing()
        self._remove_files()

    def calc_task_timing(self) -> None:
        """Stop the clock and note `runtime` and `total_time`, once."""
        if self.submit_time is None:
            logger.warning(f"Timing of task {self.name} was asked for, but it was not submitted")
            return
        if self.total_time is None:
            self.timer.stop()
            self.runtime = self.timer.elapsed
            self.total_time = self.runtime

    def _set_complete(self) -> None:
        self.finished = True
        if self.dry_run:
            self.success = True
            self.state = "FINISHED"
            return
        self.calc_task_timing()
        self.errcode = self.process.returncode
        self.success = self.errcode == 0
        self.state = "FINISHED" if self.success else "FAILED"
        logger.info(f"Task {self.name} finished with errcode {self.errcode} ({self.state})")
        self._remove_files()
        self._give_advice()

    def _give_advice(self) -> None:
        advice = self.advice(self.stderr_tail(20)) if self.advice is not None and not self.success else None
        if advice:
            logger.warning(f"Task {self.name}: {advice}")

    def _check_launched(self) -> None:
        if self.process is None:
            raise ExecutorException(f"task {self.name} has no process ID - check task has been launched")

    def remove_when_ended(self, paths: list[str]) -> None:
        """Have files that only the launch needed removed at the task's end; a dry run's, and a debug log's, stay."""
        self._files_to_remove = [] if self.dry_run else paths
        if self.finished:
            self._remove_files()

    def _remove_files(self) -> None:
        if logger.isEnabledFor(logging.DEBUG):
            return
        for path in self._files_to_remove:
            with suppress(OSError):
                os.remove(path)
