"""Stub: EnsembleDirectory lives in `libensemble/worker/directories.py`."""

from libensemble.worker.directories import EnsembleDirectory

__all__ = ["EnsembleDirectory"]
