"""Mailbox: the communicator that user functions see as ``libE_info["comm"]``.

It speaks of (tag, payload) pairs to user code and of typed messages to the worker's comm. An order appears as two
pairs: ``(tag, Work)`` and ``(0, array)``.
"""

import logging
from collections import deque
from typing import Any

import numpy as np

from libensemble.comms.comms import Comm
from libensemble.comms.messages import LogLine, Message, Order, Report, Signal
from libensemble.message_numbers import EVAL_GEN_TAG, EVAL_SIM_TAG, PERSIS_STOP, STOP_TAG, UNSET_TAG

_STOP_TAGS = (STOP_TAG, PERSIS_STOP)


class Mailbox:
    """A worker's communicator.

    Parameters
    ----------
    comm : Comm
    num_workers : int
        How many workers the ensemble has.
    """

    def __init__(self, comm: Comm, num_workers: int) -> None:
        self._comm = comm
        self._num_workers = num_workers
        self._buffer: deque[tuple[int, Any]] = deque()
        self.persis_info: Any = None  # of the last order, for who wants it

    def send(self, tag: int, payload: Any) -> None:
        """Send a result to the manager.

        Parameters
        ----------
        tag : int
            EVAL_SIM_TAG or EVAL_GEN_TAG.
        payload : dict or logging.LogRecord
            Keys ``calc_out`` (structured array or None), and optionally ``libE_info`` (with ``H_rows``,
            ``keep_state``), ``calc_status``, ``calc_type``, ``persis_info``.

        Raises
        ------
        TypeError
            The payload is of another kind, or ``calc_out`` is not a structured array.
        """
        if isinstance(payload, logging.LogRecord):
            self._comm.send(LogLine(payload.levelno, payload.name, payload.created, payload.getMessage()))
            return
        if not isinstance(payload, dict):
            raise TypeError(f"a message to the manager is a dict with key 'calc_out', not {type(payload).__name__}")
        kind = payload.get("calc_type") or tag
        if kind not in (EVAL_SIM_TAG, EVAL_GEN_TAG):
            raise TypeError(
                f"a message to the manager needs tag {EVAL_SIM_TAG} (sim) or {EVAL_GEN_TAG} (gen), not {tag!r}"
            )
        info = payload.get("libE_info") or {}
        rows = [int(row) for row in np.atleast_1d(info.get("H_rows", []))] if kind == EVAL_SIM_TAG else None
        self._comm.send(
            Report(
                kind,
                payload.get("calc_status", UNSET_TAG),
                checked_output(payload.get("calc_out")),
                payload.get("persis_info"),
                {"H_rows": rows} if rows is not None else None,
                bool(info.get("keep_state")),
                final=False,
            )
        )

    def recv(self, timeout: float | None = None) -> tuple[int, Any]:
        """Return the next (tag, payload), waiting up to `timeout` seconds (None: without limit).

        Raises
        ------
        libensemble.comms.comms.Timeout
            Nothing came in time.
        """
        if self._buffer:
            return self._buffer.popleft()
        return self._translated(self._comm.recv(timeout))

    def mail_flag(self) -> bool:
        """Return whether `recv` would return at once; messages that were put back count."""
        return bool(self._buffer) or self._comm.ready()

    def push_to_buffer(self, tag: int, payload: Any) -> None:
        """Put one message back, to be received next."""
        self._buffer.appendleft((tag, payload))

    def get_num_workers(self) -> int:
        """Return the number of workers of the ensemble."""
        return self._num_workers

    def kill_pending(self) -> bool:
        """Return whether a stop or kill signal waits, without taking it."""
        if self.mail_flag() and not self._buffer:
            self._buffer.appendleft(self.recv())  # the data of an order is there already, and stays behind it
        return bool(self._buffer) and self._buffer[0][0] in _STOP_TAGS

    def next_message(self) -> Message:
        """Return the next message for the worker's own loop.

        Signals that the user function put back come first; what else it left unread is dropped.
        """
        while self._buffer:
            tag, payload = self._buffer.popleft()
            if tag in _STOP_TAGS and isinstance(payload, int):
                return Signal(tag, payload)
        return self._comm.recv()

    def _translated(self, message: Message) -> tuple[int, Any]:
        if isinstance(message, Order):
            work = work_dict(message)
            self._buffer.append((UNSET_TAG, message.data))
            return message.tag, work
        if isinstance(message, Signal):
            return message.tag, message.payload
        raise TypeError(f"a worker does not receive {type(message).__name__} messages")


def work_dict(order: Order) -> dict[str, Any]:
    """Return an order as the `Work` dict that user functions know."""
    info = dict(order.info)
    info["H_rows"] = np.array(order.rows, dtype=int)
    persis_info = {} if order.persis_info is None else order.persis_info
    return {
        "H_fields": list(order.data.dtype.names or ()),
        "persis_info": persis_info,
        "tag": order.tag,
        "libE_info": info,
    }


def checked_output(output: Any) -> Any:
    """Return what a user function gave as output: None, or a structured array of one dimension.

    Raises
    ------
    TypeError
        It is something else; the message says what and what would be right.
    AttributeError
        It is a dict, as functions of one point return.
    """
    if output is None:
        return None
    if isinstance(output, dict):
        raise AttributeError(
            "a user function returned a dict. sim_f and gen_f return a NumPy structured array; a function of one point "
            "that takes and returns a dict is given as SimSpecs(simulator=..., vocs=...)"
        )
    if isinstance(output, np.void):
        output = np.array([output], dtype=output.dtype)
    if isinstance(output, list) and not output:
        return np.zeros(0, dtype=[("sim_id", int)])
    if not isinstance(output, np.ndarray) or output.dtype.names is None:
        kind = f"an array of type {output.dtype}" if isinstance(output, np.ndarray) else f"a {type(output).__name__}"
        raise TypeError(
            f"a user function returned {kind}; its output must be a NumPy structured array (see 'out' in its specs)"
        )
    return np.atleast_1d(output)
