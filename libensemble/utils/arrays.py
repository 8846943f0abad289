"""Lists of dicts become structured arrays, and structured arrays lists of dicts.

Owns the four conversions by which generator objects (dicts with one scalar per name) and array functions (fields that
may be vectors) understand each other. A *mapping* says which names a field gathers:
``{"x": ["core", "edge"], "f": ["energy"]}`` reads "the vector `x` holds `core` and `edge`; `f` is called `energy`".

    dicts  --- list_dicts_to_np --->  array of fields   --- unmap_numpy_array --->  array of scalars
           <-- np_to_list_dicts ----                    <-- map_numpy_array ------
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

NameMapping = Mapping[str, Sequence[str]]
Array = npt.NDArray[np.void]

NO_ID = -1  # an `_id` that was never given


def list_dicts_to_np(list_dicts: Any, dtype: Any = None, mapping: NameMapping | None = None) -> Any:
    """Convert points given as dicts into a structured array.

    Parameters
    ----------
    list_dicts : list of dict
        One dict per point. None, and whatever is not a list, is returned unchanged.
    dtype : list of tuple or numpy.dtype, optional
        The fields of the array; never modified. Without it, the values decide: strings become ``U<longest + 1>``, the
        key ``sim_id`` is an int, and numbers get the type that holds all values of their name.
    mapping : dict of str to list of str, optional
        Names that go into one field together. An entry counts only when its names are all present; its field is a
        float vector (a float scalar for a single name) unless `dtype` says otherwise. Names that an entry takes up
        have no field of their own unless `dtype` declares one.

    Returns
    -------
    structured array, shape (len(list_dicts),)
        Declared fields that no dict fills are zero (``_id``: -1).

    Raises
    ------
    ValueError
        A dict has a key for which `dtype` has no field, or whose field takes no such value, or lacks a key that others
        have.
    """
    if not isinstance(list_dicts, list):
        return list_dicts
    if not list_dicts:
        return np.zeros(0, dtype=[] if dtype is None else dtype)
    keys = list(dict.fromkeys(key for point in list_dicts for key in point))
    packed = {field: names for field, names in (mapping or {}).items() if names and all(n in keys for n in names)}
    taken = {name for names in packed.values() for name in names}
    free = [key for key in keys if key not in taken]
    if dtype is None:
        fields = [_inferred_field(key, list_dicts) for key in free]
    else:
        fields = _fields_of(np.dtype(dtype))
        _refuse_unknown(free, fields)
    declared = {field[0] for field in fields}
    fields += [_packed_field(field, names) for field, names in packed.items() if field not in declared]
    array = np.zeros(len(list_dicts), dtype=fields)
    if "_id" in declared:
        array["_id"] = NO_ID
    for key in keys:
        if key not in taken or (key in declared and key not in packed):
            _write(array, key, _column(key, list_dicts))
    for field, names in packed.items():
        _write_packed(array, field, [_column(name, list_dicts) for name in names])
    return array


def _refuse_unknown(keys: Iterable[str], fields: Iterable[tuple[Any, ...]]) -> None:
    names = [field[0] for field in fields]
    unknown = [key for key in keys if key not in names]
    if unknown:
        raise ValueError(f"a point has {unknown}, but the fields are {names}; declare these fields or leave them out")


def _column(key: str, points: list[dict[str, Any]]) -> list[Any]:
    if key == "_id":
        return [NO_ID if point.get(key) is None else point[key] for point in points]
    try:
        return [point[key] for point in points]
    except KeyError:
        lacking = next(number for number, point in enumerate(points) if key not in point)
        raise ValueError(f"point {lacking} has no {key!r}, which other points of the list have") from None


def _write(array: Array, key: str, values: list[Any]) -> None:
    try:
        array[key] = values
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"the values of {key!r}, such as {values[0]!r}, do not fit its field, which is of type {array.dtype[key]}"
        ) from error


def _inferred_field(key: str, points: list[dict[str, Any]]) -> tuple[Any, ...]:
    if key in ("sim_id", "_id"):
        return (key, int)
    values = _column(key, points)
    if isinstance(values[0], str):
        return (key, f"U{max(len(str(value)) for value in values) + 1}")
    kinds = {type(value) for value in values}
    if len(kinds) == 1 and isinstance(values[0], bool | int | float | complex):
        return (key, kinds.pop())
    first = np.asarray(values[0])
    kind = np.result_type(*(np.asarray(value).dtype for value in values))
    return (key, kind, first.shape) if first.shape else (key, kind)


def _packed_field(field: str, names: Sequence[str]) -> tuple[Any, ...]:
    return (field, float, (len(names),)) if len(names) > 1 else (field, int if field == "sim_id" else float)


def _write_packed(array: Array, field: str, columns: Sequence[Any]) -> None:
    room = array[field].shape[1:]
    if room == () and len(columns) == 1:
        array[field] = columns[0]
    elif room == (len(columns),):
        for position, column in enumerate(columns):
            array[field][:, position] = column
    else:
        raise ValueError(f"field {field!r} has shape {room}, but {len(columns)} names are mapped to it")


def np_to_list_dicts(array: Any, mapping: NameMapping | None = None, native: bool = False) -> Any:
    """Convert the rows of a structured array into dicts.

    Parameters
    ----------
    array : structured array
        None is returned unchanged.
    mapping : dict of str to list of str, optional
        Fields to be split over several names, or renamed. Entries whose field is absent do not count.
    native : bool, default False
        Scalars are Python's (`float`, `int`, `str`, `bool`) instead of NumPy's. Vectors stay arrays either way.

    Returns
    -------
    list of dict
        Fields that the mapping does not name keep name and shape. An ``_id`` of -1 is left out.

    Raises
    ------
    AssertionError
        A mapped vector does not have as many entries as the mapping has names.
    """
    if array is None:
        return None
    columns: dict[str, Iterable[Any]] = {}
    for name, column in _split_columns(array, mapping or {}):
        columns[name] = column.tolist() if native and column.ndim == 1 else column
    points = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    if "_id" in columns:
        for point in points:
            if np.ndim(point["_id"]) == 0 and point["_id"] == NO_ID:
                del point["_id"]
    return points


def unmap_numpy_array(array: Any, mapping: NameMapping | None = None) -> Any:
    """Split mapped fields into one scalar field per name; a mapped scalar is renamed.

    Parameters
    ----------
    array : structured array
    mapping : dict of str to list of str, optional
        An empty mapping, or None for the array, returns the argument itself.

    Returns
    -------
    structured array
        In the order of the fields; those that the mapping does not name keep name, type and shape.

    Raises
    ------
    AssertionError
        A mapped vector does not have as many entries as the mapping has names.
    """
    if array is None or not mapping:
        return array
    return from_columns(dict(_split_columns(array, mapping)), len(array))


def map_numpy_array(array: Any, mapping: NameMapping | None = None) -> Any:
    """Gather the fields that a mapping names into vectors: the inverse of `unmap_numpy_array`.

    Parameters
    ----------
    array : structured array
    mapping : dict of str to list of str, optional
        An empty mapping, or None for the array, returns the argument itself. An entry counts only when the array has
        all of its names.

    Returns
    -------
    structured array
        First the gathered fields, of the type that holds all their parts, then all other fields as they are.
    """
    if array is None or not mapping:
        return array
    present = array.dtype.names or ()
    packed = {field: names for field, names in mapping.items() if names and all(name in present for name in names)}
    taken = {name for names in packed.values() for name in names}
    columns = {}
    for field, names in packed.items():
        parts = [array[name] for name in names]
        columns[field] = np.stack(parts, axis=1) if len(parts) > 1 else parts[0]
    columns.update({name: array[name] for name in present if name not in taken and name not in packed})
    return from_columns(columns, len(array))


def _split_columns(array: Array, mapping: NameMapping) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """Give each column under its own name or, split, under those it is mapped to; mapped names come before equals."""
    present = array.dtype.names or ()
    splits = {field: mapping[field] for field in present if mapping.get(field)}
    for field, names in list(splits.items()):
        if len(names) > 1 and field in names and array[field].ndim == 1:
            del splits[field]  # {"x": ["x", "y"]} where x is a scalar: split already
    renamed = {name for names in splits.values() for name in names}
    for field in present:
        column = array[field]
        if field not in splits:
            if field not in renamed:
                yield field, column
        elif column.ndim == 1:
            _same_length(field, 1, splits[field])
            yield splits[field][0], column
        else:
            _same_length(field, column.shape[1], splits[field])
            for position, name in enumerate(splits[field]):
                yield name, column[:, position]


def _same_length(field: str, length: int, names: Sequence[str]) -> None:
    if length != len(names):
        raise AssertionError(
            f"field {field!r} holds {length} values, but is mapped to {len(names)} names: {list(names)}"
        )


def _fields_of(dtype: np.dtype[Any]) -> list[tuple[Any, ...]]:
    """Return the fields of a structured dtype as a list of tuples (plain `descr` loses object and padded types)."""
    fields: list[tuple[Any, ...]] = []
    for name in dtype.names or ():
        base, shape = dtype[name].base, dtype[name].shape
        fields.append((name, base, shape) if shape else (name, base))
    return fields


def from_columns(columns: Mapping[str, npt.NDArray[Any]], length: int) -> Array:
    """Make a structured array of named columns, each of shape (length, ...)."""
    fields = [
        (name, column.dtype, column.shape[1:]) if column.ndim > 1 else (name, column.dtype)
        for name, column in columns.items()
    ]
    array = np.empty(length, dtype=fields)
    for name, column in columns.items():
        array[name] = column
    return array
