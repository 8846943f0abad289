"""PersisPost: sends a worker's persis_info only when it has changed since it was last sent.

Packing and unpacking a random stream costs more than all the rest of a small message, and most simulators never touch
theirs. A fingerprint, exact for what it covers, tells whether a dict is still what the other end holds; a dict with
anything else in it is sent each time.
"""

import pickle
from typing import Any

import numpy as np

_PLAIN = frozenset((int, float, str, bool, bytes, type(None)))
_SAME = "="  # in place of the dict: the one sent before
_WHOLE = "*"  # in place of its bytes: it is not a dict, and travels as it is


def fingerprint(persis_info: Any) -> tuple[Any, ...] | None:
    """Return a value that is equal for equal contents, or None if that cannot be told cheaply."""
    if type(persis_info) is not dict:
        return None
    marks: list[Any] = []
    for key, value in persis_info.items():
        kind = type(value)
        if kind in _PLAIN:
            marks.append((key, kind, value))
        elif kind is np.random.Generator and type(value.bit_generator) is np.random.PCG64:
            state = value.bit_generator.state
            inner = state["state"]
            marks.append((key, kind, inner["state"], inner["inc"], state["has_uint32"], state["uinteger"]))
        else:
            return None
    return tuple(marks)


class PersisPost:
    """The persis_info that both ends of one link hold, as seen from one end."""

    def __init__(self) -> None:
        self._mark: tuple[Any, ...] | None = None
        self._bytes = b""
        self._live: Any = None

    def packed(self, persis_info: Any) -> Any:
        """Return what the manager sends in place of an order's persis_info."""
        mark = fingerprint(persis_info)
        if mark is None:
            self._mark = None
            return (_WHOLE, persis_info)
        if mark == self._mark:
            return _SAME
        self._mark = mark
        return pickle.dumps(persis_info, 5)

    def unpacked(self, sent: Any) -> Any:
        """Return the persis_info that a worker was sent; it is the user function's to change."""
        if type(sent) is tuple:
            self._mark = self._live = None
            return sent[1]
        if sent == _SAME:
            if fingerprint(self._live) == self._mark:
                return self._live
        else:
            self._bytes = sent
        self._live = pickle.loads(self._bytes)
        self._mark = fingerprint(self._live)
        return self._live

    def is_unchanged(self, persis_info: Any) -> bool:
        """Return whether what a user function gave back is what it was given, with nothing changed."""
        return persis_info is self._live and self._mark is not None and fingerprint(persis_info) == self._mark
