"""Messages as bytes and back.

    frame:  | length of head (4) | length of body (8) | head | body |

The head is a pickled short tuple; the body is the raw bytes of the message's array, if it has one. Array types are
sent once per direction and numbered; from then on both ends know them by number. Arrays that hold Python objects
travel in the head. A persis_info that has not changed is not sent again.
"""

import pickle
from struct import Struct
from typing import Any

import numpy as np
import numpy.typing as npt

from libensemble.comms.messages import Failure, Leaving, LogLine, Message, Order, Report, Signal
from libensemble.comms.persis_post import PersisPost
from libensemble.errors import CommError

HEADER = Struct("<IQ")
_PICKLED = -1  # in place of a type's number: the array itself is in the head
_KINDS: tuple[type, ...] = (Order, Report, Signal, Failure, LogLine, Leaving)
_ORDER, _REPORT = 0, 1
_CODES = {kind: code for code, kind in enumerate(_KINDS)}
_SMALL = 1 << 16  # bodies up to this size are joined to their head: one copy is cheaper than a second buffer


class Encoder:
    """Turns messages into frames for one receiver."""

    def __init__(self, persis_post: PersisPost) -> None:
        self._persis_post = persis_post
        self._numbers: dict[np.dtype[Any], int] = {}

    def encode(self, message: Message) -> list[Any]:
        """Return the frame of `message` as a list of one or two bytes-like objects, to be sent in order."""
        body: Any = b""
        if isinstance(message, Order):
            tag, rows, data, persis_info, info, starts = message
            reference, body, count = self._reference(data)
            persis_info = self._persis_post.packed(persis_info)
            head: tuple[Any, ...] = (_ORDER, tag, rows, reference, count, persis_info, info, starts)
        elif isinstance(message, Report):
            report_kind, status, output, persis_info, *rest = message
            if persis_info is not None:
                persis_info = self._persis_post.given_back(persis_info)
            reference, body, count = (None, b"", 0) if output is None else self._reference(output)
            head = (_REPORT, report_kind, status, reference, count, persis_info, *rest)
        else:
            head = (_CODES[type(message)], *message)
        try:
            packed = pickle.dumps(head, 5)
        except Exception as error:  # pickling runs the code of whatever is in there
            self._forget_type_of(head)
            raise CommError(
                f"{type(message).__name__} cannot be sent to another process: {error}. What persis_info, libE_info and "
                "object fields hold must be picklable; or use comms='threads', which sends nothing"
            ) from error
        header = HEADER.pack(len(packed), len(body))
        if len(body) <= _SMALL:
            return [b"".join((header, packed, body))]
        return [header + packed, body]

    def _forget_type_of(self, head: tuple[Any, ...]) -> None:
        """The other end has not heard of the array's type, if this was to be the first message with it."""
        reference = head[3] if head[0] in (_ORDER, _REPORT) else None
        if type(reference) is tuple and reference[0] != _PICKLED:
            del self._numbers[reference[1]]

    def _reference(self, data: npt.NDArray[Any]) -> tuple[Any, Any, int]:
        """Return how the head speaks of an array, the array's bytes, and its length."""
        dtype = data.dtype
        number = self._numbers.get(dtype)
        if number is None:
            if dtype.hasobject or data.ndim != 1:
                return (_PICKLED, data), b"", len(data)
            number = len(self._numbers)
            self._numbers[dtype] = number
            reference: Any = (number, dtype)
        else:
            reference = number
        if data.ndim != 1:
            return (_PICKLED, data), b"", len(data)
        if data.nbytes <= _SMALL:
            return reference, data.tobytes(), len(data)
        return reference, np.ascontiguousarray(data).view(np.uint8).data, len(data)


class Decoder:
    """Turns frames from one sender back into messages."""

    def __init__(self, persis_post: PersisPost) -> None:
        self._persis_post = persis_post
        self._dtypes: dict[int, np.dtype[Any]] = {}

    def decode(self, head: Any, body: Any) -> Message:
        """Return the message of a frame. `body` must be writable memory that nobody else uses, or empty."""
        code, *rest = pickle.loads(head)
        if code == _ORDER:
            tag, rows, reference, count, persis_info, info, starts = rest
            data = self._array(reference, body, count)
            return Order(tag, rows, data, self._persis_post.unpacked(persis_info), info, starts)
        if code == _REPORT:
            kind, status, reference, count, persis_info, *others = rest
            output = None if reference is None else self._array(reference, body, count)
            if persis_info is not None:
                persis_info = self._persis_post.taken_back(persis_info)
            return Report(kind, status, output, persis_info, *others)
        message: Message = _KINDS[code](*rest)
        return message

    def _array(self, reference: Any, body: Any, count: int) -> npt.NDArray[Any]:
        if type(reference) is not int:
            number, value = reference
            if number == _PICKLED:
                array: npt.NDArray[Any] = value
                return array
            self._dtypes[number] = value
            reference = number
        dtype = self._dtypes[reference]
        if not count or not dtype.itemsize:
            return np.zeros(count, dtype=dtype)
        return np.frombuffer(body, dtype=dtype, count=count)
