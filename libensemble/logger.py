"""Levels, file names and settings of the two logs of a run.

::

    from libensemble import logger
    logger.set_level("DEBUG")
    logger.set_filename("my_run.log")

Owns the settings (`LogConfig.config`) and the two extra levels; the files are opened and written by `comms/logs.py`.
"""

import logging
import sys
from pathlib import Path
from typing import Any, ClassVar, TextIO

VDEBUG = 5  # more than DEBUG: single messages and polls
MANAGER_WARNING = 35  # what the user should see on the terminal, too
DEBUG = logging.DEBUG
INFO = logging.INFO
WARNING = logging.WARNING
ERROR = logging.ERROR
CRITICAL = logging.CRITICAL


def _manager_warning(self: logging.Logger, message: Any, *args: Any, **kwargs: Any) -> None:
    """Log at level MANAGER_WARNING: in the log file and on the terminal."""
    if self.isEnabledFor(MANAGER_WARNING):
        self._log(MANAGER_WARNING, message, args, **kwargs)


def _vdebug(self: logging.Logger, message: Any, *args: Any, **kwargs: Any) -> None:
    """Log at level VDEBUG."""
    if self.isEnabledFor(VDEBUG):
        self._log(VDEBUG, message, args, **kwargs)


def _register_levels() -> None:
    for name, level, method in (("MANAGER_WARNING", MANAGER_WARNING, _manager_warning), ("VDEBUG", VDEBUG, _vdebug)):
        logging.addLevelName(level, name)
        setattr(logging, name, level)
        setattr(logging.Logger, name.lower(), method)


_register_levels()


class StderrHandler(logging.StreamHandler):  # type: ignore[type-arg]  # subscripts came with Python 3.11
    """Writes to what `sys.stderr` is when a record comes, not to what it was when the handler was made."""

    def __init__(self, level: int = logging.NOTSET) -> None:
        logging.Handler.__init__(self, level)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr


def _level_number(name: str | int, unknown: int) -> int:
    if isinstance(name, int):
        return name
    number = logging.getLevelName(str(name).upper())
    return number if isinstance(number, int) else unknown


class LogConfig:
    """Settings of the two logs; the one in use is `LogConfig.config`.

    Assign to its attributes before a run; they hold for all later runs of the process.

    Attributes
    ----------
    logger_set : bool
        True while the logs of a run are open.
    log_level : int, default 20 (INFO)
        Records below this level are dropped, on the manager and on workers.
    name, stats_name : str
        Names of the loggers.
    filename, stat_filename : str, default "ensemble.log" and "libE_stats.txt"
        In a run with a workflow directory they lie there, under their last component.
    fmt : str
        Format of a line; `%(worker)s` is the worker's id, 0 for the manager.
    stderr_level : int, default 35 (MANAGER_WARNING)
        Records from this level on are shown on the terminal, too.
    """

    config: ClassVar["LogConfig"]

    def __init__(self, name: str) -> None:
        self.logger_set = False
        self.log_level = logging.INFO
        self.name = name
        self.stats_name = name + ".calc stats"
        self.filename = "ensemble.log"
        self.stat_filename = "libE_stats.txt"
        self.fmt = "[%(worker)s]  %(asctime)s %(name)s (%(levelname)s): %(message)s"
        self.stderr_level = MANAGER_WARNING

    def set_level(self, level: str | int) -> None:
        """Set the log level by name (any case); an unknown name means DEBUG. Works before and during a run."""
        self.log_level = _level_number(level, unknown=logging.DEBUG)
        if self.logger_set:
            logging.getLogger(self.name).setLevel(self.log_level)

    def set_stderr_level(self, level: str | int) -> None:
        """Set from which level on records are shown on the terminal; an unknown name means WARNING."""
        self.stderr_level = _level_number(level, unknown=logging.WARNING)
        for handler in logging.getLogger(self.name).handlers:
            if isinstance(handler, StderrHandler):
                handler.setLevel(self.stderr_level)

    def set_directory(self, dirname: str | Path) -> None:
        """Make `dirname` (with its parents) and put both files there."""
        directory = Path(dirname)
        directory.mkdir(parents=True, exist_ok=True)
        self.filename = str(directory / Path(self.filename).name)
        self.stat_filename = str(directory / Path(self.stat_filename).name)


LogConfig.config = LogConfig("libensemble")


def set_level(level: str | int) -> None:
    """Set the log level.

    Parameters
    ----------
    level : str
        ``"VDEBUG"``, ``"DEBUG"``, ``"INFO"`` (the default), ``"WARNING"``, ``"MANAGER_WARNING"``, ``"ERROR"`` or
        ``"CRITICAL"``, in any case. An unknown name means ``"DEBUG"``.
    """
    LogConfig.config.set_level(level)


def get_level() -> int:
    """Return the log level as a number (20 by default)."""
    return LogConfig.config.log_level


def set_filename(filename: str) -> None:
    """Set the name of the log file (``"ensemble.log"`` by default). While a run is on, this only logs a warning."""
    if _may_move(f"set_filename({filename!r})"):
        LogConfig.config.filename = str(filename)


def set_directory(dirname: str | Path) -> None:
    """Make a directory and put both log files there. While a run is on, this only logs a warning."""
    if _may_move(f"set_directory({str(dirname)!r})"):
        LogConfig.config.set_directory(dirname)


def _may_move(call: str) -> bool:
    config = LogConfig.config
    if config.logger_set:
        logging.getLogger(config.name).warning("%s has no effect: the log is open; call it before the run", call)
    return not config.logger_set


def set_stderr_level(level: str | int) -> None:
    """Set from which level on records are also shown on the terminal.

    Parameters
    ----------
    level : str
        A name as in `set_level`; ``"MANAGER_WARNING"`` by default. An unknown name means ``"WARNING"``.
    """
    LogConfig.config.set_stderr_level(level)


def get_stderr_level() -> int:
    """Return the level from which on records are shown on the terminal (35 by default)."""
    return LogConfig.config.stderr_level
