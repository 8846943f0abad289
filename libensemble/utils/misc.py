"""Small conversions that engine and user scripts share, under the path where users know them.

Owns how a specs model becomes a plain dict, how lists of rows become text, and the 1-based look at a worker table.
The conversions between dicts and arrays live in `arrays.py` and are only shown here.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from libensemble.utils.arrays import list_dicts_to_np, map_numpy_array, np_to_list_dicts, unmap_numpy_array

__all__ = [
    "extract_H_ranges",
    "list_dicts_to_np",
    "map_numpy_array",
    "np_to_list_dicts",
    "pydanticV1",
    "pydanticV2",
    "ranges",
    "specs_dump",
    "unmap_numpy_array",
]

pydanticV1 = False  # scripts branch on these two
pydanticV2 = True

_LOOP_LIMIT = 64  # from here on NumPy finds the runs faster than a loop does


def specs_dump(
    model: Any,
    *,
    by_alias: bool = False,
    exclude_none: bool = False,
    exclude_unset: bool = False,
    exclude_defaults: bool = False,
) -> dict[str, Any]:
    """Return the fields of a specs model as a plain dict, without converting any value.

    A value that is itself a plain dict or list is copied one level deep; what it holds, and every other value, is the
    same object as in the model (`model.model_dump()` would turn generators and dataclasses into dicts).

    Parameters
    ----------
    model : pydantic.BaseModel or dict
        A dict is copied the same way; only `exclude_none` applies to it.
    by_alias : bool, default False
        Name fields by their alias where they have one (``"in"`` instead of ``"inputs"``).
    exclude_none, exclude_unset, exclude_defaults : bool, default False
        Leave out fields that are None, that were never assigned, or that equal their default.

    Returns
    -------
    dict
        In the order in which the model declares its fields.
    """
    if isinstance(model, dict):
        return {key: _copied(value) for key, value in model.items() if not (exclude_none and value is None)}
    fields = getattr(type(model), "model_fields", None)
    if fields is None:
        raise TypeError(f"specs_dump takes a specs model or a dict, not {type(model).__name__}: {model!r}")
    dump = {}
    for name, field in fields.items():
        value = getattr(model, name)
        if exclude_none and value is None:
            continue
        if exclude_unset and name not in model.model_fields_set:
            continue
        if exclude_defaults and _is_default(value, field):
            continue
        dump[(field.serialization_alias or field.alias or name) if by_alias else name] = _copied(value)
    for name, value in (model.model_extra or {}).items():
        if not (exclude_none and value is None):
            dump[name] = _copied(value)
    return dump


def _copied(value: Any) -> Any:
    return value.copy() if type(value) in (dict, list) else value


def _is_default(value: Any, field: Any) -> bool:
    if field.is_required():
        return False
    default = field.get_default(call_default_factory=True)
    if value is default:
        return True
    if type(value) is not type(default):
        return False
    try:
        return bool(value == default)
    except ValueError:  # arrays do not compare to one truth value
        return bool(np.array_equal(value, default))


def ranges(rows: Sequence[int] | npt.NDArray[np.integer]) -> str:
    """Write row numbers as runs: ``[0, 1, 2, 5, 7, 8]`` becomes ``"0-2_5_7-8"``.

    Rows keep their order; a run is a stretch in which each number is one above that before it. No rows give ``""``.
    """
    count = len(rows)
    if count == 1:
        return str(int(rows[0]))
    if count == 0:
        return ""
    if count > _LOOP_LIMIT:
        return _ranges_of_many(np.asarray(rows, dtype=int))
    runs = []
    first = last = int(rows[0])
    for row in rows[1:]:
        if row != last + 1:
            runs.append(str(first) if first == last else f"{first}-{last}")
            first = int(row)
        last = int(row)
    runs.append(str(first) if first == last else f"{first}-{last}")
    return "_".join(runs)


def _ranges_of_many(rows: npt.NDArray[np.integer]) -> str:
    breaks = np.flatnonzero(np.diff(rows) != 1) + 1
    firsts = rows[np.concatenate(([0], breaks))].tolist()
    lasts = rows[np.concatenate((breaks - 1, [-1]))].tolist()
    return "_".join(
        str(first) if first == last else f"{first}-{last}" for first, last in zip(firsts, lasts, strict=True)
    )


def extract_H_ranges(Work: dict[str, Any]) -> str:
    """Return the rows of a work order as text, ``""`` when it has none.

    Parameters
    ----------
    Work : dict
        A work order; its rows are ``Work["libE_info"]["H_rows"]``.

    Examples
    --------
    >>> extract_H_ranges({"libE_info": {"H_rows": [0, 1, 2, 5]}})
    '0-2_5'
    """
    return ranges(Work["libE_info"]["H_rows"])


class _WorkerIndexer:
    """A worker table indexed by worker id instead of by position.

    Parameters
    ----------
    array : structured array
        One row per worker.
    additional_worker : bool, default False
        The first row is worker 0 (the manager's own); otherwise it is worker 1.
    """

    def __init__(self, array: npt.NDArray[np.void], additional_worker: bool = False) -> None:
        self.array = array
        self.additional_worker = additional_worker

    def _position(self, key: Any) -> Any:
        if isinstance(key, str | list) or self.additional_worker:
            return key
        first = 1
        if isinstance(key, int | np.integer) and not first <= key <= len(self.array):
            raise IndexError(f"no worker {key}: workers are numbered 1 to {len(self.array)}")
        return key - first

    def __getitem__(self, key: Any) -> Any:
        return self.array[self._position(key)]

    def __setitem__(self, key: Any, value: Any) -> None:
        self.array[self._position(key)] = value

    def __len__(self) -> int:
        return len(self.array)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.array)
