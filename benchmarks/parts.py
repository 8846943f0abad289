"""What the parts of one simulation's journey cost, in microseconds: wire, history, agenda, allocation.

Owns small stand-ins for a run (a history with so many rows, a roster with one idle worker), which the tests of budgets
use, too. Nothing here starts a process.
"""

import time
import timeit
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.report import Line
from benchmarks.trials import Spread
from libensemble.comms.messages import Message, Order, Report
from libensemble.comms.persis_post import PersisPost
from libensemble.comms.wire import HEADER, Decoder, Encoder
from libensemble.history import History
from libensemble.manager.roster import Roster
from libensemble.message_numbers import EVAL_SIM_TAG
from libensemble.utils.lookup import lookup

DEFAULT_ALLOC_F = "libensemble.alloc_funcs.give_sim_work_first.give_sim_work_first"
_GEN_OUT = [("x", float, 2)]
_SIM_OUT = [("f", float)]


def microseconds(act: Callable[[], object], repeat: int = 7, least: float = 0.02) -> Spread:
    """Return what one call of `act` takes: the best of `repeat` measurements of at least `least` seconds each.

    The best is the one least disturbed; the spread tells how much the others were.
    """
    timer = timeit.Timer(act)
    count = 1
    while (took := timer.timeit(count)) < least:
        count = max(2 * count, int(1.2 * count * least / max(took, 1e-9)))
    figures = [1e6 * seconds / count for seconds in timer.repeat(repeat, count)]
    return Spread(min(figures), min(figures), max(figures))


def history_of(rows: int) -> History:
    """Return a history with that many rows, which all wait."""
    history = History({}, {"out": _SIM_OUT}, {"out": _GEN_OUT}, {"sim_max": rows})
    history.add(np.zeros(rows, dtype=_GEN_OUT), 1)
    return history


def allocation(history: History, alloc_f: Callable[..., Any] | None = None) -> Callable[[], Any]:
    """Return a function that makes one allocation call: worker 1 is busy, worker 2 idle, and rows wait."""
    alloc_f = alloc_f or lookup(DEFAULT_ALLOC_F)
    roster = Roster(2)
    roster.sent(1, EVAL_SIM_TAG)
    sim_specs, gen_specs = {"in": ["x"], "out": _SIM_OUT}, {"in": [], "out": _GEN_OUT, "user": {}}
    alloc_specs: dict[str, Any] = {"alloc_f": alloc_f, "user": {"num_active_gens": 1}}
    persis_info: dict[Any, Any] = {1: {}, 2: {}}
    info = {
        "agenda": history.agenda,
        "any_idle_workers": True,
        "elapsed_time": 1.0,
        "exit_criteria": {"sim_max": len(history.H)},
        "gen_informed_count": 0,
        "gen_num_gpus": 0,
        "gen_num_procs": 0,
        "gen_on_manager": False,
        "manager_kill_canceled_sims": False,
        "scheduler_opts": {},
        "sim_ended_count": 0,
        "sim_max_given": False,
        "sim_started_count": 0,
        "use_resource_sets": False,
    }

    def call() -> Any:
        history.agenda.restart()
        return alloc_f(roster, history.trim_H(), sim_specs, gen_specs, alloc_specs, persis_info, info)

    return call


def an_order(persis_info: Any = None) -> Order:
    """Return an order to evaluate one row."""
    return Order(EVAL_SIM_TAG, [12345], np.zeros(1, dtype=_GEN_OUT), persis_info, {"rset_team": []})


def a_report(persis_info: Any = None) -> Report:
    """Return the report of one result, with a line of statistics."""
    line = "sim_id 12345: sim Time: 0.000 Start: 2026-01-05 10:00:00.100 End: 2026-01-05 10:00:00.100 Status: Not set"
    return Report(EVAL_SIM_TAG, 0, np.zeros(1, dtype=_SIM_OUT), persis_info, line=line)


def over_the_wire(
    message: Message, change: Callable[[], object] | None = None
) -> tuple[Callable[[], object], Callable[[], object]]:
    """Return one function that packs `message` and one that unpacks it, as the two ends of a link do.

    `change` is called before each packing, to change what the message holds.
    """
    encoder, decoder = Encoder(PersisPost()), Decoder(PersisPost())

    def pack() -> bytes:
        if change is not None:
            change()
        return b"".join(encoder.encode(message))

    unpack_frame(decoder, pack())  # the first one carries the array's type
    frame = pack()
    return pack, lambda: unpack_frame(decoder, frame)


def unpack_frame(decoder: Decoder, frame: bytes) -> Message:
    """Return the message of one whole frame."""
    head_length, _ = HEADER.unpack_from(frame)
    middle = HEADER.size + head_length
    return decoder.decode(frame[HEADER.size : middle], bytearray(frame[middle:]))


def budget() -> Iterator[Line]:
    """Measure all parts."""
    yield from _wire()
    yield from _rows()
    yield from _allocation()


def _wire() -> Iterator[Line]:
    section = "parts of the way: wire (one row)"
    stream = np.random.default_rng(1)
    messages: tuple[tuple[str, Message, Callable[[], object] | None], ...] = (
        ("order", an_order(), None),
        ("order with the same random stream as before", an_order({"rand_stream": stream}), None),
        ("order with a random stream that moved on", an_order({"rand_stream": stream}), stream.random),
        ("report", a_report(), None),
        ("report with a random stream that moved on", a_report({"rand_stream": stream}), stream.random),
    )
    for name, message, change in messages:
        pack, unpack = over_the_wire(message, change)
        yield Line(section, f"{name}: pack", "us", microseconds(pack))
        yield Line(section, f"{name}: unpack", "us", microseconds(unpack))


def _rows() -> Iterator[Line]:
    """Move rows of one history through its acts, one pass each, for acts cannot be undone."""
    section = "parts of the way: history (per row, one row at a time)"
    count = 20_000
    history = history_of(count)
    result, point, now = np.zeros(1, dtype=_SIM_OUT), np.zeros(1, dtype=_GEN_OUT), time.time()
    acts: tuple[tuple[str, Callable[[int], object]], ...] = (
        ("cut", lambda row: history.cut([row], ["x"])),
        ("start", lambda row: history.start([row], 1, now)),
        ("finish", lambda row: history.finish([row], result, now)),
        ("inform", lambda row: history.inform([row], now)),
        ("add", lambda row: history.add(point, 1)),
    )
    for name, act in acts:
        yield Line(section, name, "us", _per_row(act, count))
    batch = history_of(1)
    points = np.zeros(1000, dtype=_GEN_OUT)
    each = microseconds(lambda: batch.add(points, 1))
    yield Line(section, "add, 1,000 at once", "us", Spread(each.median / 1000, each.low / 1000, each.high / 1000))


def _per_row(act: Callable[[int], object], count: int) -> Spread:
    """Apply an act to rows 0 to `count`, in ten shares, and return the spread of their costs per row."""
    figures = []
    share = count // 10
    for first in range(0, count, share):
        began = time.perf_counter()
        for row in range(first, first + share):
            act(row)
        figures.append(1e6 * (time.perf_counter() - began) / share)
    return Spread.of(figures)


def _allocation() -> Iterator[Line]:
    section = "parts of the way: allocation (one idle worker gets a row)"
    for rows in (1000, 100_000):
        call = allocation(history_of(rows))
        yield Line(section, f"give_sim_work_first, {rows:,} rows wait", "us", microseconds(call))
