"""The doing side of the engine: take an order, run the user function, report."""

from libensemble.errors import WorkerException as WorkerErrMsg
from libensemble.worker.loop import Worker, WorkerSetup, worker_main

__all__ = ["Worker", "WorkerErrMsg", "WorkerSetup", "worker_main"]
