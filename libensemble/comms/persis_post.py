"""PersisPost: sends a worker's persis_info only when it has changed since it was last sent.

Packing and unpacking a random stream costs more than all the rest of a small message, and most simulators never touch
theirs. A fingerprint, exact for what it covers, tells whether a dict is still what the other end holds; a dict with
anything else in it is sent each time.
"""

import pickle
from typing import Any

import numpy as np

_PLAIN = frozenset((int, float, str, bool, bytes, type(None)))
_WHOLE = "*"  # (_WHOLE, object): what cannot be told apart cheaply travels as it is
_ORDERED, _GIVEN_BACK = "o", "g"  # (one of these, number): one sent before, by the manager or by the worker
# (number, bytes): a new one


def fingerprint(persis_info: Any) -> tuple[Any, ...] | None:
    """Return a value that is equal for equal contents, or None if that cannot be told cheaply."""
    if type(persis_info) is not dict:
        return None
    marks: list[Any] = []
    for key, value in persis_info.items():
        kind = type(value)
        if kind in _PLAIN:
            marks.append((key, kind, value))
        elif kind is np.random.Generator and type(stream := value.bit_generator) is np.random.PCG64:
            state = stream.state
            inner = state["state"]
            try:
                spawned = stream.seed_seq.n_children_spawned  # type: ignore[attr-defined]
            except AttributeError:  # an old NumPy, or a source of its own: then it cannot spawn others
                spawned = None
            marks.append((key, kind, inner["state"], inner["inc"], state["has_uint32"], state["uinteger"], spawned))
        else:
            return None
    return tuple(marks)


class PersisPost:
    """The persis_info that both ends of one link hold, as seen from one end.

    What each end sends is numbered, and an order may refer to the last of either kind: letters that cross cannot be
    taken for one another.
    """

    def __init__(self) -> None:
        self._number = 0  # of the last one that this end sent
        self._mark: tuple[Any, ...] | None = None  # of what `_reference` names
        self._reference: tuple[str, int] | None = None
        self._live: Any = None  # worker: the object that `_reference` names, as user functions have it
        self._is_clean = False  # worker: no user function has had `_live` since `_mark` was taken
        self._kept: dict[str, tuple[int, bytes]] = {}  # worker: the last of each kind

    # ---- the manager's end

    def packed(self, persis_info: Any) -> tuple[Any, Any]:
        """Return what the manager sends in place of an order's persis_info."""
        mark = fingerprint(persis_info)
        if mark is None:
            return (_WHOLE, persis_info)
        if mark == self._mark and self._reference is not None:
            return self._reference
        self._number += 1
        self._mark, self._reference = mark, (_ORDERED, self._number)
        return (self._number, pickle.dumps(persis_info, 5))

    def taken_back(self, sent: tuple[Any, Any]) -> Any:
        """Return the persis_info that a worker gave back."""
        number, content = sent
        if number == _WHOLE:
            return content
        persis_info = pickle.loads(content)
        self._mark, self._reference = fingerprint(persis_info), (_GIVEN_BACK, number)
        return persis_info

    # ---- the worker's end

    def unpacked(self, sent: tuple[Any, Any]) -> Any:
        """Return the persis_info that a worker was sent; it is the user function's to change."""
        key, content = sent
        if key == _WHOLE:
            return content
        if type(content) is bytes:
            self._kept[_ORDERED] = (key, content)
            reference = (_ORDERED, key)
        else:
            reference = sent
            is_held = reference == self._reference and self._mark is not None
            if is_held and (self._is_clean or fingerprint(self._live) == self._mark):
                self._is_clean = False
                return self._live
        number, packed = self._kept.get(reference[0], (0, b""))
        if number != reference[1]:
            return None  # the order has crossed with what this worker gave back: nobody waits for it any more
        self._hold(reference, pickle.loads(packed))
        self._is_clean = False
        return self._live

    def given_back(self, persis_info: Any) -> tuple[Any, Any] | None:
        """Return what a worker sends in place of a report's persis_info; None when nothing has changed."""
        mark = fingerprint(persis_info)
        if mark is None:
            return (_WHOLE, persis_info)
        if persis_info is self._live and mark == self._mark:
            self._is_clean = True
            return None
        self._number += 1
        packed = pickle.dumps(persis_info, 5)
        self._kept[_GIVEN_BACK] = (self._number, packed)
        self._hold((_GIVEN_BACK, self._number), persis_info)
        return (self._number, packed)

    def _hold(self, reference: tuple[str, int], persis_info: Any) -> None:
        self._reference, self._live, self._mark = reference, persis_info, fingerprint(persis_info)
        self._is_clean = True
