"""The two log files of a run: opened and written by the manager, fed by workers over their comm.

::

      worker process                                     manager process
    logger.info(..) -> CommHandler -> LogLine ~~comm~~> relay ---+
                                                                 |
    logger.info(..) of the manager and of worker threads --------+--> ensemble.log, and stderr
    Report.line                              ~~comm~~> write_stats --> libE_stats.txt

Owns the handlers and the open files of a run; the settings are in `libensemble.logger`.
The statistics file does not depend on the log level: its lines do not pass through `logging`.
"""

import logging
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Protocol

from libensemble.comms.messages import LogLine
from libensemble.errors import DirectoryError
from libensemble.logger import LogConfig, StderrHandler

__all__ = [
    "LogConfig",
    "bind_worker",
    "date_text",
    "enable_loggers",
    "flush_stats",
    "manager_logging_config",
    "relay",
    "worker_logging_config",
    "worker_prefix",
    "write_stats",
]

logger = logging.getLogger(__name__)

# Whose records the calling thread writes: 0 is the manager. Worker threads bind their own id.
worker_prefix: ContextVar[int] = ContextVar("libensemble_worker_prefix", default=0)

_FLUSH_LINES = 512
_FLUSH_SECONDS = 1.0


class _Sender(Protocol):
    def send(self, message: LogLine) -> Any: ...


# -- Text ------------------------------------------------------------------------------------------------------------

_second_texts: dict[int, str] = {}  # the last seconds seen: formatting one is dear, and many lines share it


def date_text(seconds: float) -> str:
    """Return a time as local date and time with milliseconds, ``2026-01-05 10:00:00.100``.

    Parameters
    ----------
    seconds : float
        Seconds since the epoch.
    """
    second, millisecond = divmod(int(seconds * 1000 + 0.5), 1000)
    text = _second_texts.get(second)
    if text is None:
        if len(_second_texts) > 1000:
            _second_texts.clear()
        text = _second_texts[second] = time.strftime("%Y-%m-%d %H:%M:%S.", time.localtime(second))
    return f"{text}{millisecond:03d}"


class _SafeFormatter(logging.Formatter):
    """Formats any record: where message and arguments do not fit, it says so instead of raising."""

    def format(self, record: logging.LogRecord) -> str:
        try:
            return super().format(record)
        except Exception as error:  # user code may log objects of any kind
            plain = logging.makeLogRecord(record.__dict__)
            plain.msg = f"{_safe_text(record.msg)} [arguments {_safe_text(record.args)} cannot be shown: {error!r}]"
            plain.args = None
            plain.exc_info = None
            return super().format(plain)


def _safe_text(thing: object) -> str:
    try:
        return str(thing)
    except Exception:  # whatever its __str__ may do
        return f"<{type(thing).__name__}>"


# -- Handlers --------------------------------------------------------------------------------------------------------


def _add_worker(record: logging.LogRecord) -> bool:
    """Filter that passes everything; records that came from a worker process carry their id already."""
    if not hasattr(record, "worker"):
        record.worker = worker_prefix.get()
    return True


class _CommHandler(logging.Handler):
    """Sends records to the manager, as text: arguments need not survive a pickle."""

    def __init__(self, comm: _Sender) -> None:
        super().__init__()
        self.comm = comm
        self.setFormatter(_SafeFormatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.comm.send(LogLine(record.levelno, record.name, record.created, self.format(record)))
        except Exception:  # a log line must not end a run; that the manager is gone shows elsewhere
            self.handleError(record)


class _StatsHandler(logging.Handler):
    """Takes what is logged to the statistics logger by hand."""

    def emit(self, record: logging.LogRecord) -> None:
        write_stats(worker_prefix.get(), self.format(record))


class _StatsFile:
    """libE_stats.txt, appended in blocks.

    The block is a plain list, so that a forked child can drop it: a buffered file would be written by both.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        self.pending: list[str] = []
        self.flushed_at = time.monotonic()

    def write(self, line: str) -> None:
        self.pending.append(line)
        if len(self.pending) >= _FLUSH_LINES or time.monotonic() - self.flushed_at > _FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        self.flushed_at = time.monotonic()
        count = len(self.pending)
        if not count:
            return
        block = "".join(self.pending[:count]).encode("utf-8", "backslashreplace")
        del self.pending[:count]
        try:
            while block:
                block = block[os.write(self.descriptor, block) :]
        except OSError as error:  # a full disk should cost the statistics, not the run
            logger.error("%d lines for %s are lost: %s", count, self.path, error)

    def close(self) -> None:
        os.close(self.descriptor)


class _OpenLogs:
    """What is open in this process: handlers on loggers, and the statistics file."""

    def __init__(self) -> None:
        self.stats: _StatsFile | None = None
        self.installed: list[tuple[logging.Logger, logging.Handler]] = []
        self.before: dict[logging.Logger, tuple[int, bool]] = {}

    def install(self, target: logging.Logger, handler: logging.Handler) -> None:
        target.addHandler(handler)
        self.installed.append((target, handler))

    def adjust(self, target: logging.Logger, level: int, propagate: bool) -> None:
        self.before.setdefault(target, (target.level, target.propagate))
        target.setLevel(level)
        target.propagate = propagate

    def drop_pending(self) -> None:
        if self.stats is not None:
            self.stats.pending.clear()

    def close(self) -> None:
        for target, handler in self.installed:
            target.removeHandler(handler)
            handler.close()
        self.installed.clear()
        for target, (level, propagate) in self.before.items():
            target.setLevel(level)
            target.propagate = propagate
        self.before.clear()
        if self.stats is not None:
            self.stats.close()
        self.stats = None


_open = _OpenLogs()
os.register_at_fork(after_in_child=_open.drop_pending)  # these lines are the parent's to write


# -- Manager ---------------------------------------------------------------------------------------------------------


def manager_logging_config(specs: Mapping[str, Any] | None = None) -> Callable[[], None]:
    """Open the logs of a run.

    Parameters
    ----------
    specs : dict, optional
        The run's `libE_specs`. With `use_workflow_dir` both files lie in `workflow_dir_path`, which is made if
        missing; with `disable_log_files` no file is opened and records go to the handlers of the root logger, and,
        if none of these writes to the terminal, from the stderr level on to the terminal, too.

    Returns
    -------
    callable
        Writes the last line of the statistics file and closes the logs; calling it again does nothing. If the logs
        are open already (a run inside a run), the call opens nothing and what it returns closes nothing.

    Raises
    ------
    DirectoryError
        A file cannot be opened for writing.
    """
    config = LogConfig.config
    if config.logger_set:
        return lambda: None
    if specs is not None and specs.get("disable_log_files"):
        _open_without_files(config)
    else:
        _open_files(config, specs or {})
    config.logger_set = True
    enable_loggers()
    started = time.time()
    write_stats(0, f"Starting ensemble at: {date_text(started)}")

    def close() -> None:
        nonlocal started
        if not started:
            return
        ended = time.time()
        write_stats(0, f"Exiting ensemble at: {date_text(ended)} Time Taken: {round(ended - started, 3)}")
        started = 0.0
        flush_stats()
        _open.close()
        config.logger_set = False

    return close


def enable_loggers() -> None:
    """Enable the package's loggers again: setting up logging by ``dictConfig`` disables all loggers that exist."""
    name = LogConfig.config.name
    for other, target in list(logging.root.manager.loggerDict.items()):
        if isinstance(target, logging.Logger) and (other == name or other.startswith(f"{name}.")):
            target.disabled = False


def _open_files(config: LogConfig, specs: Mapping[str, Any]) -> None:
    try:
        _open.stats = _StatsFile(_path_in_run(config.stat_filename, specs))
        path = _path_in_run(config.filename, specs)
        handler = logging.FileHandler(path, mode="a", encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        _open.close()
        raise DirectoryError(
            f"the log files cannot be opened: {error}. Choose a directory that can be written to "
            "(libensemble.logger.set_directory), or set libE_specs['disable_log_files'] = True"
        ) from error
    root = logging.getLogger(config.name)
    _open.adjust(root, config.log_level, propagate=False)
    _open.install(root, _dressed(handler, config))
    _open.install(root, _dressed(StderrHandler(config.stderr_level), config))
    stats_logger = logging.getLogger(config.stats_name)
    _open.adjust(stats_logger, 1, propagate=False)
    stats_handler = _StatsHandler()
    stats_handler.setFormatter(_SafeFormatter("%(message)s"))
    _open.install(stats_logger, stats_handler)


def _open_without_files(config: LogConfig) -> None:
    root = logging.getLogger(config.name)
    _open.adjust(root, config.log_level, propagate=root.propagate)
    if not (root.propagate and _shows_on_terminal(logging.getLogger())):
        _open.install(root, _dressed(StderrHandler(config.stderr_level), config))


def _shows_on_terminal(other: logging.Logger) -> bool:
    """Return whether somebody has set this logger up to write to the terminal."""
    return any(getattr(handler, "stream", None) in (sys.stderr, sys.stdout) for handler in other.handlers)


def _path_in_run(filename: str, specs: Mapping[str, Any]) -> Path:
    path = Path(filename)
    if specs.get("use_workflow_dir"):
        path = Path(specs["workflow_dir_path"]) / path.name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _dressed(handler: logging.Handler, config: LogConfig) -> logging.Handler:
    handler.setFormatter(_SafeFormatter(config.fmt))
    handler.addFilter(_add_worker)
    return handler


def relay(worker_id: int, line: LogLine) -> None:
    """Write a record that a worker process sent, under that worker's number."""
    config = LogConfig.config
    if line.name == config.stats_name:
        write_stats(worker_id, line.text)
        return
    target = logging.getLogger(line.name)
    if target.isEnabledFor(line.level):
        record = logging.makeLogRecord(
            {
                "name": line.name,
                "levelno": line.level,
                "levelname": logging.getLevelName(line.level),
                "created": line.created,
                "msecs": line.created % 1 * 1000,
                "msg": line.text,
                "args": None,
                "worker": worker_id,
            }
        )
        target.handle(record)


def write_stats(worker_id: int, text: str) -> None:
    """Append one line to the statistics file; without an open file, do nothing.

    The line is written to disk with others, within about a second of running work or at the next `flush_stats`.

    Parameters
    ----------
    worker_id : int
        0 for the manager.
    text : str
        The line without prefix and line end.
    """
    if _open.stats is not None:
        prefix = f"Worker {worker_id:>5}: " if worker_id else "Manager     : "
        _open.stats.write(f"{prefix}{text}\n")


def flush_stats() -> None:
    """Write what waits for the statistics file to disk. Cheap when nothing waits."""
    if _open.stats is not None:
        _open.stats.flush()


# -- Workers ---------------------------------------------------------------------------------------------------------


def worker_logging_config(comm: _Sender, worker_id: int | None = None, level: int | None = None) -> None:
    """Send all log records of this worker process to the manager.

    Parameters
    ----------
    comm : object with ``send(message)``
        The worker's end of its link.
    worker_id : int, optional
        Put before lines that this process writes itself (the logs of a run inside this run).
    level : int, optional
        The manager's log level, for processes that did not inherit it. Default: `LogConfig.config.log_level`.

    Notes
    -----
    Logs that a forked process inherited open are closed, without writing what waits in them. A worker that is a
    thread calls `bind_worker` instead.
    """
    config = LogConfig.config
    if level is not None:
        config.log_level = level
    _open.drop_pending()
    _open.close()
    config.logger_set = False
    root = logging.getLogger(config.name)
    for handler in [handler for handler in root.handlers if isinstance(handler, _CommHandler)]:
        root.removeHandler(handler)
    root.addHandler(_CommHandler(comm))
    root.setLevel(config.log_level)
    root.propagate = False
    stats_logger = logging.getLogger(config.stats_name)
    stats_logger.setLevel(1)  # not by the log level: its lines belong to the statistics file
    stats_logger.propagate = True
    if worker_id is not None:
        bind_worker(worker_id)


def bind_worker(worker_id: int) -> None:
    """Let log records of the calling thread carry this worker's number."""
    worker_prefix.set(worker_id)
