"""Launch applications and follow them."""

from typing import Any

from libensemble.executors.executor import Executor
from libensemble.executors.mpi_executor import MPIExecutor

__all__ = ["Executor", "MPIExecutor"]


def __getattr__(name: str) -> Any:
    if name == "BalsamExecutor":
        raise ImportError("BalsamExecutor is not in this version yet; use MPIExecutor or Executor")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
