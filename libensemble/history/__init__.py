"""The rows of an ensemble: the table that holds them and the agenda that knows what each one waits for."""

from libensemble.history.agenda import Agenda
from libensemble.history.table import History

__all__ = ["Agenda", "History"]
