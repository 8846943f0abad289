"""What the comms keep when things go wrong: deaths at bad moments, blocked streams, signals, many descriptors."""

import contextlib
import gc
import multiprocessing
import os
import resource
import signal
import socket
import threading
import time
from itertools import pairwise

import numpy as np
import psutil
import pytest

from libensemble.comms.doorbell import Doorbell
from libensemble.comms.links import Link, LinkComm
from libensemble.comms.local import ProcessTeam, ThreadTeam
from libensemble.comms.messages import Failure, Order, Report, Signal
from libensemble.comms.persis_post import PersisPost
from libensemble.comms.wire import HEADER, Encoder
from libensemble.errors import CommFinishedException, Timeout
from libensemble.message_numbers import EVAL_SIM_TAG, MAN_SIGNAL_FINISH, STOP_TAG
from tests.fakes import comm_work, faulty_work
from tests.fakes.faulty_work import large

FINISH = Signal(STOP_TAG, MAN_SIGNAL_FINISH)
PATIENCE = 30.0  # seconds; only a failing test waits that long


def make_team(kind, workers):
    if kind == "threads":
        return ThreadTeam(workers)
    team = ProcessTeam(workers)
    team._context = multiprocessing.get_context(kind)
    return team


@pytest.fixture
def running():
    """Start workers on a team; all are ended afterwards."""
    teams = []

    def start(kind, work, workers=(1, 2), args=()):
        team = make_team(kind, list(workers))
        teams.append((team, workers))
        team.start(work, *args)
        return team

    yield start
    for team, workers in teams:
        finish(team, workers)


def finish(team, workers, timeout=1.0):
    for worker in workers:
        team.hub.send(worker, FINISH)
    left = team.join(timeout)
    team.hub.close()
    return left


def order(row, data=None):
    return Order(EVAL_SIM_TAG, [row], np.zeros(1, faulty_work.V) if data is None else data, None, {})


def collect(team, count, kinds=Report, patience=PATIENCE):
    """Wait for `count` letters of some kinds; return (worker, letter) pairs."""
    found, deadline = [], time.monotonic() + patience
    while len(found) < count:
        assert time.monotonic() < deadline, f"only {len(found)} of {count} came: {[str(f)[:80] for f in found]}"
        found += [(worker, letter) for worker, letter in team.hub.wait(0.05) if isinstance(letter, kinds)]
    return found


def open_things():
    """Count this process's descriptors, threads and children, without what only waits to be collected."""
    gc.collect()
    return len(os.listdir("/proc/self/fd")), threading.active_count(), len(psutil.Process().children())


def nothing_more_than(before):
    """Return whether nothing has been added (what other tests left behind may go in the meantime)."""
    return all(now <= then for now, then in zip(open_things(), before))


# ---- blocked streams


@pytest.mark.parametrize("kind", ["fork", "threads"])
def test_both_ends_may_send_large_messages_at_once(running, kind):
    team = running(kind, faulty_work.send_and_receive_large, args=(4,))
    for row in range(4):
        for worker in (1, 2):
            team.hub.send(worker, order(row, large(3, row)))  # returns although nobody reads
    letters = collect(team, 16)
    for worker in (1, 2):
        mine = [report for w, report in letters if w == worker]
        assert [report.status for report in mine] == [*range(4), *(f"{worker}:[{row}]" for row in range(4))]
        assert [float(report.data["v"][-1]) for report in mine] == [0, 1, 2, 3] * 2


@pytest.fixture
def pair():
    """Two links on a socket pair whose buffers are as small as can be."""
    here, there = socket.socketpair()
    for end in (here, there):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    links = Link(here), Link(there)
    yield links
    for link in links:
        link.close()


@pytest.mark.parametrize("numbers", [1, 3000, 9000, 200_000])
def test_a_stream_that_takes_little_at_a_time_loses_nothing(pair, numbers):
    ours, theirs = pair
    sent = [Report(EVAL_SIM_TAG, n, np.arange(n, n + numbers, dtype=float).view(faulty_work.V)) for n in range(5)]
    for message in sent:
        ours.put(message)
    got = []
    while len(got) < len(sent):
        ours.flush()
        got += theirs.get()
    assert not ours.has_outgoing
    assert [m.status for m in got] == [0, 1, 2, 3, 4]
    assert all(np.array_equal(m.data, s.data) for m, s in zip(got, sent))


def test_frames_may_be_cut_anywhere():
    here, there = socket.socketpair()
    link, encoder = Link(there), Encoder(PersisPost())
    stream = b"".join(
        bytes(part)
        for n, count in enumerate([0, 2, 9000, 1])
        for part in encoder.encode(Report(EVAL_SIM_TAG, n, np.full(count, n, faulty_work.V)))
    )
    cuts = [*range(0, 200), *range(200, len(stream), 997), len(stream)]
    got = []
    for start, end in pairwise(cuts):
        here.sendall(stream[start:end])
        while link.holds_bytes():
            got += link.get()
    assert [(m.status, len(m.data)) for m in got] == [(0, 0), (1, 2), (2, 9000), (3, 1)]
    here.close()
    with pytest.raises(CommFinishedException):
        link.get()
    link.close()


@pytest.mark.parametrize("kind", ["fork", "threads"])
def test_arrays_of_all_sizes_arrive_aligned_and_writable(running, kind):
    team = running(kind, faulty_work.is_aligned, [1])
    sizes = [1, 3, 1000, 8180, 8190, 8192, 8193, 100_001]  # around the limit between small and large frames
    for row, size in enumerate(sizes):
        team.hub.send(1, order(row, np.ones(size, faulty_work.V)))
    reports = [report for _, report in collect(team, len(sizes))]
    assert [report.status for report in reports] == [True] * len(sizes)
    assert all(r.data["v"].ctypes.data % 16 == 0 and r.data.flags.writeable for r in reports)


# ---- waiting


@pytest.fixture
def worker_end():
    here, there = socket.socketpair()
    comm = LinkComm(there)
    yield here, comm
    here.close()
    comm.close()


@pytest.mark.parametrize("timeout", [0, -0.5])
def test_a_timeout_in_the_past_does_not_wait(worker_end, timeout):
    with pytest.raises(Timeout):
        worker_end[1].recv(timeout)


def test_bytes_of_an_unfinished_message_do_not_prolong_a_timeout(worker_end):
    here, comm = worker_end
    stop = threading.Event()

    def drip():
        here.sendall(HEADER.pack(1 << 20, 0))
        while not stop.wait(0.005):
            here.sendall(b"x")

    thread = threading.Thread(target=drip)
    thread.start()
    begun = time.monotonic()
    try:
        with pytest.raises(Timeout):
            comm.recv(0.1)
        assert time.monotonic() - begun < PATIENCE / 2
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("kind", ["fork", "threads"])
def test_no_wake_up_is_lost(running, kind):
    """A lost one would be waited for until the timeout."""
    team = running(kind, faulty_work.ping, [1, 2, 3])
    begun, answers = time.monotonic(), 0
    for worker in (1, 2, 3):
        team.hub.send(worker, order(0))
    while answers < 6000:
        for worker, _ in team.hub.wait(PATIENCE):
            answers += 1
            team.hub.send(worker, order(answers))
    assert time.monotonic() - begun < PATIENCE


def test_processes_and_a_thread_share_one_hub(running):
    """As for a generator on the manager."""
    processes = running("fork", faulty_work.ping, [1, 2])
    generator = ThreadTeam([0], processes.hub)
    generator.start(faulty_work.ping)
    for worker in (0, 1, 2):
        processes.hub.send(worker, order(0))
    heard = {0: 0, 1: 0, 2: 0}
    deadline = time.monotonic() + PATIENCE
    while min(heard.values()) < 500:
        assert time.monotonic() < deadline, heard
        for worker, _ in processes.hub.wait(PATIENCE):
            heard[worker] += 1
            processes.hub.send(worker, order(heard[worker]))
    processes.hub.send(0, FINISH)
    assert generator.join(PATIENCE) == []
    assert processes.hub.present == {0, 1, 2}


def test_a_thread_that_floods_does_not_keep_the_hub_from_returning():
    team = ThreadTeam([1])
    ended = threading.Event()

    class Endless(type(team.hub._posted)):
        """Whatever is taken, more has come meanwhile."""

        def popleft(self):
            letter = super().popleft()
            if not ended.is_set():
                self.append(letter)
            return letter

    team.hub._posted = Endless()
    team.hub.post(1, Report(EVAL_SIM_TAG, "again"))
    timer = threading.Timer(2, ended.set)
    timer.start()
    team.hub.wait(0)
    assert not ended.is_set()
    timer.cancel()
    timer.join()
    team.hub.close()


def test_a_doorbell_that_nobody_hears_does_not_fill():
    bell, queue = Doorbell(), []
    for _ in range(100_000):
        bell.listening = True
        bell.ring()  # as when the listener has just left
    queue.append(1)
    bell.wait(queue, 0)
    bell.close()


# ---- signals


def test_signals_do_not_disturb_messages(running):
    team = running("fork", faulty_work.echo_in_a_storm, [1])
    before = signal.signal(signal.SIGALRM, lambda signum, frame: None)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    try:
        for row in range(20):
            team.hub.send(1, order(row, large(1.0 if row % 5 == 0 else 0.001, row)))
        reports = [report for _, report in collect(team, 20)]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert [report.status for report in reports] == [f"1:[{row}]" for row in range(20)]
    assert all((report.data["v"] == row).all() for row, report in enumerate(reports))


def test_signals_of_a_worker_are_not_reported_to_an_event_loop_of_the_manager(running):
    """asyncio has signals written to a socket, which a fork inherits."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    before = signal.set_wakeup_fd(theirs.fileno())
    try:
        team = running("fork", faulty_work.tell_wakeup_fd, [1])
        assert collect(team, 1)[0][1].status == -1
    finally:
        signal.set_wakeup_fd(before)
        ours.close()
        theirs.close()


# ---- deaths


@pytest.mark.parametrize("kind", ["fork", "spawn"])
def test_a_worker_killed_in_the_middle_of_a_large_message_is_named_and_others_go_on(running, kind):
    team = running(kind, faulty_work.die_while_sending)
    team.hub.send(1, order(0))
    process = psutil.Process(team._processes[1].pid)
    deadline = time.monotonic() + PATIENCE
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
        time.sleep(0.01)  # nobody reads until it is dead
    (worker, failure), *others = collect(team, 1, (Failure, Report))
    assert (worker, failure.died, others) == (1, True, [])
    assert "SIGKILL" in failure.message
    team.hub.send(2, order(1))
    assert collect(team, 1)[0][1].status == "2:[1]"


@pytest.mark.parametrize("kind", ["fork", "spawn", "forkserver"])
def test_what_a_worker_has_sent_before_it_died_is_not_lost(running, kind):
    team = running(kind, faulty_work.report_and_die, [1, 2, 3])
    for worker in (1, 2, 3):
        team.hub.send(worker, order(0))
    letters = collect(team, 6, (Report, Failure))
    for worker in (1, 2, 3):
        report, failure = [letter for w, letter in letters if w == worker]
        assert report.status == "last" and (report.data["v"] == 7).all()
        assert "exit code 3" in failure.message


@pytest.mark.parametrize("kind", ["fork", "spawn"])
def test_a_dead_worker_is_noticed_although_a_child_of_it_lives(running, kind):
    team = running(kind, faulty_work.leave_a_child_and_die, [1])
    team.hub.send(1, order(0))
    child = collect(team, 1)[0][1].status
    team.hub.send(1, order(1))
    try:
        begun = time.monotonic()
        _, failure = collect(team, 1, Failure)[0]
        assert "SIGKILL" in failure.message
        assert time.monotonic() - begun < 1.0
        begun = time.monotonic()
        assert finish(team, [1], PATIENCE) == []
        assert time.monotonic() - begun < PATIENCE / 2
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


def test_dead_workers_leave_no_zombies(running):
    team = running("fork", comm_work.die_by_signal, [1, 2])
    pids = [process.pid for process in team._processes.values()]
    for worker in (1, 2):
        team.hub.send(worker, order(0))
    collect(team, 2, Failure)
    assert not any(psutil.pid_exists(pid) for pid in pids)


@pytest.mark.parametrize("kind", ["fork", "spawn"])
def test_a_message_that_cannot_be_unpacked_is_a_failure_of_its_sender(running, kind):
    team = running(kind, faulty_work.send_what_cannot_be_unpacked, [1])
    team.hub.send(1, order(0))
    letters = [letter for _, letter in collect(team, 3, (Report, Failure))]
    assert [type(letter) for letter in letters] == [Report, Failure, Report]
    assert "no module named worker_only" in letters[1].message
    assert "in explode" in letters[1].trace
    assert letters[2].status == "last"


def test_after_a_failed_send_the_next_one_is_understood(running):
    team = running("fork", faulty_work.fail_to_send_then_send, [1])
    letter = collect(team, 1, (Report, Failure))[0][1]
    assert letter.status == "yes"
    assert letter.data["new"].tolist() == [0, 1, 2]


def test_a_stream_that_has_gone_wrong_ends_its_worker_only(running):
    team = running("fork", comm_work.echo)
    link = team.hub._links[1]
    link._rest = HEADER.pack(0xFFFFFFFF, 1 << 62)  # as if a message of that size had begun
    team.hub.send(1, order(0))
    worker, failure = collect(team, 1, Failure)[0]
    assert worker == 1 and failure.died
    team.hub.send(2, order(1))
    assert collect(team, 1)[0][1].status == "2:[1]"


# ---- descriptors, threads, processes


@pytest.mark.parametrize("kind", ["fork", "threads", "spawn", "forkserver"])
def test_runs_leave_no_descriptors_and_no_threads(kind):
    def one_run():
        team = make_team(kind, [1, 2])
        generator = ThreadTeam([0], team.hub)
        team.start(comm_work.echo)
        generator.start(comm_work.echo)
        for worker in (0, 1, 2):
            team.hub.send(worker, order(0))
        collect(team, 3)
        for worker in (0, 1, 2):
            team.hub.send(worker, FINISH)
        assert generator.join(PATIENCE) == team.join(PATIENCE) == []
        team.hub.close()

    one_run()
    before = open_things()
    for _ in range(50 if kind in ("fork", "threads") else 3):
        one_run()
    assert nothing_more_than(before)


def test_a_run_with_dead_workers_leaves_no_descriptors():
    def one_run():
        team = make_team("fork", [1, 2])
        team.start(comm_work.die_by_exit)
        for worker in (1, 2):
            team.hub.send(worker, order(0))
        collect(team, 2, Failure)
        finish(team, [1, 2])

    one_run()
    before = open_things()
    for _ in range(5):
        one_run()
    assert nothing_more_than(before)


def test_teams_that_are_never_started_leave_no_descriptors():
    def one_run():
        team = make_team("fork", [1, 2])
        generator = ThreadTeam([0], team.hub)
        generator.join(0)
        team.join(0)
        team.hub.close()

    one_run()
    before = open_things()
    for _ in range(5):
        one_run()
    assert nothing_more_than(before)


@pytest.mark.parametrize("kind", ["fork", "spawn", "threads"])
def test_descriptors_beyond_1024_work(running, kind):
    """select() could not wait on them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2000:
        pytest.skip(f"this machine allows only {hard} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2000), hard))
    many = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        team = running(kind, comm_work.echo)
        for worker in (1, 2):
            team.hub.send(worker, order(worker, large(1)))
        assert len(collect(team, 2)) == 2
        assert finish(team, (1, 2), PATIENCE) == []
    finally:
        for fd in many:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
