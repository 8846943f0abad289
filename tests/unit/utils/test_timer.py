"""Stopwatches add up their intervals and write dates the way the statistics file shows them."""

import re

import pytest

from libensemble.utils import timer as timer_module
from libensemble.utils.timer import TaskTimer, Timer

DATE = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}"


class Clock:
    """Stands for the time module's clocks."""

    def __init__(self):
        self.now = 1_700_000_000.0

    def advance(self, seconds):
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(timer_module.time, "time", lambda: clock.now)
    monkeypatch.setattr(timer_module.time, "monotonic", lambda: clock.now - 1_000_000_000)
    return clock


@pytest.mark.parametrize("kind", [Timer, TaskTimer])
def test_intervals_add_up(clock, kind):
    timer = kind()
    assert (timer.tstart, timer.tend, timer.tcum, timer.timing, timer.total) == (0, 0, 0, False, 0)
    with timer:
        clock.advance(1.5)
        assert timer.timing and timer.elapsed == 1.5 and timer.total == 1.5
    clock.advance(100)
    assert timer.elapsed == 1.5
    with timer:
        clock.advance(0.25)
    assert (timer.elapsed, timer.total, timer.tcum) == (0.25, 1.75, 1750)


def test_a_started_timer_started_again_drops_its_interval(clock):
    timer = Timer()
    timer.start()
    clock.advance(5)
    timer.start()
    clock.advance(1)
    timer.stop()
    assert timer.total == 1


def test_stopping_twice_counts_once(clock):
    timer = Timer()
    timer.start()
    clock.advance(2)
    timer.stop()
    clock.advance(2)
    timer.stop()
    assert (timer.elapsed, timer.total) == (2, 2)


def test_a_change_of_the_wall_clock_does_not_bend_lengths(clock, monkeypatch):
    timer = Timer()
    timer.start()
    monkeypatch.setattr(timer_module.time, "time", lambda: 5.0)
    clock.advance(3)
    timer.stop()
    assert timer.elapsed == 3


def test_texts(clock):
    task, plain = TaskTimer(), Timer()
    for timer in (task, plain):
        with timer:
            clock.advance(3.25)
    assert re.fullmatch(f"3.250 Tstart: {DATE} Tend: {DATE}", str(task))
    assert task.summary() == "3.250"
    assert re.fullmatch(f"Time: 3.250 Start: {DATE} End: {DATE}", str(plain))
    assert task.date_end.endswith(".250")
