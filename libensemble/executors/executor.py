"""The executor: registers applications, submits them as tasks, follows and kills the tasks.

Owns `Executor`, which launches serial applications on this machine, and shows the names that belong to executors and
tasks in one place. `Executor.executor` is the door through which a user function reaches its own worker's executor;
what it shows is kept in `utils/current.py`.
"""

import atexit
import copy
import logging
import os
import time
import weakref
from collections.abc import Sequence
from types import TracebackType
from typing import Any, TypeVar

from libensemble.errors import ExecutorException, TimeoutExpired
from libensemble.executors.application import Application, Registry, jassert, split_text
from libensemble.executors.command import (
    LIBE_SIM_DIR_PLACEHOLDER,
    SIM_DIR_VARIABLE,
    Command,
    run_line,
    sim_directory,
    wrap_in_script,
)
from libensemble.executors.follower import Follower
from libensemble.executors.gpu_settings import serial_gpu_env
from libensemble.executors.task import END_STATES, NOT_STARTED_STATES, STATES, Task
from libensemble.utils import launcher
from libensemble.utils.current import current

__all__ = [
    "END_STATES",
    "LIBE_SIM_DIR_PLACEHOLDER",
    "NOT_STARTED_STATES",
    "STATES",
    "Application",
    "Executor",
    "ExecutorException",
    "Task",
    "TimeoutExpired",
    "jassert",
]

logger = logging.getLogger(__name__)

_GRACE_AT_EXIT = 5.0

AnyExecutor = TypeVar("AnyExecutor", bound="Executor")


class _Door(type):
    """Makes ``Executor.executor`` show, and set, the executor of whoever asks."""

    @property
    def executor(cls) -> Any:
        """The executor of this worker (or of the calling script), or None."""
        return current.executor

    @executor.setter
    def executor(cls, executor: Any) -> None:
        current.executor = executor


class Executor(Registry, Follower, metaclass=_Door):
    """Launches serial applications on this machine; base of the other executors.

    The last one constructed is the one that `Executor.executor` shows in this place.

    Attributes
    ----------
    apps : dict
        Applications by name.
    default_apps : dict
        The default applications of ``"sim"`` and ``"gen"``.
    list_of_tasks : list of Task
        All tasks submitted.
    wait_time : float
        Seconds between SIGTERM and SIGKILL when this executor kills (default 60).
    subgroup_launch : bool
        Start tasks in a session of their own, so that a kill reaches all they have started (default True).
    manager_signal : int or None
        What the last `manager_poll` saw.
    workerID, comm
        The worker whose executor this is, and its communicator.
    base_dir : str
        Directory of the workflow; what ``%LIBENSEMBLE_SIM_DIR%`` is seen from.
    resources, platform_info
        What `set_resources` and `add_platform_info` were given.
    last_task : int
        Tasks that `new_tasks_timing` has told of.
    """

    def __init__(self) -> None:
        self.manager_signal = None
        self._put_back_signal = None
        self.default_apps = {"sim": None, "gen": None}
        self.apps = {}
        self.wait_time: float = 60
        self.subgroup_launch: bool | None = True
        self.list_of_tasks: list[Task] = []
        self.workerID: int | None = None
        self.comm = None
        self.last_task = 0
        self.base_dir = os.getcwd()
        self.resources: Any = None
        self.platform_info: dict[str, Any] | None = None
        self._guarded_process: int | None = None  # the process whose exit ends our tasks
        current.executor = self

    def __enter__(self: AnyExecutor) -> AnyExecutor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "comm": None, "_guarded_process": None}

    def for_worker(self: AnyExecutor, comm: Any, worker_id: int) -> AnyExecutor:
        """Return an executor for one worker: the same applications and settings, tasks of its own."""
        executor = copy.copy(self)
        executor.apps = dict(self.apps)
        executor.default_apps = dict(self.default_apps)
        executor.list_of_tasks = []
        executor.last_task = 0
        executor._put_back_signal = None
        executor.base_dir = os.getcwd()
        executor.set_gen_procs_gpus({})
        executor.set_worker_info(comm, worker_id)
        return executor

    def serial_setup(self) -> None:
        """Called once, where the manager is, before workers start."""

    def set_resources(self, resources: Any) -> None:
        """Set the `Resources` whose `worker_resources` tasks are placed on; None: no resource management."""
        self.resources = resources

    def add_platform_info(self, platform_info: dict[str, Any] | None = None) -> None:
        """Set what is known of the platform (see `libensemble.resources.platforms`)."""
        self.platform_info = platform_info or {}

    def set_gen_procs_gpus(self, libE_info: dict[str, Any]) -> None:
        """Take up what comes with a new call of a user function."""
        self._put_back_signal = None

    def set_workerID(self, workerid: int | None) -> None:
        """Set the worker whose executor this is."""
        self.workerID = workerid

    def set_worker_info(self, comm: Any = None, workerid: int | None = None) -> None:
        """Set the worker whose executor this is, and its communicator."""
        self.workerID = workerid
        self.comm = comm

    def submit(
        self,
        calc_type: str | None = None,
        app_name: str | None = None,
        app_args: str | Sequence[str] | None = None,
        stdout: str | None = None,
        stderr: str | None = None,
        dry_run: bool = False,
        wait_on_start: bool | float = False,
        env_script: str | None = None,
        num_gpus: int | None = None,
        auto_assign_gpus: bool = False,
    ) -> Task:
        """Launch an application on this machine.

        Parameters
        ----------
        calc_type : {"sim", "gen"}, optional
            Run the default application of this type.
        app_name : str, optional
            Run this application; wins over `calc_type`.
        app_args : str or sequence of str, optional
            Arguments. A string is split at white space, or as a shell does when it holds quotes.
        stdout, stderr : str, optional
            Files in the current directory; default ``<task name>.out`` and ``.err``.
        dry_run : bool
            Build the command, launch nothing; the task is finished at once.
        wait_on_start : bool or float
            Wait until the task has ended, but at most this many seconds (True: 1).
        env_script : str, optional
            A shell script that sets up the environment; the command runs at the end of a copy of it.
        num_gpus : int, optional
            Give the task this many of the worker's GPUs, by the platform's environment variable.
        auto_assign_gpus : bool
            Give the task all of the worker's GPUs.

        Returns
        -------
        Task

        Raises
        ------
        ExecutorException
            Neither name nor type is given, or there is no such application, or its file is missing.
        """
        task = self._new_task(calc_type, app_name, app_args, stdout, stderr, dry_run)
        serial_gpu_env(task, num_gpus, auto_assign_gpus, self._share(), self.platform_info or {}, self.list_of_tasks)
        words = self._app_words(task)
        if not dry_run and task.app.is_local_name(task.workdir or ""):
            words[0] = os.path.join(".", words[0])
        command = self._command(task, words, env_script, self.subgroup_launch is not False)
        return self._run(task, command, self._start_limit(wait_on_start, 1))

    # Steps of a submit

    def _new_task(
        self,
        calc_type: str | None,
        app_name: str | None,
        app_args: Any,
        stdout: str | None,
        stderr: str | None,
        dry_run: bool,
    ) -> Task:
        if app_name is not None:
            app = self.get_app(app_name)
        elif calc_type is not None:
            app = self.default_app(calc_type)
        else:
            raise ExecutorException("Either app_name or calc_type must be set")
        workdir = os.getcwd()
        if not dry_run:
            app.check_exists(workdir)
        task = Task(app, app_args, workdir, stdout, stderr, self.workerID, dry_run)
        task.kill_wanted = self.manager_kill_received
        task.kill_grace = self.wait_time
        return task

    def _share(self) -> Any:
        """Return the `Resources` that hold this worker's share, or None without resource management."""
        for resources in (self.resources, current.resources if self.resources is not None else None):
            if getattr(resources, "worker_resources", None) is not None:
                return resources
        return None

    @staticmethod
    def _app_words(task: Task) -> list[str]:
        args = task.app_args
        if args is None:
            return task.app.words()
        return task.app.words() + (split_text(args) if isinstance(args, str) else [str(arg) for arg in args])

    def _command(self, task: Task, words: Sequence[str], env_script: str | None, new_session: bool) -> Command:
        workdir = task.workdir or os.getcwd()
        sim_dir = sim_directory(workdir, self.base_dir)
        task._add_to_env(SIM_DIR_VARIABLE, sim_dir)
        words = [word.replace(LIBE_SIM_DIR_PLACEHOLDER, sim_dir) for word in words]
        task.runline = run_line(words)
        if env_script is not None:
            return Command(wrap_in_script(env_script, words, task.name, workdir), task.env, new_session)
        return Command(tuple(words), task.env, new_session)

    @staticmethod
    def _start_limit(wait_on_start: bool | float | None, default: float) -> float:
        """Return for how many seconds a submit waits: True means the default, a number itself."""
        return default if wait_on_start is True else float(wait_on_start or 0)

    def _run(self, task: Task, command: Command, start_limit: float) -> Task:
        if task.dry_run:
            logger.info(f"Test (No submit) Runline: {run_line(command.argv)}")
            task.poll()
        else:
            self._guard_exit()
            self._launch(task, command, start_limit)
        self.list_of_tasks.append(task)
        return task

    def _launch(self, task: Task, command: Command, start_limit: float) -> None:
        self._start(task, command, start_limit)

    def _start(self, task: Task, command: Command, start_limit: float, note: str = "") -> None:
        """Launch once, wait as asked, and look at the task once."""
        logger.info(f"Launching task {task.name}{note}: {run_line(command.argv)}")
        try:
            task.start(command)
        except OSError as error:
            logger.warning(f"Task {task.name} submit command failed on try {task.run_attempts or 1}: {error}")
            task.fail_to_start()
            return
        self._wait_on_start(task, start_limit)

    @staticmethod
    def _wait_on_start(task: Task, fail_time: float | None = None) -> None:
        """Wait until a task has started, then until it has ended or `fail_time` seconds are over."""
        delay = 0.001
        task.poll()
        while task.state in NOT_STARTED_STATES:
            time.sleep(delay)
            delay = min(2 * delay, 1.0)
            task.poll()
        if fail_time and not task.finished:
            task.pause(fail_time)
            task.poll()

    # Tasks that run

    def get_task(self, taskid: int) -> Task | None:
        """Return the task with an id; None, and a warning, if there is none."""
        for task in self.list_of_tasks:
            if task.id == taskid:
                return task
        logger.warning(f"Task {taskid} not found in tasklist")
        return None

    def poll(self, task: Task) -> None:
        """Update a task's state."""
        task.poll()

    def kill(self, task: Task) -> None:
        """End a task, with `wait_time` seconds between SIGTERM and SIGKILL.

        Raises
        ------
        ExecutorException
            It is no task.
        """
        jassert(isinstance(task, Task), "Invalid task has been provided")
        task.kill(self.wait_time)

    def kill_all(self, wait_time: float | None = None) -> None:
        """End every task that runs, and all that they started.

        Parameters
        ----------
        wait_time : float, optional
            Seconds between SIGTERM and SIGKILL, for all tasks together; default: `wait_time` of the executor, but at
            most 5.
        """
        grace = min(self.wait_time, _GRACE_AT_EXIT) if wait_time is None else wait_time
        tasks = [task for task in list(self.list_of_tasks) if not task.finished and task.process is not None]
        local = [task for task in tasks if hasattr(task.process, "returncode")]
        for task in tasks:
            logger.info(f"Killing task {task.name}")
        launcher.cancel_all([task.process for task in local], grace)
        for task in local:
            task.note_killed()
        for task in tasks:
            if not task.finished:
                task.kill(grace)

    def _guard_exit(self) -> None:
        """Have our tasks ended when the interpreter exits."""
        if self._guarded_process != os.getpid():
            self._guarded_process = os.getpid()
            atexit.register(_end_tasks, weakref.ref(self), os.getpid())

    def new_tasks_timing(self, datetime: bool = False) -> str:
        """Return the run times of the tasks submitted since the last call, as text for the statistics file."""
        new = self.list_of_tasks[self.last_task :]
        self.last_task = len(self.list_of_tasks)
        return "".join(
            f" Task {number}: {task.timer if datetime else task.timer.summary()}" for number, task in enumerate(new)
        )


def _end_tasks(executor: "weakref.ref[Executor]", pid: int) -> None:
    living = executor()
    if living is not None and os.getpid() == pid:  # not in a forked child, whose parent's tasks these are
        living.kill_all()
