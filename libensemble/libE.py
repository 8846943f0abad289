"""libE(): one run of an ensemble, from specs to (H, persis_info, flag).

    validate -> open logs -> History -> start workers -> Manager.run -> join workers -> close logs
"""

import contextlib
import logging
import multiprocessing
import socket
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from libensemble import logger as libE_logger
from libensemble.comms.comms import Hub, Team
from libensemble.comms.local import ProcessTeam, ThreadTeam
from libensemble.comms.logs import enable_loggers, manager_logging_config, relay, write_stats
from libensemble.comms.messages import Failure, Leaving, LogLine, Signal
from libensemble.errors import LoggedException, ManagerException, WorkerException
from libensemble.history import History
from libensemble.manager import Manager, Outcome, report_worker_exc
from libensemble.manager.allocation import Allocator
from libensemble.manager.ledger import Ledger
from libensemble.manager.observers import Checkpoints, LiveData, Observer, Statistics
from libensemble.manager.roster import Roster
from libensemble.manager.stopping import ExitTests
from libensemble.message_numbers import MAN_SIGNAL_FINISH, STOP_TAG
from libensemble.resources.platforms import get_platform
from libensemble.resources.resources import Resources
from libensemble.specs import AllocSpecs, ExitCriteria, GenSpecs, LibeSpecs, SimSpecs, _EnsembleSpecs
from libensemble.store.run_folder import RunFolder
from libensemble.tools.alloc_support import AllocSupport
from libensemble.utils.current import current
from libensemble.utils.misc import specs_dump
from libensemble.utils.profiling import profiled
from libensemble.version import __version__
from libensemble.worker import WorkerSetup, worker_main
from libensemble.worker.directories import prepare_run

__all__ = ["libE"]

logger = logging.getLogger(__name__)

Result = tuple[Any, dict[Any, Any], Any]


@dataclass(slots=True)
class Run:
    """One run: everything as user functions see it, in plain dicts."""

    sim_specs: dict[str, Any]
    gen_specs: dict[str, Any]
    alloc_specs: dict[str, Any]
    exit_criteria: dict[str, Any]
    libE_specs: dict[str, Any]
    persis_info: dict[Any, Any]
    H0: npt.NDArray[np.void] | None
    begun: float
    ledger: Ledger | None = None  # once the run has begun
    is_reported: bool = False  # what went wrong is in the log
    folder: RunFolder = field(init=False)

    def __post_init__(self) -> None:
        specs = self.libE_specs
        self.folder = RunFolder(specs["workflow_dir_path"] or ".", specs["H_file_prefix"], specs["save_H_with_date"])


def libE(
    sim_specs: SimSpecs | Mapping[str, Any],
    gen_specs: GenSpecs | Mapping[str, Any] | None,
    exit_criteria: ExitCriteria | Mapping[str, Any],
    persis_info: dict[Any, Any] | None = None,
    alloc_specs: AllocSpecs | Mapping[str, Any] | None = None,
    libE_specs: LibeSpecs | Mapping[str, Any] | None = None,
    H0: Any = None,
) -> Result:
    """Run an ensemble.

    Each specs argument is a dict or the object of the same name; both may be mixed.

    Parameters
    ----------
    sim_specs : SimSpecs or dict
        The simulator and its fields.
    gen_specs : GenSpecs or dict or None
        The generator and its fields.
    exit_criteria : ExitCriteria or dict
        When to stop.
    persis_info : dict, optional
        Per-worker dicts under integer keys, given to the user functions on that worker. The dict itself is copied;
        the per-worker dicts are the caller's own and are updated.
    alloc_specs : AllocSpecs or dict, optional
        Who works when; default is `give_sim_work_first`.
    libE_specs : LibeSpecs or dict, optional
        How to run: comms, number of workers, directories, files, resources.
    H0 : structured array or list of dict, optional
        Rows to begin with.

    Returns
    -------
    H : structured array
        The history, one row per point.
    persis_info : dict
    flag : int
        0: an exit criterion was met; 2: `wallclock_max` passed while work was under way; 3: this process is not part
        of the run.

    Raises
    ------
    pydantic.ValidationError
        An argument is not valid; nothing has been started.
    LoggedException
        The run failed; the error has been logged and the history saved.
    """
    begun = time.monotonic()
    specs = _EnsembleSpecs(
        H0=H0,
        libE_specs=libE_specs,
        sim_specs=sim_specs,
        gen_specs=gen_specs,
        exit_criteria=exit_criteria,
        persis_info=persis_info,
        alloc_specs=alloc_specs,
    )
    run = Run(
        sim_specs=specs_dump(specs.sim_specs, by_alias=True),
        gen_specs=specs_dump(specs.gen_specs, by_alias=True),
        alloc_specs=specs_dump(specs.alloc_specs, by_alias=True),
        exit_criteria=specs_dump(specs.exit_criteria, by_alias=True, exclude_none=True),
        libE_specs=specs_dump(specs.libE_specs, by_alias=True),
        persis_info=dict(specs.persis_info),
        H0=specs.H0,
        begun=begun,
    )
    platform = get_platform(run.libE_specs)
    if run.libE_specs["dry_run"]:
        print("libEnsemble: dry_run is set; the specs are valid, and nothing is run.", file=sys.stderr)
        sys.exit()
    start = _COMMS[run.libE_specs["comms"]]
    run.persis_info.pop("num_gens_started", None)  # left by an earlier run, it would end this one at once
    AllocSupport.gen_counter = 0
    executor_before, resources_before = current.executor, current.resources
    try:
        _prepare_resources(run, platform)
        return start(run)
    finally:
        current.executor, current.resources = executor_before, resources_before


# ---- comms on one machine


def _run_local(run: Run) -> Result:
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise ManagerException(
            "libE() was called while a worker process was importing the calling script. With this start method of "
            "multiprocessing a script must guard its run: if __name__ == '__main__': ..."
        )
    workers = range(1, run.libE_specs["nworkers"] + 1)
    return _run_on(run, len(workers), lambda: ProcessTeam(workers), threads=False)


def _run_threads(run: Run) -> Result:
    workers = range(1, run.libE_specs["nworkers"] + 1)
    return _run_on(run, len(workers), lambda: ThreadTeam(workers), threads=True)


def _run_elsewhere(run: Run) -> Result:
    raise ManagerException(
        f"comms is {run.libE_specs['comms']!r}, which this version cannot run yet; use comms='local' or 'threads'"
    )


_COMMS: dict[str, Callable[[Run], Result]] = {
    "local": _run_local,
    "threads": _run_threads,
    "mpi": _run_elsewhere,
    "tcp": _run_elsewhere,
}


def _run_on(run: Run, num_workers: int, make_team: Callable[[], Team], threads: bool) -> Result:
    """Run with a team that this process starts, and be its manager."""
    close_logs = _open_logs(run)
    history: History | None = None
    try:
        prepare_run(run.libE_specs)
        history = History(run.alloc_specs, run.sim_specs, run.gen_specs, run.exit_criteria, run.H0)
        history.safe_mode = bool(run.libE_specs["safe_mode"])
        _prepare_objects(num_workers)
        team = make_team()
        outcome = _manage(run, history, team, num_workers, threads)
        run.persis_info = outcome.persis_info
    except (KeyboardInterrupt, SystemExit):
        _save_at_abort(run, history)
        raise
    except LoggedException:
        raise
    except Exception as error:
        _log_and_raise(run, history, error)
    finally:
        close_logs()
    run.persis_info["num_gens_started"] = 0
    return history.trim_H(), run.persis_info, outcome.exit_flag  # type: ignore[union-attr]


def _manage(run: Run, history: History, team: Team, num_workers: int, threads: bool) -> Outcome:
    """Start the workers, run the manager, and bring the workers home."""
    on_manager = bool(run.libE_specs["gen_on_manager"])
    setup = WorkerSetup(
        run.sim_specs,
        run.gen_specs,
        run.libE_specs,
        num_workers,
        current.resources,
        current.executor,
        libE_logger.get_level(),
        threads,
    )
    generator_team = ThreadTeam([0], team.hub) if on_manager else None
    timeout = float(run.libE_specs["worker_timeout"])
    ended_well = False
    manager: Manager | None = None
    try:
        team.start(worker_main, setup)
        if generator_team is not None:
            generator_team.start(worker_main, replace(setup, is_thread=True))
        manager = _make_manager(run, history, team, num_workers, on_manager)
        with _profiled(run.libE_specs):
            outcome = manager.run()
        ended_well = True
        return outcome
    except Exception as error:
        _report(error)  # at once: bringing the workers home may take a while
        run.is_reported = True
        raise
    finally:
        try:
            if manager is None:
                _dismiss(team.hub)
            if run.libE_specs["ensemble_copy_back"]:
                _wait_for_copies(team, manager.leaving if manager is not None else {}, max(timeout, 1.0))
            left = _join(team, generator_team, timeout if ended_well else min(timeout, 1.0))
            _end_applications(setup.thread_executors[worker] for worker in left if worker in setup.thread_executors)
        except KeyboardInterrupt:  # pressed again: nobody is waited for any longer
            team.abort()
            raise
        team.hub.close()


def _dismiss(hub: Hub) -> None:
    """Tell workers to go that no manager has come to lead."""
    for worker in hub.present:
        hub.send(worker, Signal(STOP_TAG, MAN_SIGNAL_FINISH))


def _join(team: Team, generator_team: Team | None, timeout: float) -> list[int]:
    left = generator_team.join(timeout) if generator_team is not None else []
    left += team.join(timeout)
    if left:
        logger.info("Workers %s did not end within %s s and were stopped or left behind", left, timeout)
    return left


def _end_applications(executors: Iterable[Any]) -> None:
    """End what threads that are left behind have launched: they will not do so themselves."""
    for executor in executors:
        if hasattr(executor, "kill_all"):
            executor.kill_all()


def _wait_for_copies(team: Team, leaving: dict[int, bool], timeout: float) -> None:
    """Let workers copy their directories back, however long that takes once they have begun.

    Who is still in a user function after `timeout` seconds is interrupted, and given as long again to begin.

    Parameters
    ----------
    leaving : dict
        Worker -> whether it is done with that (see `Ledger.leaving`).
    """
    _hear_of_copies(team.hub, leaving, timeout)
    if team.interrupt(team.hub.present - set(leaving)):
        _hear_of_copies(team.hub, leaving, timeout)


def _hear_of_copies(hub: Hub, leaving: dict[int, bool], timeout: float) -> None:
    """Note who begins to copy and who is done, and write what they log, until all are done or time is up."""
    deadline = time.monotonic() + timeout
    while waiting := [worker for worker in hub.present if not leaving.get(worker)]:
        if not leaving.keys() & waiting and time.monotonic() >= deadline:
            break
        for worker, message in hub.wait(0.02):
            if type(message) is LogLine:
                relay(worker, message)
            elif type(message) is Leaving:
                leaving[worker] = message.is_done
            elif type(message) is Failure and message.died:
                leaving[worker] = True


def _make_manager(run: Run, history: History, team: Team, num_workers: int, on_manager: bool) -> Manager:
    specs = run.libE_specs
    resources = current.resources
    resource_manager = None
    if resources is not None:
        resources.set_resource_manager(num_workers)
        resource_manager = resources.resource_manager
    _warn_of_own_ids(run)
    begun = time.monotonic()  # the clock of wallclock_max; starting the workers does not count
    roster = Roster(num_workers, on_manager, specs["gen_workers"], specs["zero_resource_workers"])
    stats = None if specs["disable_log_files"] else write_stats
    ledger = Ledger(history, roster, run.persis_info, run.gen_specs, specs, resource_manager, stats, relay)
    run.ledger = ledger
    exit_tests = ExitTests(run.exit_criteria, history)
    allocator = Allocator(
        ledger,
        exit_tests,
        run.sim_specs,
        run.gen_specs,
        run.alloc_specs,
        specs,
        run.exit_criteria,
        lambda: time.monotonic() - begun,
        resource_manager,
    )
    return Manager(
        history, team.hub, roster, ledger, allocator, exit_tests, specs, run.gen_specs, _observers(run), begun
    )


def _observers(run: Run) -> list[Observer]:
    specs = run.libE_specs
    observers: list[Observer] = [] if specs["disable_log_files"] else [Statistics()]
    if specs["save_every_k_sims"] or specs["save_every_k_gens"] or specs["save_H_on_completion"]:
        observers.append(Checkpoints(run.folder, specs))
    if specs["live_data"] is not None:
        observers.append(LiveData(specs["live_data"]))
    return observers


# ---- around a run


def _prepare_resources(run: Run, platform: Any) -> None:
    specs = run.libE_specs
    current.resources = None
    if not specs["disable_resource_manager"]:
        Resources.init_resources(specs, platform)
    if hasattr(current.executor, "add_platform_info"):
        current.executor.add_platform_info(platform)


def _prepare_objects(num_workers: int) -> None:
    """Tell resources and executor, on the manager's side, where this is."""
    resources, executor = current.resources, current.executor
    if resources is not None:
        resources.add_comm_info([socket.gethostname()])
    if executor is not None:
        if hasattr(executor, "set_resources"):
            executor.set_resources(resources)
        if hasattr(executor, "serial_setup"):
            executor.serial_setup()


def _open_logs(run: Run) -> Callable[[], None]:
    close_files = manager_logging_config(run.libE_specs)
    logger.info("libEnsemble %s; lines begin with the number of the worker, or 0 for the manager", __version__)
    logger.info("Exit criteria: %s", run.exit_criteria)

    def close() -> None:
        logger.info("Total time: %.3f s", time.monotonic() - run.begun)
        close_files()

    return close


def _log_and_raise(run: Run, history: History | None, error: Exception) -> None:
    """Log an error, save what there is, and raise what the caller of libE() gets."""
    if not run.is_reported:
        _report(error)
    is_workers = isinstance(error, WorkerException) and len(error.args) == 3
    facts: tuple[Any, ...] = error.args[:2] if is_workers else (error.args,)
    saved = _save_at_abort(run, history)
    log_name = Path(libE_logger.LogConfig.config.filename).name
    hint = "" if run.libE_specs["disable_log_files"] else f" See {log_name} for details."
    # The log has shown the error with its traceback; it stays in `__context__`, but is not shown again.
    raise LoggedException(*facts, f"See error details above.{hint}{saved}") from None


def _report(error: Exception) -> None:
    """Log what went wrong, with its traceback."""
    enable_loggers()  # user code that ran in this process may have disabled them
    if isinstance(error, WorkerException) and len(error.args) == 3:
        summary, message, trace = error.args
        report_worker_exc(int(summary.rsplit(" ", 1)[-1]), message, trace)
    else:
        logger.error("The manager failed: %s: %s", type(error).__name__, error, exc_info=error)


def _save_at_abort(run: Run, history: History | None) -> str:
    with contextlib.suppress(Exception):
        run.folder.finish_saving()  # the last checkpoint
    if history is None or not run.libE_specs["save_H_and_persis_on_abort"]:
        return ""
    folder, ended = run.folder, history.sim_ended_count
    persis_info = run.persis_info if run.ledger is None else run.ledger.persis_info
    file = _saved("history", lambda: folder.save_aborted_history(history.trim_H(), ended))
    _saved("persis_info", lambda: folder.save_aborted_persis_info(persis_info, ended))
    return f" The history was saved as {file}." if file is not None else ""


def _saved(what: str, save: Callable[[], Path]) -> Path | None:
    try:
        file = save()
    except Exception as error:  # what could not be saved must not hide what went wrong first
        logger.error("The %s could not be saved: %s: %s", what, type(error).__name__, error)
        return None
    logger.info("Saved %s", file)
    return file


def _warn_of_own_ids(run: Run) -> None:
    module = getattr(run.gen_specs.get("gen_f"), "__module__", "") or ""
    numbers_its_points = any(entry[0] == "sim_id" for entry in run.gen_specs["out"])
    if numbers_its_points and run.gen_specs.get("gen_f") is not None and not module.startswith("libensemble."):
        logger.manager_warning(  # type: ignore[attr-defined]
            "The generator declares sim_id in its outputs: it must number its points itself, from 0 on, without gaps"
        )


def _profiled(libE_specs: Mapping[str, Any]) -> contextlib.AbstractContextManager[Any]:
    if not libE_specs["profile"]:
        return contextlib.nullcontext()
    folder = Path(libE_specs["workflow_dir_path"] if libE_specs["use_workflow_dir"] else ".")
    return profiled(folder.absolute() / "manager.prof")
