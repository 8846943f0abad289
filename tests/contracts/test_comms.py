"""The contract of the comms, kept by every team: letters arrive whole, once, in order, and nobody dies unnoticed."""

import logging
import multiprocessing
import threading
import time

import numpy as np
import psutil
import pytest

from libensemble.comms.local import ProcessTeam, ThreadTeam
from libensemble.comms.messages import Failure, LogLine, Order, Report, Signal
from libensemble.message_numbers import EVAL_SIM_TAG, MAN_SIGNAL_FINISH, MAN_SIGNAL_KILL, STOP_TAG
from tests.fakes import comm_work

X = np.dtype([("x", float, (2,)), ("name", "U8"), ("flag", bool)])
FINISH = Signal(STOP_TAG, MAN_SIGNAL_FINISH)
PATIENCE = 30.0  # seconds; only a failing test waits that long


def process_team(method):
    def make(workers):
        team = ProcessTeam(workers)
        team._context = multiprocessing.get_context(method)
        return team

    return make


# Another comm joins the suite with one line here: a callable that takes worker ids and returns a Team.
TEAMS = {
    "fork": process_team("fork"),
    "spawn": process_team("spawn"),
    "forkserver": process_team("forkserver"),
    "threads": ThreadTeam,
}
PROCESS_TEAMS = [name for name in TEAMS if name != "threads"]


@pytest.fixture
def running(request):
    """Start workers on a team; everything is ended and nothing may be left afterwards."""
    teams = []

    def start(kind, work, workers=(1, 2), args=()):
        team = TEAMS[kind](list(workers))
        team.start(work, *args)
        teams.append((team, workers))
        return team

    yield start
    for team, workers in teams:
        for worker in workers:
            team.hub.send(worker, FINISH)
        team.join(1.0)
        team.hub.close()


def order(row, data=None, **info):
    data = np.zeros(1, dtype=X) if data is None else data
    return Order(EVAL_SIM_TAG, [row], data, None, info)


def collect(team, count, kind=Report):
    """Wait for `count` letters of a kind; return (worker, letter) pairs."""
    found, deadline = [], time.monotonic() + PATIENCE
    while len(found) < count:
        assert time.monotonic() < deadline, f"only {len(found)} of {count} came"
        found += [(worker, letter) for worker, letter in team.hub.wait(0.05) if isinstance(letter, kind)]
    return found


@pytest.fixture(params=TEAMS)
def kind(request):
    return request.param


def test_letters_keep_their_order_and_their_worker(running, kind):
    team = running(kind, comm_work.echo)
    for row in range(50):
        for worker in (1, 2):
            team.hub.send(worker, order(row))
    letters = collect(team, 100)
    for worker in (1, 2):
        assert [r.status for w, r in letters if w == worker] == [f"{worker}:[{row}]" for row in range(50)]


def test_arrays_arrive_as_they_were_and_can_be_written(running, kind):
    team = running(kind, comm_work.echo, [1])
    data = np.zeros(3, dtype=X)
    data["x"], data["name"], data["flag"] = np.arange(6).reshape(3, 2), ["a", "bcd", ""], [True, False, True]
    for _ in range(2):  # the second time, the type is known
        team.hub.send(1, order(0, data))
        got = collect(team, 1)[0][1].data
        assert got.dtype == X
        assert np.array_equal(got, data)
        got["x"][0] = -1


@pytest.mark.parametrize("megabytes", [1, 40])
def test_large_arrays_pass_whole_in_both_directions(running, kind, megabytes):
    team = running(kind, comm_work.echo)
    data = np.zeros(1, dtype=[("v", float, (megabytes * 131072,))])
    data["v"][0] = np.random.default_rng(1).random(megabytes * 131072)
    for worker in (1, 2):
        team.hub.send(worker, order(5, data))
        team.hub.send(worker, order(6))
    letters = collect(team, 4)
    for worker in (1, 2):
        big, small = [r for w, r in letters if w == worker]
        assert np.array_equal(big.data["v"], data["v"])
        assert small.status.endswith("[6]")


def test_objects_and_empty_arrays_pass(running, kind):
    team = running(kind, comm_work.echo, [1])
    data = np.zeros(2, dtype=[("o", object), ("x", float)])
    data["o"] = [{"key": [1, 2]}, None]
    for sent in (data, np.zeros(0, dtype=X)):
        team.hub.send(1, order(0, sent))
        got = collect(team, 1)[0][1].data
        assert got.dtype == sent.dtype
        assert got.tolist() == sent.tolist()


def test_persis_info_arrives_each_time_and_changes_come_back(running, kind):
    team = running(kind, comm_work.echo, [1])
    stream = np.random.default_rng(3)
    for persis_info in ({"rand_stream": stream}, {"rand_stream": stream}, {"a": np.arange(3)}, [], None, {"b": 1}):
        team.hub.send(1, Order(EVAL_SIM_TAG, [0], np.zeros(1, dtype=X), persis_info, {}))
        got = collect(team, 1)[0][1].persis_info
        # A dict that was given back unchanged need not travel back.
        assert got is None or repr(got) == repr(persis_info) or "Generator" in repr(got)
        stream.random()


def test_unread_letters_come_first_and_a_timeout_is_a_timeout(running, kind):
    team = running(kind, comm_work.unread_then_read, [1])
    team.hub.send(1, order(1))
    team.hub.send(1, order(2))
    assert collect(team, 1)[0][1].status == "[True, [1], True, [2], False, 'timeout']"


def test_a_letter_wakes_the_hub_before_its_timeout(running, kind):
    team = running(kind, comm_work.echo, [1])
    team.hub.send(1, order(1))
    collect(team, 1)  # the worker is up
    timer = threading.Timer(0.05, team.hub.send, (1, order(2)))
    timer.start()
    begun = time.monotonic()
    batch = []
    while not batch:
        batch = team.hub.wait(PATIENCE)
    assert time.monotonic() - begun < PATIENCE / 2
    assert batch[0][1].status == "1:[2]"
    timer.join()


def test_waiting_ends_with_nothing_when_nothing_comes(running, kind):
    team = running(kind, comm_work.echo, [1])
    assert team.hub.wait(0) == []
    assert team.hub.wait(0.01) == []


def test_a_kill_signal_is_seen_while_working_and_again_when_put_back(running, kind):
    team = running(kind, comm_work.watch_for_kill, [1])
    team.hub.send(1, Signal(STOP_TAG, MAN_SIGNAL_KILL))
    assert collect(team, 1)[0][1].status == "True True"


def test_workers_that_flood_are_read_fairly_and_completely(running, kind):
    team = running(kind, comm_work.flood)
    letters = collect(team, 400)
    for worker in (1, 2):
        mine = [report for w, report in letters if w == worker]
        assert [report.status for report in mine] == list(range(200))
        assert all(len(report.data) == number * 50 for number, report in enumerate(mine))


def test_an_exception_that_does_not_pickle_arrives_as_text(running, kind):
    team = running(kind, comm_work.raise_odd_error, [1])
    team.hub.send(1, order(0))
    failure = collect(team, 1, Failure)[0][1]
    assert failure.message.startswith("CannotPickle")
    assert "raise_odd_error" in failure.trace


@pytest.mark.parametrize("how", PROCESS_TEAMS)
@pytest.mark.parametrize(
    ("work", "words"),
    [
        (comm_work.die_by_exit, "exit code 7"),
        (comm_work.die_by_signal, "SIGKILL"),
        (comm_work.crash, "SIGSEGV"),
    ],
)
def test_a_dead_worker_is_noticed_and_named(running, how, work, words):
    team = running(how, work)
    team.hub.send(2, order(0))
    worker, failure = collect(team, 1, Failure)[0]
    assert (worker, failure.died) == (2, True)
    assert "worker 2" in failure.message
    assert words in failure.message
    if work is comm_work.crash:
        assert "in crash" in failure.trace  # its last words
    assert not [letter for _, letter in team.hub.wait(0.02) if isinstance(letter, Failure)], "told twice"
    team.hub.send(2, order(1))  # to the dead: dropped


@pytest.mark.parametrize("how", PROCESS_TEAMS)
def test_a_worker_that_dies_at_start_up_gives_its_exit_code(running, how):
    team = running(how, comm_work.fail_at_start, [1], args=("exit",))
    worker, failure = collect(team, 1, Failure)[0]
    assert worker == 1
    assert "exit code 5" in failure.message


@pytest.mark.parametrize("how", ["spawn", "forkserver"])
def test_a_worker_that_cannot_unpack_its_work_says_why(running, how):
    team = running(how, comm_work.fail_at_start, [1], args=(comm_work.Bomb(),))
    failure = collect(team, 1, Failure)[0][1]
    assert "no module named user_code" in failure.message


@pytest.mark.parametrize("how", PROCESS_TEAMS)  # threads of the manager's process log directly
def test_log_lines_travel_with_the_letters(running, how):
    team = running(how, comm_work.log_and_report, [1])
    line = collect(team, 1, LogLine)[0][1]
    assert (line.level, line.name) == (logging.WARNING, "libensemble.test")
    assert "from 1: text" in line.text


@pytest.mark.parametrize("how", PROCESS_TEAMS)
def test_a_worker_that_does_not_listen_is_ended_with_all_it_started(how):
    team = TEAMS[how]([1])
    team.start(comm_work.ignore_everything)
    collect(team, 1)
    process = psutil.Process(team._processes[1].pid)
    team.hub.send(1, FINISH)
    assert team.join(0.2) == [1]
    team.hub.close()
    assert not process.is_running()


@pytest.mark.parametrize("how", ["fork", "threads"])
def test_many_workers(running, how):
    count = 60 if how == "fork" else 200
    workers = range(1, count + 1)
    team = running(how, comm_work.echo, workers)
    for worker in workers:
        team.hub.send(worker, order(worker))
    letters = collect(team, count)
    assert sorted(worker for worker, _ in letters) == list(workers)


def test_nothing_is_left_running(kind):
    threads, children = threading.active_count(), len(psutil.Process().children())
    team = TEAMS[kind]([1, 2, 3])
    team.start(comm_work.echo)
    for worker in (1, 2, 3):
        team.hub.send(worker, FINISH)
    assert team.join(PATIENCE) == []
    team.hub.close()
    assert threading.active_count() == threads
    left = [p for p in psutil.Process().children() if "multiprocessing" not in " ".join(p.cmdline())]
    assert len(left) <= children
