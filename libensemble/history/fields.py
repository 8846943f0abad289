"""The fields of the history: the reserved ones in order, their starting values, and how users' fields join them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from libensemble.errors import HistoryError

libE_fields: list[tuple[str, type]] = [
    ("sim_id", int),  # the row's number, unless the generator numbers its points
    ("gen_worker", int),  # who generated it (0: the manager's own generator thread)
    ("gen_started_time", float),  # when that generator was last given work
    ("gen_ended_time", float),  # when the row came in
    ("sim_worker", int),  # who evaluates or evaluated it
    ("sim_started", bool),  # given to a worker?
    ("sim_started_time", float),
    ("sim_ended", bool),  # come back?
    ("sim_ended_time", float),
    ("gen_informed", bool),  # told to a generator after it ended?
    ("gen_informed_time", float),
    ("cancel_requested", bool),  # asked not to be evaluated, by a generator or an allocation function
    ("kill_sent", bool),  # a kill signal has gone to its worker
]

protected_libE_fields: list[str] = [
    name for name, _ in libE_fields if name not in ("sim_id", "cancel_requested")
]

# What a fresh row holds where it is not zero. `resource_sets` and `_id` count only where the user declares them.
starting_values: dict[str, Any] = {
    "sim_id": -1,
    "sim_started_time": np.inf,
    "gen_informed_time": np.inf,
    "resource_sets": 1,
    "_id": -1,
}


def merge_fields(first: "np.dtype[Any] | None", *declared: Sequence[Any]) -> "np.dtype[Any]":
    """Return the history's type: reserved fields, then the declared ones in order, each name once.

    Parameters
    ----------
    first : dtype or None
        The type of H0; its fields win over declared ones of the same name.
    *declared : list of tuple
        Lists of ``(name, type)`` or ``(name, type, shape)``.

    Raises
    ------
    HistoryError
        The same name is declared with types that do not agree.
    """
    fields: dict[str, np.dtype[Any]] = {name: np.dtype(kind) for name, kind in libE_fields}
    reserved = set(fields)
    from_H0 = {name: first[name] for name in first.names or ()} if first is not None else {}
    for out in declared:
        for entry in out:
            one = np.dtype([tuple(entry)])
            for name in one.names or ():
                known = fields.get(name)
                if known is not None and not _agree(known, one[name], name in reserved) and name not in from_H0:
                    raise HistoryError(
                        f"field {name!r} is declared as {one[name]} but elsewhere as {known}; the types must agree"
                    )
                fields.setdefault(name, one[name])
    fields.update((name, kind) for name, kind in from_H0.items() if name not in reserved)
    return np.dtype(list(fields.items()))


def _agree(known: "np.dtype[Any]", other: "np.dtype[Any]", is_reserved: bool) -> bool:
    if known == other:
        return True
    # A reserved field may be declared with another width of the same kind: ("sim_id", "int32").
    return is_reserved and known.kind == other.kind and known.shape == other.shape


def blank(length: int, dtype: "np.dtype[Any]") -> npt.NDArray[np.void]:
    """Return rows that hold the starting values."""
    H = np.zeros(length, dtype=dtype)
    for name, value in starting_values.items():
        if name in (dtype.names or ()):
            H[name] = value
    return H
