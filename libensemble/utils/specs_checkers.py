"""Stub: the checks across a whole run live in `libensemble/specs/whole_run.py`."""

from libensemble.specs.whole_run import *  # noqa: F403
