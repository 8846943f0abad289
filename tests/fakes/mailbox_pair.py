"""A manager that lives in a function: what a persistent function sends is answered at once.

`ScriptedMailbox` offers what user functions know as ``libE_info["comm"]``. Each message that is not an update in
between is handed to ``answer(points, round)``, which returns a `Rows`, a `Stop`, or None (no answer).
"""

from collections import deque
from dataclasses import dataclass

import numpy as np

from libensemble.errors import Timeout
from libensemble.message_numbers import EVAL_GEN_TAG, MAN_SIGNAL_KILL, PERSIS_STOP, UNSET_TAG


@dataclass
class Rows:
    """Results handed back; `rows` numbers them."""

    data: np.ndarray
    rows: list


@dataclass
class Stop:
    """Time to return, with last results or without."""

    data: np.ndarray | None = None
    rows: tuple = ()
    tag: int = PERSIS_STOP


class ScriptedMailbox:
    """The user's end; `sent` lists the arrays that came, `updates` those sent in between."""

    def __init__(self, answer, num_workers=4, work_tag=EVAL_GEN_TAG):
        self.sent, self.updates = [], []
        self._answer, self._num_workers, self._work_tag = answer, num_workers, work_tag
        self._inbox = deque()

    def send(self, tag, payload):
        if payload["libE_info"].get("keep_state"):
            self.updates.append(payload["calc_out"])
            return
        self.sent.append(payload["calc_out"])
        self.post(self._answer(payload["calc_out"], len(self.sent)))

    def post(self, answer):
        """Put an answer of the manager into the inbox."""
        if isinstance(answer, Stop) and answer.data is None:
            self._inbox.append((answer.tag, MAN_SIGNAL_KILL))
        elif answer is not None:
            tag = answer.tag if isinstance(answer, Stop) else self._work_tag
            info = {"H_rows": np.array(answer.rows, dtype=int), "persistent": True}
            self._inbox.append((tag, {"libE_info": info, "persis_info": {}, "tag": tag}))
            self._inbox.append((UNSET_TAG, answer.data))

    def recv(self, timeout=None):
        if not self._inbox:
            if timeout is None:
                raise AssertionError("the function waits, but nobody will ever send")
            raise Timeout("nothing came")
        return self._inbox.popleft()

    def mail_flag(self):
        return bool(self._inbox)

    def push_to_buffer(self, tag, payload):
        self._inbox.appendleft((tag, payload))

    def get_num_workers(self):
        return self._num_workers


def evaluating(evaluate, rounds, fields=None, final=False):
    """Return an `answer` that hands each batch back with ``f = evaluate(points)``, and stops after some rounds.

    `fields` are those handed back (None: all that were sent, and sim_id); with `final` the last batch comes with the
    stop.
    """
    count = 0

    def answer(points, number):
        nonlocal count
        rows = list(range(count, count + len(points)))
        count += len(points)
        if number >= rounds and not final:
            return Stop()
        names = [name for name in points.dtype.names if (fields is None or name in fields) and name != "sim_id"]
        dtype = [(name, points.dtype[name]) for name in names] + [("sim_id", int), ("f", float)]
        data = np.zeros(len(points), dtype=dtype)
        for name in names:
            data[name] = points[name]
        data["sim_id"] = rows
        data["f"] = evaluate(points)
        return Stop(data, rows) if number >= rounds else Rows(data, rows)

    return answer
