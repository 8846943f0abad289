"""Worker: take an order, run it, report.

    recv -> (enter folder, set resources) -> Runner -> what it returned, read -> Report -> recv ...

A worker leaves when it is told to finish, when its user function raises (after a `Failure`), or when the manager is
gone.
"""

import contextlib
import copy
import logging
import signal
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from libensemble.comms.comms import Comm
from libensemble.comms.logs import bind_worker, worker_logging_config
from libensemble.comms.mailbox import Mailbox, checked_output
from libensemble.comms.messages import Failure, Leaving, Order, Report, Signal
from libensemble.errors import CommError, DirectoryError, WorkerException
from libensemble.message_numbers import (
    CALC_EXCEPTION,
    EVAL_GEN_TAG,
    EVAL_SIM_TAG,
    MAN_SIGNAL_FINISH,
    UNSET_TAG,
)
from libensemble.utils.current import current
from libensemble.utils.loc_stack import own_directory
from libensemble.utils.profiling import profiled
from libensemble.worker.directories import CalcDirectories
from libensemble.worker.runners import Runner, TolerantRunner
from libensemble.worker.stats import stats_text

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class WorkerSetup:
    """What every worker of a run is given at its start.

    Attributes
    ----------
    sim_specs, gen_specs, libE_specs : dict
    num_workers : int
    resources, executor : object or None
        The run's; each worker makes its own from them.
    log_level : int
        The manager's: worker processes that are not forked do not inherit it.
    is_thread : bool
        The worker shares its process with others: it binds its objects and its directory to its thread.
    thread_executors : dict
        Worker -> executor of the workers that are threads, for who has to end their applications in their place.
    """

    sim_specs: dict[str, Any]
    gen_specs: dict[str, Any]
    libE_specs: Mapping[str, Any]
    num_workers: int
    resources: Any = None
    executor: Any = None
    log_level: int = logging.INFO
    is_thread: bool = False
    thread_executors: dict[int, Any] = field(default_factory=dict)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what belongs to the manager's process, and perhaps cannot leave it."""
        state = {name: getattr(self, name) for name in type(self).__slots__}
        state["libE_specs"] = {**self.libE_specs, "live_data": None, "mpi_comm": None}
        state["thread_executors"] = {}
        if self.libE_specs.get("gen_on_manager"):
            state["gen_specs"] = {"gen_f": _generates_elsewhere}
        return state

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)


def _generates_elsewhere(H: Any) -> None:
    raise WorkerException("gen_on_manager is set: only worker 0, on the manager, can be given generator work")


def worker_main(comm: Comm, worker: int, setup: WorkerSetup) -> None:
    """Be worker number `worker` until the end of the run."""
    if setup.libE_specs.get("profile") and not setup.is_thread:
        with profiled(_profile_folder(setup.libE_specs) / f"worker_{worker}.prof"):
            Worker(comm, worker, setup).run()
    else:
        Worker(comm, worker, setup).run()


class Worker:
    """One worker.

    Parameters
    ----------
    comm : Comm
    worker : int
        Its id.
    setup : WorkerSetup
    """

    def __init__(self, comm: Comm, worker: int, setup: WorkerSetup) -> None:
        self.comm = comm
        self.workerID = worker
        self._setup = setup
        self.mailbox = Mailbox(comm, setup.num_workers)
        self._is_logging = not setup.libE_specs.get("disable_log_files")
        if setup.is_thread:
            bind_worker(worker)
        else:
            worker_logging_config(comm, worker, setup.log_level)
        self._directories = CalcDirectories(setup.libE_specs, worker)
        self._has_directory = {tag: self._directories.active(tag) for tag in (EVAL_SIM_TAG, EVAL_GEN_TAG)}
        self._runners: dict[int, Runner] = {}
        self._stats_fmt = setup.libE_specs.get("stats_fmt") or {}
        self.executor: Any = None
        self.resources: Any = None
        self._takes_requests = False  # does the executor want to know what a generator asked for?

    def run(self) -> None:
        """Take orders until told to finish."""
        if self._setup.is_thread:
            with contextlib.suppress(DirectoryError):  # where that cannot be, user code had better stay
                own_directory()
        with self._directories.home(self._tell_of_copying):
            self._make_own_objects()
            try:
                self._take_orders()
            finally:
                self._leave()

    def _take_orders(self) -> None:
        while True:
            message = self.mailbox.next_message()
            if type(message) is Order:
                if message.starts and not self._handle(message):
                    return
            elif type(message) is Signal:
                if message.payload == MAN_SIGNAL_FINISH:
                    return
            else:
                raise WorkerException(f"a worker does not take {type(message).__name__} messages: {message!r}")

    # ---- one order

    def _handle(self, order: Order) -> bool:
        """Run an order and report; return False when the user function raised."""
        tag, info = order.tag, order.info
        work = self._work(order)
        tasks_before = self._task_count()
        start = time.time()
        status: int | str = UNSET_TAG
        failure: BaseException | None = None
        try:
            if self._has_directory[tag]:
                with self._directories.enter(tag, order.rows, info.get("gen_count", 1)):
                    returned = self._runner(tag).run(order.data, work)
            else:
                returned = self._runner(tag).run(order.data, work)
            output, persis_info, status = read_return(returned)
        except BaseException as error:  # SystemExit and asyncio's CancelledError are failures like others
            failure, status = error, CALC_EXCEPTION
        line = self._line(order, start, status, tasks_before) if self._is_logging else None
        if failure is not None:
            self._kill_tasks()
            self.comm.send(Failure(_described(failure), _trace(failure), line=line))
            return False
        last_rows = None
        if info.get("persistent"):
            last_rows = {"H_rows": np.atleast_1d(work["libE_info"]["H_rows"]).tolist()}
        self.comm.send(Report(tag, status, output, persis_info, last_rows, line=line))
        return True

    def _work(self, order: Order) -> dict[str, Any]:
        """Return the order as the dict that runners and user functions know."""
        info = order.info
        info["H_rows"] = np.array(order.rows, dtype=int)
        info["comm"] = self.mailbox
        info["workerID"] = self.workerID
        info["executor"] = self.executor
        if info.get("rset_team") is None:
            info["rset_team"] = []
        if self.resources is not None:
            share = self.resources.worker_resources
            share.set_rset_team(info["rset_team"])
            share.set_gen_procs_gpus(info)
        if self._takes_requests:
            self.executor.set_gen_procs_gpus(info)
        persis_info = {} if order.persis_info is None else order.persis_info
        return {"H_fields": order.data.dtype.names, "persis_info": persis_info, "tag": order.tag, "libE_info": info}

    def _runner(self, tag: int) -> Runner:
        runner = self._runners.get(tag)
        if runner is None:
            specs = self._setup.sim_specs if tag == EVAL_SIM_TAG else self._setup.gen_specs
            runner = Runner.from_specs(specs)
            if tag == EVAL_SIM_TAG:
                runner = TolerantRunner.around(runner)
            self._runners[tag] = runner
        return runner

    def _line(self, order: Order, start: float, status: int | str, tasks_before: int) -> str:
        tasks = self.executor.list_of_tasks[tasks_before:] if self.executor is not None else ()
        team = order.info["rset_team"] if self.resources is not None else None
        gen_no = order.info.get("gen_count", 1)
        return stats_text(order.tag, order.rows, gen_no, start, time.time(), status, tasks, team, self._stats_fmt)

    def _task_count(self) -> int:
        return len(self.executor.list_of_tasks) if self.executor is not None else 0

    # ---- begin and end

    def _make_own_objects(self) -> None:
        """Make an executor and resources that are this worker's alone, and bind them."""
        executor, resources = self._setup.executor, self._setup.resources
        if resources is not None:
            resources = resources.for_worker(self._setup.num_workers, self.workerID)
        if executor is not None:
            if hasattr(executor, "for_worker"):
                executor = executor.for_worker(self.mailbox, self.workerID)
            else:
                executor = copy.copy(executor)
                executor.set_worker_info(self.mailbox, self.workerID)
            if hasattr(executor, "set_resources"):
                executor.set_resources(resources)
        self.executor, self.resources = executor, resources
        self._takes_requests = hasattr(executor, "set_gen_procs_gpus")
        if self._setup.is_thread:
            current.bind_thread(executor, resources)
            self._setup.thread_executors[self.workerID] = executor
        else:
            current.executor, current.resources = executor, resources

    def _kill_tasks(self) -> None:
        if hasattr(self.executor, "kill_all"):
            self.executor.kill_all()

    def _tell_of_copying(self, is_done: bool) -> None:
        if not self._setup.is_thread:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it is going anyway, and half a copy is none
        with contextlib.suppress(CommError):  # the copies are made also when the manager is gone
            self.comm.send(Leaving(is_done))

    def _leave(self) -> None:
        self._kill_tasks()
        for runner in self._runners.values():
            runner.shutdown()
        if self.executor is not None:
            self.executor.comm = None


def read_return(returned: Any) -> tuple[Any, Any, int | str]:
    """Read what a user function returned as (output, persis_info or None, status).

    Raises
    ------
    TypeError
        It is none of the accepted forms.
    """
    if returned is None:
        return None, None, UNSET_TAG
    if not isinstance(returned, (tuple, list)) or not len(returned):
        return checked_output(returned if not isinstance(returned, tuple) else None), None, UNSET_TAG
    if len(returned) > 3:
        raise TypeError(
            f"a user function returned {len(returned)} items; it may return H, (H, persis_info), (H, calc_status) or "
            "(H, persis_info, calc_status)"
        )
    output = checked_output(returned[0])
    persis_info: Any = None
    status: Any = UNSET_TAG
    if len(returned) == 3:
        persis_info, status = returned[1], returned[2]
    elif len(returned) == 2:
        if isinstance(returned[1], (int, str, np.integer)):
            status = returned[1]
        else:
            persis_info = returned[1]
    if type(status) is not int and type(status) is not str:
        status = _checked_status(status)
    if persis_info is not None and type(persis_info) is not dict:
        persis_info = _checked_persis_info(persis_info)
    return output, persis_info or None, status


def _checked_status(status: Any) -> Any:
    if isinstance(status, (int, np.integer)):
        return int(status)
    if status is None or isinstance(status, str):
        return status
    raise TypeError(f"a user function returned the calc_status {status!r}; it is an int (see message_numbers) or a str")


def _checked_persis_info(persis_info: Any) -> Any:
    """Return a dict, or None for what is empty (an allocation function may have sent a list as persis_info)."""
    if isinstance(persis_info, Mapping):
        return dict(persis_info)
    if isinstance(persis_info, np.ndarray) or persis_info:
        raise TypeError(
            f"a user function returned a {type(persis_info).__name__} where its persis_info, a dict, was expected; it "
            "may return H, (H, persis_info), (H, calc_status) or (H, persis_info, calc_status)"
        )
    return None


def _described(error: BaseException) -> str:
    if type(error) is SystemExit:
        return f"SystemExit: the user function called exit with code {error.code!r}"
    try:
        return f"{type(error).__name__}: {error}"
    except Exception as trouble:  # whatever its __str__ may do
        return f"{type(error).__name__} (its text cannot be shown: {trouble!r})"


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(type(error), error, error.__traceback__))


def _profile_folder(libE_specs: Mapping[str, Any]) -> Path:
    return Path(libE_specs["workflow_dir_path"] if libE_specs.get("use_workflow_dir") else ".").absolute()
