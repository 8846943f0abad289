"""Budgets of speed, as ratios between things measured side by side; limits are generous, for machines are busy.

What they must tell apart is a cost that grows with the rows: it would be tens of times the other here.
"""

import multiprocessing
import sys
import time
from functools import partial

import numpy as np
import pytest

from benchmarks import parts
from benchmarks.trials import in_turns, run_workload
from libensemble.comms.links import Link
from libensemble.comms.messages import Message
from libensemble.history import History

pytestmark = pytest.mark.slow

_POINT = [("x", float, 2)]


def _best(trials, rounds=5):
    """Run callables that return a cost in turns; return the lowest cost of each."""
    return {name: min(costs) for name, costs in in_turns(trials, rounds).items()}


def test_allocation_costs_the_same_with_hundred_times_the_rows():
    calls = {rows: parts.allocation(parts.history_of(rows)) for rows in (1000, 100_000)}
    cost = _best({rows: lambda call=call: parts.microseconds(call, repeat=1).median for rows, call in calls.items()})
    assert cost[100_000] < 3 * cost[1000]


def _way_of_rows(count: int) -> float:
    """Return the seconds per row of giving, finishing and telling 500 of `count` rows, one at a time."""
    history = parts.history_of(count)
    result = np.zeros(1, dtype=[("f", float)])
    began = time.perf_counter()
    for _ in range(500):
        history.agenda.restart()
        rows = history.agenda.next()
        history.start(rows, 1)
        history.cut(rows, ["x"])
        history.finish(rows, result)
        history.inform(history.agenda.returned(1))
    return (time.perf_counter() - began) / 500


def test_a_rows_way_through_the_history_costs_the_same_with_hundred_times_the_rows():
    cost = _best({rows: partial(_way_of_rows, rows) for rows in (1000, 100_000)})
    assert cost[100_000] < 4 * cost[1000]


def _appending(count: int) -> float:
    """Return the seconds per row of appending `count` rows, 50 at a time, to a history that must grow for them."""
    history = History({}, {"out": [("f", float)]}, {"out": _POINT}, {})
    points = np.zeros(50, dtype=_POINT)
    began = time.perf_counter()
    for _ in range(count // 50):
        history.add(points, 1)
    return (time.perf_counter() - began) / count


def test_appending_a_row_costs_the_same_in_a_long_history():
    cost = _best({rows: partial(_appending, rows) for rows in (5000, 100_000)})
    assert cost[100_000] < 4 * cost[5000]


def _link_round_trip(order: Message, report: Message) -> float:
    """Return the microseconds of an order there and a report back over a link, both ends in this thread."""
    here, there = (Link(end) for end in multiprocessing.Pipe())

    def trip() -> None:
        here.put(order)
        there.get()
        there.put(report)
        here.get()

    trip()
    cost = parts.microseconds(trip, repeat=1).median
    here.close()
    there.close()
    return cost


def _pipe_round_trip() -> float:
    """Return the same for what a pipe of `multiprocessing` makes of two small tuples with the same contents."""
    here, there = multiprocessing.Pipe()
    point, value = (np.zeros(1, dtype=kind).tobytes() for kind in (_POINT, [("f", float)]))
    order, report = (1, [12345], point, {"rset_team": []}), (1, 0, value, parts.a_report().line)

    def trip() -> None:
        here.send(order)
        there.recv()
        there.send(report)
        here.recv()

    cost = parts.microseconds(trip, repeat=1).median
    here.close()
    there.close()
    return cost


def test_an_order_and_its_report_cost_little_more_than_tuples_over_a_bare_pipe():
    cost = _best({"link": partial(_link_round_trip, parts.an_order(), parts.a_report()), "pipe": _pipe_round_trip})
    assert cost["link"] < 3 * cost["pipe"]


def test_a_random_stream_that_has_not_moved_is_not_sent_again():
    stream = np.random.default_rng(1)
    order = parts.an_order({"rand_stream": stream})
    packs = {"still": parts.over_the_wire(order)[0], "moved": parts.over_the_wire(order, stream.random)[0]}
    cost = _best({name: lambda pack=pack: parts.microseconds(pack, repeat=1).median for name, pack in packs.items()})
    assert cost["still"] < 0.6 * cost["moved"]


def _seconds_per_sim(workload: str, *options: object) -> float:
    figures = run_workload(sys.executable, workload, *options, "--sims", 2000)
    return figures["seconds"] / figures["sims"]


@pytest.mark.parametrize(("comms", "pool", "limit"), [("local", "process-pool", 4), ("threads", "thread-pool", 12)])
def test_an_ensemble_keeps_up_with_a_pool_of_the_standard_library(comms, pool, limit):
    trials = {
        "ensemble": partial(_seconds_per_sim, "empty_sim", "--comms", comms),
        "pool": partial(_seconds_per_sim, "neighbours", pool),
    }
    cost = _best(trials, rounds=3)
    assert cost["ensemble"] < limit * cost["pool"]


def test_a_simulation_costs_the_same_when_the_history_is_long():
    trials = {rows: partial(_seconds_per_sim, "empty_sim", "--batch", rows) for rows in (2000, 50_000)}
    cost = _best(trials)
    assert cost[50_000] < 3 * cost[2000]


def test_the_manager_sleeps_while_its_workers_do():
    figures = run_workload(sys.executable, "sleeping_sim", "--seconds", 1)
    assert figures["cpu"] < 0.05 * figures["seconds"]
