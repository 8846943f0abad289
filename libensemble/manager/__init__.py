"""The deciding side of the engine: receive, allocate, send."""

from libensemble.errors import LoggedException, ManagerException, WorkerException
from libensemble.manager.loop import Manager, Outcome, manager_main, report_worker_exc

__all__ = [
    "LoggedException",
    "Manager",
    "ManagerException",
    "Outcome",
    "WorkerException",
    "manager_main",
    "report_worker_exc",
]
