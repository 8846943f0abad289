"""The letters that travel between manager and workers.

Each is a NamedTuple: cheap to make, to pack and to unpack. Arrays in them are structured arrays whose bytes travel
beside the letter, not pickled with it (see `wire.py`).
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt


class Order(NamedTuple):
    """Manager to worker: call a user function, or hand rows to one that is already running.

    Attributes
    ----------
    tag : int
        EVAL_SIM_TAG, EVAL_GEN_TAG, or PERSIS_STOP for the last rows that a persistent function gets.
    rows : list of int
        Rows of the history that `data` holds; may be empty.
    data : structured array
        The asked fields of these rows.
    persis_info : dict, list or None
        Given to the user function as its second argument.
    info : dict
        The rest of what the user function sees as `libE_info`, without `H_rows`.
    starts : bool
        True for a call; False for what is handed to a persistent function that is running already. If that has
        returned in the meantime, nobody wants the order any more.
    """

    tag: int
    rows: list[int]
    data: npt.NDArray[np.void]
    persis_info: Any
    info: dict[str, Any]
    starts: bool = True


class Report(NamedTuple):
    """Worker to manager: what a user function returned or sent.

    Attributes
    ----------
    kind : int
        EVAL_SIM_TAG or EVAL_GEN_TAG: which function speaks.
    status : int or str
        Its calc status; the two FINISHED_PERSISTENT codes end a persistent life.
    data : structured array or None
    persis_info : dict or None
        None when there is nothing to merge.
    info : dict or None
        `libE_info` as the function left it where the manager needs it, else None (the rows last ordered).
    keep_state : bool
        The worker's state on the manager stays as it is.
    final : bool
        The function has returned; False for what a persistent function sends while it lives.
    line : str or None
        Text for the statistics file.
    """

    kind: int
    status: int | str
    data: npt.NDArray[np.void] | None = None
    persis_info: Any = None
    info: dict[str, Any] | None = None
    keep_state: bool = False
    final: bool = True
    line: str | None = None


class Signal(NamedTuple):
    """Manager to worker: stop or kill; `payload` is one of MAN_KILL_SIGNALS."""

    tag: int
    payload: int


class Failure(NamedTuple):
    """Worker to manager, or found by the hub: this worker cannot go on.

    Attributes
    ----------
    message : str
        ``"<ExceptionType>: <text>"``, or how the worker died.
    trace : str
        The traceback as text; empty when there is none.
    died : bool
        True when the worker is gone without having said so itself.
    line : str or None
        Text for the statistics file.
    """

    message: str
    trace: str = ""
    died: bool = False
    line: str | None = None


class LogLine(NamedTuple):
    """Worker to manager: a log record, already formatted to text."""

    level: int
    name: str
    created: float
    text: str


class Leaving(NamedTuple):
    """Worker to manager: this worker takes no more orders and copies its directories back, or `is_done` with that."""

    is_done: bool


Message = Order | Report | Signal | Failure | LogLine | Leaving
