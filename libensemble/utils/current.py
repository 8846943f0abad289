"""This worker's own executor and resources.

A worker that is a process binds its objects for the whole process; workers that are threads of one process bind
theirs for their own thread (and for threads that the house starts on their behalf), so they never share.
`Executor.executor` and `Resources.resources` are doors to this place for user functions; code inside the house is
handed its objects and never looks here.
"""

from contextvars import ContextVar
from typing import Any


class _Slot:
    """What is bound in one place: a process or a worker's thread."""

    __slots__ = ("executor", "resources")

    def __init__(self, executor: Any = None, resources: Any = None) -> None:
        self.executor = executor
        self.resources = resources


_process_slot = _Slot()
_thread_slot: ContextVar[_Slot | None] = ContextVar("libensemble_thread_slot", default=None)


class Current:
    """The executor and resources of whoever asks."""

    @property
    def _slot(self) -> _Slot:
        return _thread_slot.get() or _process_slot

    @property
    def executor(self) -> Any:
        """The executor of this worker (or of the calling script), or None."""
        return self._slot.executor

    @executor.setter
    def executor(self, executor: Any) -> None:
        self._slot.executor = executor

    @property
    def resources(self) -> Any:
        """The resources of this worker (or of the calling script), or None."""
        return self._slot.resources

    @resources.setter
    def resources(self, resources: Any) -> None:
        self._slot.resources = resources

    def bind_thread(self, executor: Any = None, resources: Any = None) -> None:
        """Give the calling thread a place of its own, apart from the process's."""
        _thread_slot.set(_Slot(executor, resources))


current = Current()
