"""Stub: Runner lives in `libensemble/worker/runners.py`."""

from libensemble.worker.runners import Runner

__all__ = ["Runner"]
