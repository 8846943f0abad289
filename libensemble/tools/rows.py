"""Rows and fields, as allocation functions may name them, in the one form that orders hold."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from libensemble.errors import AllocException


def row_array(rows: Any) -> npt.NDArray[np.int_]:
    """Return rows as an int array of one dimension."""
    if type(rows) is range:
        return np.arange(rows.start, rows.stop, rows.step)
    array = np.array(rows) if type(rows) is list else np.asarray(rows)
    if array.ndim != 1:
        array = array.ravel()
    if array.dtype.kind == "i":
        return array
    if array.size == 0 or array.dtype.kind == "u":
        return array.astype(int)
    raise AllocException(f"H_rows must be row numbers (an int, or a sequence of int), not {rows!r}")


def distinct(fields: Sequence[str]) -> list[str]:
    """Return the names in order, each once."""
    if type(fields) is list and len(set(fields)) == len(fields):
        return fields
    return [fields] if isinstance(fields, str) else list(dict.fromkeys(fields))


def chosen(pt_filter: Any, low_bound: int | None) -> Any:
    """Return an index of the rows that the filter lets through, from `low_bound` on."""
    if pt_filter is None:
        return slice(low_bound, None)
    rows = np.asarray(pt_filter)
    rows = np.flatnonzero(rows) if rows.dtype == bool else rows.astype(int)
    return rows if low_bound is None else rows[rows >= low_bound]


def all_that_start(H: npt.NDArray[np.void], field: str, pt_filter: Any, low_bound: int | None) -> bool:
    """Return whether `field` is true in all rows, those aside that were cancelled before they started."""
    rows = chosen(pt_filter, low_bound)
    return bool(np.all(H[field][rows] | (H["cancel_requested"][rows] & ~H["sim_started"][rows])))
