"""Observer, and three of them: checkpoints of the history, live data, and the statistics file.

Observers hear of each batch after the ledger has taken it into account. They only look.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from libensemble.comms.logs import flush_stats
from libensemble.history import History
from libensemble.store.run_folder import RunFolder

logger = logging.getLogger(__name__)


class Observer:
    """Hears what happens in a run. Subclasses override what they want to hear."""

    def batch(self, history: History) -> None:
        """Rows have been added or finished."""

    def idle(self) -> None:
        """Nothing has come for a while: a good time for what can wait."""

    def ended(self, history: History) -> None:
        """The run has ended without an error."""


class Statistics(Observer):
    """Brings the lines of the statistics file to disk when nothing else is to be done."""

    def idle(self) -> None:
        """Write what waits."""
        flush_stats()


class Checkpoints(Observer):
    """Saves the history every k simulations or points, and at the end.

    Parameters
    ----------
    folder : RunFolder
    libE_specs : dict
        `save_every_k_sims`, `save_every_k_gens`, `save_H_on_completion`.
    """

    def __init__(self, folder: RunFolder, libE_specs: Mapping[str, Any]) -> None:
        self._folder = folder
        self._every = {
            "sim": int(libE_specs.get("save_every_k_sims") or 0),
            "gen": int(libE_specs.get("save_every_k_gens") or 0),
        }
        self._saved = {"sim": 0, "gen": 0}
        self._at_end = bool(libE_specs.get("save_H_on_completion"))

    def batch(self, history: History) -> None:
        """Save when the next multiple of k has been passed; the file is written beside the run."""
        for kind, k in self._every.items():
            if k:
                reached = k * (_count(kind, history) // k)
                # While one file is still being written, the next waits for a later batch: the run goes on. Of what
                # was there before there is a file already, which is not this run's to write again.
                if reached > max(self._saved[kind], _count_before(kind, history)) and not self._folder.is_saving:
                    self._saved[kind] = reached
                    self._try(self._folder.finish_saving)
                    self._folder.save_history_soon(history.trim_H(), kind, reached)

    def ended(self, history: History) -> None:
        """Save the whole history under its exact counts."""
        self._try(self._folder.finish_saving)
        if self._at_end:
            kinds = [kind for kind, k in self._every.items() if k] or ["sim"]
            for kind in kinds:
                self._try(self._folder.save_history, history.trim_H(), kind, _count(kind, history))

    def _try(self, save: Callable[..., Any], *args: Any) -> None:
        """Save; a full disk costs the file, not the run."""
        try:
            save(*args)
        except Exception as error:
            logger.error("The history could not be saved in %s: %s: %s", self._folder.path, type(error).__name__, error)


class LiveData(Observer):
    """Calls the user's live-data object.

    Parameters
    ----------
    target : object
        With methods ``live_update(history)`` and ``finalize(history)``.
    """

    def __init__(self, target: Any) -> None:
        self._target = target

    def batch(self, history: History) -> None:
        """Call ``live_update``."""
        self._target.live_update(history)

    def ended(self, history: History) -> None:
        """Call ``finalize``."""
        self._target.finalize(history)


def _count(kind: str, history: History) -> int:
    return history.sim_ended_count if kind == "sim" else history.index


def _count_before(kind: str, history: History) -> int:
    return history.sim_ended_offset if kind == "sim" else history.H0_length
