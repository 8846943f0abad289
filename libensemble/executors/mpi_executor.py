"""The executor of MPI applications.

Owns `MPIExecutor`: what `submit` is given becomes a `Wish`, a `Layout` says where it lies, an `MPIRunner` says how that
is written, and the task is launched, again if need be.

    submit --Wish--> Layout.place --Placement--> runner.words --Command--> Task
"""

import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from libensemble.errors import ExecutorException
from libensemble.executors.command import Command
from libensemble.executors.executor import Executor
from libensemble.executors.extra_args import ExtraArgs
from libensemble.executors.layout import Layout, Wish
from libensemble.executors.mpi_runner import MPIRunner, check_runner_type
from libensemble.executors.task import Task
from libensemble.resources.mpi_resources import Placement, Request, get_MPI_variant, write_machinefile

__all__ = ["Executor", "ExecutorException", "MPIExecutor", "MPIRunner", "Task", "get_MPI_variant"]

logger = logging.getLogger(__name__)


class MPIExecutor(Executor):
    """Launches MPI applications by the MPI runner of this machine.

    Parameters
    ----------
    custom_info : dict, optional
        What is not to be found out: ``mpi_runner`` (mpich, openmpi, aprun, srun, jsrun, msmpi, flux or custom),
        ``runner_name`` (text at the front of the run line), ``subgroup_launch`` (start tasks in a new session),
        ``default_mpi_options`` (instead of the runner's own, such as ``--exact`` of srun; may be empty).

    Attributes
    ----------
    max_launch_attempts : int
        Launches tried for each task (default 5); also known as `max_submit_attempts`.
    fail_time : float
        With ``wait_on_start=True``: a task that ends within these seconds has failed to start well (default 2).
    retry_delay_incr : float
        The k-th retry waits k times these seconds (default 5).
    retry_app_failures : bool
        Launch again also when the application itself has failed within the start (default True). If False, only
        launches that failed as such are tried again.
    mpi_runner_type, runner_name, subgroup_launch
        As in `custom_info`; None is found out.
    mpi_runner_obj : MPIRunner or None
    gen_nprocs, gen_ngpus : int or None
        What the generator said of this call's processes and GPUs.

    Raises
    ------
    ExecutorException
        `custom_info` names a runner that does not exist.
    """

    def __init__(self, custom_info: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        info = dict(custom_info or {})
        if info.get("mpi_runner") is not None:
            check_runner_type(info["mpi_runner"])
        self.max_launch_attempts = 5
        self.fail_time: float = 2
        self.retry_delay_incr: float = 5
        self.retry_app_failures = True
        self.mpi_runner_type: str | None = info.get("mpi_runner")
        self.runner_name: str | None = info.get("runner_name")
        self.subgroup_launch = info.get("subgroup_launch")
        self.default_mpi_options: str | None = info.get("default_mpi_options")
        self.mpi_runner_obj: MPIRunner | None = None
        self._filled_in: dict[str, Any] = {}  # settings that the platform or detection gave, not the user
        self._built_from: tuple[Any, ...] | None = None
        self.gen_nprocs: int | None = None
        self.gen_ngpus: int | None = None

    @property
    def max_submit_attempts(self) -> int:
        """The same as `max_launch_attempts`."""
        return self.max_launch_attempts

    @max_submit_attempts.setter
    def max_submit_attempts(self, attempts: int) -> None:
        self.max_launch_attempts = attempts

    def add_platform_info(self, platform_info: dict[str, Any] | None = None) -> None:
        """Settle the runner: what the user said wins, then what the platform says, then what is found here."""
        super().add_platform_info(platform_info)
        for name, value in self._filled_in.items():  # of an earlier run
            if getattr(self, name) == value:
                setattr(self, name, None)
        found = {
            "mpi_runner_type": self.mpi_runner_type or (platform_info or {}).get("mpi_runner") or get_MPI_variant(),
            "runner_name": self.runner_name or (platform_info or {}).get("runner_name"),
        }
        self._filled_in = {name: value for name, value in found.items() if getattr(self, name) is None}
        for name, value in found.items():
            setattr(self, name, value)
        self.mpi_runner_obj = self._own_runner()
        self._built_from = self._runner_settings()

    def set_gen_procs_gpus(self, libE_info: dict[str, Any]) -> None:
        """Take up what the generator said of processes and GPUs; what it does not say now is forgotten."""
        super().set_gen_procs_gpus(libE_info)
        self.gen_nprocs = libE_info.get("num_procs")
        self.gen_ngpus = libE_info.get("num_gpus")

    def submit(  # type: ignore[override]
        self,
        calc_type: str | None = None,
        app_name: str | None = None,
        num_procs: int | str | None = None,
        num_nodes: int | str | None = None,
        procs_per_node: int | str | None = None,
        num_gpus: int | str | None = None,
        machinefile: str | None = None,
        app_args: str | Sequence[str] | None = None,
        stdout: str | None = None,
        stderr: str | None = None,
        stage_inout: Any = None,
        hyperthreads: bool | None = False,
        dry_run: bool = False,
        wait_on_start: bool | float = False,
        extra_args: str | None = None,
        auto_assign_gpus: bool = False,
        match_procs_to_gpus: bool = False,
        env_script: str | None = None,
        mpi_runner_type: str | Mapping[str, Any] | None = None,
    ) -> Task:
        """Launch an MPI application on this worker's resources.

        Parameters
        ----------
        calc_type, app_name, app_args, stdout, stderr, dry_run, env_script
            As with `Executor.submit`.
        num_procs, num_nodes, procs_per_node : int, optional
            Ranks in total, nodes, and ranks per node. What is not given follows from the rest, or else from the
            worker's cores.
        num_gpus : int, optional
            GPUs in total. Without `num_procs` and `procs_per_node` there is one rank for each. 0: none.
        machinefile : str, optional
            A file that says it all, for runners that take one.
        stage_inout : optional
            Ignored.
        hyperthreads : bool
            Count logical cores instead of physical ones.
        wait_on_start : bool or float
            Wait until the task has ended, but at most this many seconds (True: `fail_time`).
        extra_args : str, optional
            Options for the MPI runner, put on the run line as they are. What they state of ranks and nodes is taken
            into account, and wins over the other arguments.
        auto_assign_gpus : bool
            Assign all GPUs of the worker's resource sets.
        match_procs_to_gpus : bool
            One rank for each GPU.
        mpi_runner_type : str or dict, optional
            Another runner for this submit only; a dict is like `custom_info`.

        Returns
        -------
        Task
            In a dry run it is FINISHED; its `runline` and `env` show what would be launched.

        Raises
        ------
        ExecutorException
            There is no such application or no runner, or the GPUs cannot be assigned as asked.
        MPIResourcesException
            Ranks, nodes and GPUs do not fit together, or not on this worker.
        """
        task = self._new_task(calc_type, app_name, app_args, stdout, stderr, dry_run)
        if stage_inout is not None:
            logger.warning("stage_inout option ignored in this submit command - runs in-place")
        runner, new_session = self._runner_for(mpi_runner_type, env_script)
        wish = Wish(
            Request(
                _whole("num_procs", num_procs),
                _whole("num_nodes", num_nodes),
                _whole("procs_per_node", procs_per_node),
                _whole("num_gpus", num_gpus, zero=True),
                bool(hyperthreads),
            ),
            ExtraArgs(extra_args),
            machinefile,
            auto_assign_gpus,
            match_procs_to_gpus,
        ).completed(runner, self.gen_nprocs, self.gen_ngpus)
        layout = Layout(runner, self._share(), self.platform_info or {}, self.list_of_tasks)
        placement, gpu_option = layout.place(task, wish)
        placement, scratch = self._with_machinefile(task, placement, runner)
        words = runner.words(placement, wish.extra, gpu_option) + self._app_words(task)
        task.advice = runner.advice_for
        command = self._command(task, words, env_script, new_session)
        self._run(task, command, self._start_limit(wait_on_start, self.fail_time))
        task.remove_when_ended(scratch)
        return task

    # The runner

    def _runner_settings(self) -> tuple[Any, ...]:
        return self.mpi_runner_type, self.runner_name, self.default_mpi_options

    def _own_runner(self) -> MPIRunner | None:
        return _made_runner(
            {
                "mpi_runner": self.mpi_runner_type or get_MPI_variant(),
                "runner_name": self.runner_name,
                "default_mpi_options": self.default_mpi_options,
            },
            self.platform_info,
        )

    def _runner_for(
        self, mpi_runner_type: str | Mapping[str, Any] | None, env_script: str | None
    ) -> tuple[MPIRunner, bool]:
        """Return the runner of a submit, and whether its tasks get a new session."""
        subgroup_launch: bool | None = self.subgroup_launch
        if mpi_runner_type is not None:
            info: Mapping[str, Any] = (
                {"mpi_runner": mpi_runner_type} if isinstance(mpi_runner_type, str) else mpi_runner_type
            )
            runner = _made_runner(info, self.platform_info)
            subgroup_launch = info.get("subgroup_launch")
        elif self.mpi_runner_obj is None or self._built_from not in (None, self._runner_settings()):
            runner = self._own_runner()
        else:
            runner = self.mpi_runner_obj
        if runner is None:
            hint = ["name one by mpi_runner_type, for env_script may bring one that is not found here"]
            raise ExecutorException("No valid MPI runner was found", *(hint if env_script is not None else ()))
        return runner, runner.subgroup_launch if subgroup_launch is None else bool(subgroup_launch)

    def _with_machinefile(self, task: Task, placement: Placement, runner: MPIRunner) -> tuple[Placement, list[str]]:
        """Write the hosts to a file for runners that get them so; return the files written as well."""
        if not (runner.writes_machinefile and placement.hosts):
            return placement, []
        name = f"machinefile_autogen_for_worker_{self.workerID}_task_{task.id}"
        path = os.path.join(task.workdir or "", name)
        try:
            write_machinefile(path, placement.hosts, placement.procs_per_node or 1)
        except OSError as error:
            raise ExecutorException(f"Machinefile {path} cannot be written: {error.strerror}") from error
        return replace(placement, hosts=(), machinefile=name), [path]

    # Launch and retry

    def _launch(self, task: Task, command: Command, start_limit: float) -> None:
        for attempt in range(1, self.max_launch_attempts + 1):
            task.run_attempts = attempt
            self._start(task, command, start_limit, f" (Retry {attempt - 1})" if attempt > 1 else "")
            if not self._may_retry(task) or attempt == self.max_launch_attempts:
                return
            if not self._wait_for_retry(attempt * self.retry_delay_incr):
                return
            task.reset()

    def _may_retry(self, task: Task) -> bool:
        if task.state == "FAILED":
            tail = task.stderr_tail()
            said = f"; its stderr ends with: {tail}" if tail else ""
            logger.warning(
                f"Task {task.name} failed within fail_time on try {task.run_attempts} with errcode {task.errcode}{said}"
            )
            return self.retry_app_failures
        return task.state == "FAILED_TO_START"

    def _wait_for_retry(self, seconds: float) -> bool:
        """Sleep, and return whether to go on: not when the manager asks for an end."""
        end = time.monotonic() + seconds
        while (remaining := end - time.monotonic()) > 0:
            if self.manager_kill_received():
                logger.info("No more retries: the manager asks for an end")
                return False
            time.sleep(min(0.1, remaining))
        return True


def _whole(name: str, value: Any, zero: bool = False) -> int | None:
    """Return a count as an int; None when it is not given (0 says so too, unless `zero`)."""
    if value is None:
        return None
    try:
        count = int(value)
    except (TypeError, ValueError):
        raise ExecutorException(f"{name} is a whole number, not {value!r}") from None
    if count < 0:
        raise ExecutorException(f"{name} cannot be negative: {value!r}")
    return count if count or zero else None


def _made_runner(info: Mapping[str, Any], platform_info: dict[str, Any] | None) -> MPIRunner | None:
    runner = MPIRunner.get_runner(info.get("mpi_runner"), info.get("runner_name"), platform_info)
    if runner is not None and info.get("default_mpi_options") is not None:
        runner.default_options = info["default_mpi_options"]
    return runner
