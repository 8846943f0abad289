"""Stub: the checks of single options live in `libensemble/specs/checks.py`."""

from libensemble.specs.checks import *  # noqa: F403
