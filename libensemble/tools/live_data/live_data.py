"""LiveData: the base of objects that are shown the history while a run goes on."""

from abc import ABC, abstractmethod
from typing import Any


class LiveData(ABC):
    """Given as ``libE_specs["live_data"]``; called on the manager, in the thread of its loop."""

    @abstractmethod
    def live_update(self, hist: Any) -> None:
        """Look at the history; called after each batch of messages that the manager has taken in: points, results.

        Must be quick, for the manager waits; may not change anything.

        Parameters
        ----------
        hist : History
            ``hist.H[:hist.index]`` are its rows.
        """

    def finalize(self, hist: Any) -> None:  # noqa: B027 (may be left as it is)
        """Look at the history once more; called at the end of the run."""
