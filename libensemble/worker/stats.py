"""The line in libE_stats.txt that tells of one call of a user function.

Owns the format of the line; who writes it, and with which prefix, is the business of `comms/logs.py`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from libensemble.comms.logs import date_text
from libensemble.message_numbers import EVAL_GEN_TAG, calc_status_strings
from libensemble.utils.misc import ranges

_NO_FORMAT: Mapping[str, bool] = {}


def stats_text(
    calc_type: int,
    rows: Sequence[int],
    gen_no: int,
    start: float,
    end: float,
    status: int | str | None,
    tasks: Sequence[Any] | None = None,
    rset_team: Sequence[int] | None = None,
    stats_fmt: Mapping[str, bool] = _NO_FORMAT,
) -> str:
    """Return the text for one call, without the prefix that names the worker.

    Parameters
    ----------
    calc_type : int
        EVAL_SIM_TAG or EVAL_GEN_TAG.
    rows : sequence of int
        Rows of the history that a simulation was given; shown as ranges.
    gen_no : int
        Number of the generator call, counted over all workers.
    start, end : float
        Seconds since the epoch.
    status : int, str or None
        What the user function returned; a text is shown as it is.
    tasks : sequence of Task, optional
        Tasks launched during the call. None where the worker has no executor.
    rset_team : sequence of int, optional
        The resource sets of the call. None where there is no resource manager.
    stats_fmt : dict, optional
        `task_timing`, `task_datetime` and `show_resource_sets` turn on the optional parts. A part whose facts are
        missing is left out.

    Examples
    --------
    ``sim_id    14: sim Time: 3.250 Start: 2026-01-05 10:00:00.100 End: 2026-01-05 10:00:03.350 Status: Completed``
    """
    if calc_type == EVAL_GEN_TAG:
        head = f"Gen no {gen_no:>5}: gen"
    else:
        head = f"sim_id {rows[0] if len(rows) == 1 else ranges(rows):>5}: sim"
    parts = _optional_parts(tasks, rset_team, stats_fmt) if stats_fmt else ""
    text = f"{head} Time: {end - start:.3f} Start: {date_text(start)} End: {date_text(end)}{parts}"
    return f"{text} Status: {_status_text(status)}"


def _optional_parts(tasks: Sequence[Any] | None, rset_team: Sequence[int] | None, stats_fmt: Mapping[str, bool]) -> str:
    text = ""
    with_dates = stats_fmt.get("task_datetime")
    if tasks and (with_dates or stats_fmt.get("task_timing")):
        for number, task in enumerate(tasks):
            text += f" Task {number}: {task.timer if with_dates else task.timer.summary()}"
    if rset_team is not None and stats_fmt.get("show_resource_sets"):
        text += f" rsets: {[int(rset) for rset in rset_team]}"
    return text


def _status_text(status: Any) -> str:
    if isinstance(status, str):
        return " ".join(status.splitlines())  # the file has one line per call
    try:
        return calc_status_strings.get(status) or str(status)
    except TypeError:  # not even hashable: show what it is
        return str(status)
