"""The history fields that a VOCS names.

A VOCS is any object with the mappings `variables`, `constants`, `objectives`, `observables` and `constraints`
(normally `gest_api.vocs.VOCS`). Missing mappings count as empty.
"""

import copy
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from libensemble.utils.lookup import lookup

INPUT_KINDS = ("variables", "constants")
OUTPUT_KINDS = ("objectives", "observables", "constraints")

Field = tuple[Any, ...]


def as_vocs(vocs: Any) -> Any:
    """Return a VOCS object for its dict form; anything else is returned unchanged."""
    if isinstance(vocs, dict):
        return lookup("gest_api.vocs.VOCS")(**copy.deepcopy(vocs))
    return vocs


def names(vocs: Any, kinds: Iterable[str]) -> list[str]:
    """Return the names of the given kinds of entries, in order, each once."""
    return list(dict.fromkeys(name for kind in kinds for name in _entries(vocs, kind)))


def fields(vocs: Any, kinds: Iterable[str]) -> list[Field]:
    """Return ``(name, dtype[, shape])`` for the given kinds of entries, in order, each name once."""
    found: dict[str, Field] = {}
    for kind in kinds:
        for name, entry in _entries(vocs, kind).items():
            found.setdefault(name, _field(name, entry, kind))
    return list(found.values())


def _entries(vocs: Any, kind: str) -> Mapping[str, Any]:
    entries = getattr(vocs, kind, None) or {}
    return entries if isinstance(entries, Mapping) else dict.fromkeys(entries)


def _field(name: str, entry: Any, kind: str) -> Field:
    dtype = getattr(entry, "dtype", None)
    if dtype is None and kind == "constants":
        return (name, *_of_constant(getattr(entry, "value", entry)))
    if dtype is None and kind == "variables":
        values = entry if isinstance(entry, set | frozenset) else getattr(entry, "values", None)
        return (name, _of_values(name, values) if isinstance(values, Iterable) else float)
    if dtype is None:
        return (name, float)
    if isinstance(dtype, tuple):
        is_shape = all(isinstance(size, int) for size in dtype)
        return (name, float, dtype) if is_shape else (name, *dtype)
    return (name, dtype)


def _of_values(name: str, values: Iterable[Any]) -> Any:
    """Return the one dtype of a discrete variable's values."""
    values = list(values)
    kinds = {type(value) for value in values}
    if len(kinds) != 1:
        listed = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise ValueError(f"the values of discrete variable {name!r} must be of one type, not {listed}: {values}")
    kind = kinds.pop()
    return f"U{max(map(len, values))}" if issubclass(kind, str) else kind


def _of_constant(value: Any) -> Field:
    """Return ``(dtype,)`` or ``(dtype, shape)`` that holds a constant's value."""
    if isinstance(value, bool | int | float):
        return (type(value),)
    try:
        array = np.asarray(value)
    except ValueError:  # ragged nests
        return (object,)
    if array.dtype.kind not in "biufcSU":
        return (object,)
    return (array.dtype.str.lstrip("<>|="), array.shape) if array.shape else (array.dtype.str.lstrip("<>|="),)
