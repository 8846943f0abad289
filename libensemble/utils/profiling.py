"""Profiling a stretch of code into a file that `pstats` reads, where no other profiler is at work."""

import contextlib
import cProfile
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def profiled(path: str | Path) -> Iterator[bool]:
    """Context manager: write what the calling thread did to `path`, also when it ends with an error.

    Yields whether it profiles. An interpreter has room for one profiler (before Python 3.12 a second one would take
    the first one's place): if the script is being profiled already, only a warning is logged.
    """
    profile = cProfile.Profile()
    try:
        if sys.getprofile() is not None:
            raise ValueError("Another profiling tool is already active")
        profile.enable()
    except ValueError as error:
        logger.warning("%s is not written: %s", path, error)
        yield False
        return
    try:
        yield True
    finally:
        profile.disable()
        profile.dump_stats(str(path))
