"""ExitTests: when to stop giving out work."""

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

from libensemble.history import History

logger = logging.getLogger(__name__)


class ExitTests:
    """The exit criteria of a run, tested against counters and the rows that have just changed.

    Parameters
    ----------
    exit_criteria : dict
        Any of `sim_max`, `gen_max`, `wallclock_max` (seconds), `stop_val` (field, value).
    history : History
    """

    def __init__(self, exit_criteria: Mapping[str, Any], history: History) -> None:
        self._history, self._agenda = history, history.agenda
        self._wallclock_max = exit_criteria.get("wallclock_max")
        self._sim_max = exit_criteria.get("sim_max")
        self._gen_max = exit_criteria.get("gen_max")
        self._stop_val = exit_criteria.get("stop_val")
        # Rows of H0 do not count as new ones.
        self._last_start = _limit(self._sim_max, history.sim_started_offset)
        self._last_end = _limit(self._sim_max, history.sim_ended_offset)
        self._last_row = _limit(self._gen_max, history.H0_length)
        self._value_reached = False
        self._reported = False
        self.look_at(range(history.index))

    @property
    def wallclock_max(self) -> float | None:
        """Seconds the run may take, or None."""
        return self._wallclock_max

    @property
    def sim_max_given(self) -> bool:
        """Whether as many rows as `sim_max` allows have been given out."""
        return self._agenda.started_count >= self._last_start

    def look_at(self, rows: Sequence[int]) -> None:
        """Hold these rows against `stop_val`."""
        if self._stop_val is None or self._value_reached:
            return
        name, bound = self._stop_val
        columns = self._history.columns
        if name not in columns:
            return
        values, ended = columns[name], columns["sim_ended"]
        holds = bool if values.ndim == 1 else _any_element
        self._value_reached = any(ended[row] and holds(values[row] <= bound) for row in rows)

    def reached(self, elapsed: float) -> bool:
        """Return whether the run is to stop giving out work; the reason is logged once."""
        reason = self._reason(elapsed)
        if reason and not self._reported:
            self._reported = True
            logger.info("Exit test reached: %s", reason)
        return reason is not None

    def out_of_time(self, elapsed: float) -> bool:
        """Return whether `wallclock_max` has passed."""
        return self._wallclock_max is not None and elapsed >= self._wallclock_max

    def _reason(self, elapsed: float) -> str | None:
        if self.out_of_time(elapsed):
            return f"wallclock_max ({self._wallclock_max} s)"
        if self._agenda.ended_count >= self._last_end:
            return f"sim_max ({self._sim_max})"
        if self._history.index >= self._last_row:
            return f"gen_max ({self._gen_max})"
        if self._value_reached:
            return f"stop_val {self._stop_val}"
        return None


def _limit(most: int | None, before: int) -> float:
    return math.inf if most is None else most + before


def _any_element(comparison: Any) -> bool:
    return bool(comparison.any())
