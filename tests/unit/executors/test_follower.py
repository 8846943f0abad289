"""Following tasks: calc statuses, time limits, and the manager's signals."""

from collections import deque

import pytest

from libensemble.executors.executor import Executor
from libensemble.message_numbers import (
    EVAL_SIM_TAG,
    MAN_SIGNAL_FINISH,
    MAN_SIGNAL_KILL,
    STOP_TAG,
    TASK_FAILED,
    UNSET_TAG,
    WORKER_DONE,
    WORKER_KILL_ON_TIMEOUT,
)


class FakeComm:
    """Messages of the manager; put-back ones may be hidden from `mail_flag`."""

    def __init__(self, *messages, hides_put_back=False):
        self.new = deque(messages)
        self.put_back = deque()
        self.hides_put_back = hides_put_back

    def mail_flag(self):
        return bool(self.new) or bool(self.put_back and not self.hides_put_back)

    def recv(self, timeout=None):
        return self.put_back.popleft() if self.put_back else self.new.popleft()

    def push_to_buffer(self, tag, payload):
        self.put_back.appendleft((tag, payload))


@pytest.fixture
def executor():
    executor = Executor()
    executor.register_app("/bin/sh", app_name="shell")
    yield executor
    executor.kill_all(0)


def start(executor, script):
    return executor.submit(app_name="shell", app_args=["-c", script])


@pytest.mark.parametrize("code, status", [(0, WORKER_DONE), (2, TASK_FAILED)])
def test_an_end_becomes_a_status(executor, code, status):
    task = start(executor, f"exit {code}")
    assert executor.polling_loop(task, delay=60) == status  # an end is seen at once, whatever the delay
    assert executor.polling_loop(task) == status


def test_a_task_over_its_time_is_killed(executor):
    task = start(executor, "sleep 30")
    assert executor.polling_loop(task, timeout=0.05, delay=60) == WORKER_KILL_ON_TIMEOUT
    assert task.state == "USER_KILLED"


def test_kills_keep_to_the_executors_wait_time(executor):
    task = start(executor, "trap '' TERM; echo up; while :; do sleep 0.05; done")
    while not task.read_stdout():
        task.pause(0.01)
    executor.wait_time = 0.05
    assert executor.polling_loop(task, timeout=0) == WORKER_KILL_ON_TIMEOUT
    assert task.errcode == -9


@pytest.mark.parametrize("signal", [MAN_SIGNAL_KILL, MAN_SIGNAL_FINISH])
def test_the_manager_can_have_a_task_killed(executor, signal):
    executor.comm = FakeComm((STOP_TAG, signal))
    task = start(executor, "sleep 30")
    assert executor.polling_loop(task, poll_manager=True) == signal
    assert task.state == "USER_KILLED" and executor.manager_signal == signal
    assert executor.comm.recv() == (STOP_TAG, signal)  # left for the worker


def test_the_manager_is_heard_only_on_request(executor):
    executor.comm = FakeComm((STOP_TAG, MAN_SIGNAL_KILL))
    assert executor.polling_loop(start(executor, "exit 0")) == WORKER_DONE


def test_a_task_without_process_ends_the_loop(executor, caplog):
    task = start(executor, "exit 0")
    task.wait()
    task.reset()
    assert executor.polling_loop(task) == UNSET_TAG
    assert "has no process ID" in caplog.text


@pytest.mark.parametrize("hides", [True, False])
def test_a_signal_stays_heard_and_is_put_back_once(executor, hides):
    executor.comm = FakeComm((STOP_TAG, MAN_SIGNAL_KILL), hides_put_back=hides)
    assert [executor.manager_kill_received() for _ in range(3)] == [True] * 3
    assert list(executor.comm.put_back) == [(STOP_TAG, MAN_SIGNAL_KILL)]


def test_a_hidden_signal_is_forgotten_with_the_next_call(executor):
    executor.comm = FakeComm((STOP_TAG, MAN_SIGNAL_KILL), hides_put_back=True)
    assert executor.manager_poll() == MAN_SIGNAL_KILL
    executor.comm.recv()
    executor.set_gen_procs_gpus({})
    assert executor.manager_poll() is None and executor.manager_signal is None


def test_other_messages_are_left_unread(executor):
    executor.comm = FakeComm((EVAL_SIM_TAG, {"work": 1}), (0, "rows"))
    assert executor.manager_poll() is None
    assert [executor.comm.recv(), executor.comm.recv()] == [(EVAL_SIM_TAG, {"work": 1}), (0, "rows")]


def test_an_unknown_signal_is_a_warning(executor, caplog):
    executor.comm = FakeComm((STOP_TAG, 99))
    assert executor.manager_poll() == 99 and not executor.manager_kill_received()
    assert "unrecognized" in caplog.text


def test_without_a_comm_there_is_no_signal(executor):
    assert executor.manager_poll() is None and not executor.manager_kill_received()
