"""Every exception of the package, in one tree.

    LibEnsembleError
    |-- LoggedException             what a failed run raises, after it has been logged and saved
    |-- ManagerException            the manager cannot go on
    |   `-- NoWorkError             nothing runs, nothing is waiting, no exit test holds
    |-- WorkerException             a user function raised on a worker
    |   `-- WorkerDied              a worker ended without a word
    |-- HistoryError                rows that cannot be stored as given
    |-- AllocException              an allocation function asked for what cannot be
    |-- CommError
    |   |-- Timeout                 nothing came in the given time
    |   |-- CommFinishedException   the other end is gone
    |   |-- ManagerStop             the manager asked this worker to stop
    |   |-- RemoteException         raised in another process; `exc` holds its traceback as text
    |   `-- RemoteTraceback         its cause: that text, so that a traceback here shows what happened there
    |-- DirectoryError              a directory of the run cannot be used
    |-- ResourcesException
    |   |-- ResourceManagerException
    |   |-- WorkerResourcesException
    |   |-- MPIResourcesException
    |   |-- PlatformException
    |   |-- InsufficientResourcesError   more than there is
    |   `-- InsufficientFreeResources    more than is free now (transient)
    |-- ExecutorException
    |-- TimeoutExpired              a task ran longer than its caller wanted to wait
    |-- GeneratorNotStartedException
    `-- APOSMMException

Errors in what a user states (specs) are pydantic's `ValidationError`, as in every pydantic program.
A class with `transient = True` names a failure that may pass if the same thing is tried later.
"""


class LibEnsembleError(Exception):
    """Base of every exception that this package defines."""

    transient = False


class LoggedException(LibEnsembleError):
    """Raised out of a run once the error has been logged and the history saved."""


class ManagerException(LibEnsembleError):
    """The manager cannot go on."""


class NoWorkError(ManagerException):
    """No worker is active, the allocation function gives no work, and no exit test holds."""


class WorkerException(LibEnsembleError):
    """A user function raised on a worker."""


class WorkerDied(WorkerException):
    """A worker process ended without reporting."""


class HistoryError(LibEnsembleError):
    """Rows that cannot be stored in the history as they were given."""


class AllocException(LibEnsembleError):
    """An allocation function, or a call of AllocSupport, asked for what cannot be."""


class CommError(LibEnsembleError):
    """Base of errors in the post between manager and workers."""


class Timeout(CommError):
    """Nothing came in the given time."""

    transient = True


class CommFinishedException(CommError):
    """The other end of a comm is gone."""


class ManagerStop(CommError):
    """The manager asked this worker to stop."""


class RemoteException(CommError):
    """An exception raised in another process or thread.

    Attributes
    ----------
    exc : str
        Its traceback, as text.
    """

    def __init__(self, message: str, exc: str = "") -> None:
        super().__init__(message, exc)
        self.exc = exc
        if exc:
            self.__cause__ = RemoteTraceback(f"\n{exc}")

    def __str__(self) -> str:
        return str(self.args[0])


class RemoteTraceback(CommError):
    """Where a `RemoteException` was raised, as text."""


class DirectoryError(LibEnsembleError):
    """A directory that this run should write to cannot be used."""


class ResourcesException(LibEnsembleError):
    """Resources could not be found out or divided."""


class ResourceManagerException(ResourcesException):
    """Resource sets were given or freed wrongly."""


class WorkerResourcesException(ResourcesException):
    """A worker's share of the resources is not what was asked for."""


class MPIResourcesException(ResourcesException):
    """An MPI launch that does not fit the worker's resources."""


class PlatformException(ResourcesException):
    """A platform is unknown or ill-described."""


class InsufficientResourcesError(ResourcesException):
    """More was asked for than there is: waiting will not help."""


class InsufficientFreeResources(ResourcesException):
    """More was asked for than is free now."""

    transient = True


class ExecutorException(LibEnsembleError):
    """An executor or a task was used wrongly."""


class TimeoutExpired(LibEnsembleError, TimeoutError):
    """A task ran longer than its caller wanted to wait.

    Attributes
    ----------
    task : str
        The name of the task.
    timeout : float
        Seconds waited.
    """

    def __init__(self, task: str, timeout: float) -> None:
        super().__init__(task, timeout)
        self.task = task
        self.timeout = timeout

    def __str__(self) -> str:
        return f"Task {self.task} timed out after {self.timeout} seconds"


class GeneratorNotStartedException(LibEnsembleError):
    """A generator was used before it was started."""


class APOSMMException(LibEnsembleError):
    """APOSMM was given options or data that it cannot work with."""
