"""H0, the history that a run starts from: its accepted forms and the rules it obeys.

What its rows come to mean (marking them as started, giving them ids) is the history's business.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from libensemble.history.fields import libE_fields

Rows = npt.NDArray[np.void]


def as_array(H0: Any, declared: dict[str, tuple[Any, ...]]) -> Rows | None:
    """Return H0 as a structured array, or None when it holds no rows.

    Parameters
    ----------
    H0 : structured array, list of dict, or None
        Dicts are rows; all have the same keys.
    declared : dict
        Fields that the specs name; their dtypes are used for rows given as dicts.
    """
    if H0 is None or len(H0) == 0:
        return None
    if isinstance(H0, list | tuple):
        return _from_dicts(list(H0), declared)
    if not isinstance(H0, np.ndarray) or H0.dtype.names is None:
        raise ValueError(f"H0 must be a structured array or a list of dicts, not {type(H0).__name__} {H0!r:.80}")
    return np.atleast_1d(H0)


def _from_dicts(rows: list[Any], declared: dict[str, tuple[Any, ...]]) -> Rows:
    if not all(isinstance(row, dict) and row.keys() == rows[0].keys() for row in rows):
        raise ValueError("H0 given as a list must hold dicts that all have the same keys")
    reserved = {name: (name, kind) for name, kind in libE_fields}
    fields = [
        reserved.get(name) or declared.get(name) or _field_for(name, [row[name] for row in rows]) for name in rows[0]
    ]
    H0 = np.zeros(len(rows), dtype=fields)
    for name in rows[0]:
        for position, row in enumerate(rows):
            H0[name][position] = row[name]
    return H0


def _field_for(name: str, values: list[Any]) -> tuple[Any, ...]:
    """Return the field that holds all these values: one shape, the widest type."""
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"H0 holds values of different shapes in {name!r}; declare the field in the specs") from error
    return (name, array.dtype, array.shape[1:]) if array.ndim > 1 else (name, array.dtype)


def check_states(H0: Rows) -> None:
    """Every row of H0 has ended, or has not been started."""
    names = H0.dtype.names or ()
    if "sim_ended" in names and "sim_started" not in names:
        raise ValueError("H0 has the field 'sim_ended' but not 'sim_started'; give both, or neither")
    if "sim_ended" in names:
        running = np.flatnonzero(H0["sim_started"] != H0["sim_ended"])
        if len(running):
            raise ValueError(
                f"H0 has {len(running)} rows that were started but have not ended (or the reverse), the first is row "
                f"{running[0]}: drop them, or set their sim_started to False so that they are evaluated again"
            )


def check_shapes(H0: Rows, declared: dict[str, tuple[Any, ...]]) -> None:
    """A field of H0 fits into the field of that name in the specs."""
    for name in H0.dtype.names or ():
        if name not in declared:
            continue
        have, want = H0.dtype[name].shape, np.dtype([declared[name]])[0].shape
        if len(have) != len(want) or any(mine > room for mine, room in zip(have, want, strict=True)):
            raise ValueError(
                f"field {name!r} has shape {have} in H0 and shape {want} in the specs: "
                "they must have as many dimensions, and H0's may not be larger"
            )
