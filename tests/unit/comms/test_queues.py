"""Rules of QComm, QCommThread and QCommProcess: messages both ways, results, errors, deaths."""

import os
import queue
import signal
import subprocess
import sys
import threading

import pytest

from libensemble.comms.queues import CommResult, CommResultErr, QComm, QCommProcess, QCommThread
from libensemble.errors import CommError, CommFinishedException, RemoteException, Timeout

LONG = 60  # seconds that no test waits, unless it fails

both = pytest.mark.parametrize("kind", [QCommThread, QCommProcess])


# -- Functions that run elsewhere (at module level, so that every start method finds them)


def echo(comm, times):
    for _ in range(times):
        comm.send(*comm.recv(LONG))
    return times


def count_workers(comm):
    return comm.get_num_workers()


def add(left, right=0):
    return left + right


def fail(comm):
    raise ValueError("no luck")


def leave(comm):
    sys.exit(3)


def return_what_cannot_travel(comm):
    return threading.Lock()


def talk(comm, size):
    comm.send("big", bytes(size))
    return "said"


def die(comm):
    os._exit(7)


def die_in_midst(comm):
    comm.send("last words")
    os.kill(os.getpid(), signal.SIGKILL)


def wait_for_ever(comm):
    comm.send("ready")
    comm.recv()


# -- QComm


def test_messages_are_tuples_in_order():
    inbox, outbox = queue.Queue(), queue.Queue()
    comm = QComm(inbox, outbox, nworkers=4)
    comm.send(1, "a")
    comm.send(2)
    assert [outbox.get(), outbox.get()] == [(1, "a"), (2,)]
    inbox.put((3, "b"))
    assert comm.recv() == (3, "b")
    assert comm.get_num_workers() == 4


def test_nothing_in_time_is_a_timeout():
    with pytest.raises(Timeout):
        QComm(queue.Queue(), queue.Queue()).recv(timeout=0)


def test_messages_put_back_come_first_and_are_seen():
    inbox = queue.Queue()
    comm = QComm(inbox, queue.Queue())
    assert not comm.mail_flag()
    comm.push_to_buffer(1, "back")
    assert comm.mail_flag()
    inbox.put((2, "new"))
    assert [comm.recv(), comm.recv()] == [(1, "back"), (2, "new")]
    assert not comm.mail_flag()


@pytest.mark.parametrize("copy_msg", [False, True])
def test_messages_are_shared_unless_copied(copy_msg):
    outbox = queue.Queue()
    payload = [1]
    QComm(queue.Queue(), outbox, copy_msg=copy_msg).send(payload)
    (received,) = outbox.get()
    assert received == payload
    assert (received is payload) is not copy_msg


def test_outcomes_hold_what_they_are_given():
    assert CommResult(3).value == 3
    error = CommResultErr("ValueError: x", "Traceback")
    assert (error.msg, error.exc) == ("ValueError: x", "Traceback")


# -- Thread and process


@both
def test_conversation_and_result(kind):
    with kind(echo, 2, 3) as comm:
        for number in range(3):
            comm.send(number, "text")
            assert comm.recv(LONG) == (number, "text")
    assert comm.result() == 3
    assert not comm.running


@both
def test_function_knows_the_number_of_workers(kind):
    with kind(count_workers, 5) as comm:
        assert comm.get_num_workers() == 5
    assert comm.result() == 5


@both
def test_user_functions_get_their_own_arguments_only(kind):
    with kind(add, None, 2, user_function=True, right=3) as comm:
        pass
    assert comm.result() == 5


@both
def test_receiving_after_the_end_says_that_it_ended(kind):
    comm = kind(count_workers, 1)
    comm.run()
    for _ in range(2):
        with pytest.raises(CommFinishedException, match="returned"):
            comm.recv(LONG)
    assert not comm.mail_flag()
    assert comm.result(LONG) == 1


@both
@pytest.mark.parametrize(("function", "text"), [(fail, "ValueError: no luck"), (leave, "SystemExit: 3")])
def test_errors_come_home_with_their_traceback(kind, function, text):
    comm = kind(function, 1)
    comm.run()
    with pytest.raises(CommFinishedException, match=text):
        comm.recv(LONG)
    with pytest.raises(RemoteException, match=text) as caught:
        comm.result(LONG)
    assert function.__name__ in caught.value.exc


@both
def test_messages_not_yet_taken_outlive_the_result(kind):
    comm = kind(talk, 1, 1_000_000)
    comm.run()
    assert comm.result(LONG) == "said"
    assert comm.mail_flag()
    word, load = comm.recv()
    assert (word, len(load)) == ("big", 1_000_000)


@both
def test_waiting_has_limits(kind):
    comm = kind(echo, 1, 1)
    comm.run()
    assert comm.running
    assert not comm.mail_flag()
    with pytest.raises(Timeout):
        comm.recv(timeout=0)
    with pytest.raises(Timeout):
        comm.result(timeout=0.01)
    comm.send("go on")
    assert comm.recv(LONG) == ("go on",)
    assert comm.result(LONG) == 1


@both
def test_messages_put_back_are_received_next(kind):
    with kind(echo, 1, 1) as comm:
        comm.push_to_buffer("back")
        assert comm.mail_flag()
        assert comm.recv() == ("back",)
        comm.send("go on")


def test_a_thread_shares_no_object_with_its_caller():
    payload = [1]
    with QCommThread(echo, 1, 1) as comm:
        comm.send(payload)
        (received,) = comm.recv(LONG)
    assert received == payload
    assert received is not payload


def test_a_thread_cannot_be_forced_to_end():
    comm = QCommThread(echo, 1, 1)
    comm.run()
    with pytest.raises(Timeout, match="cannot be forced"):
        comm.terminate(timeout=0.01)
    comm.send("go on")
    comm.terminate(timeout=LONG)


# -- Processes


def test_a_value_that_cannot_travel_is_an_error_not_silence():
    comm = QCommProcess(return_what_cannot_travel, 1)
    comm.run()
    with pytest.raises(RemoteException, match="pickle"):
        comm.result(LONG)


@pytest.mark.parametrize("ask", ["recv", "result"])
def test_a_process_that_dies_is_told_with_its_exit_code(ask):
    comm = QCommProcess(die, 1)
    comm.run()
    with pytest.raises(CommFinishedException if ask == "recv" else RemoteException, match="exit code 7"):
        getattr(comm, ask)(LONG)
    assert not comm.running


def test_what_a_process_said_before_it_was_killed_is_heard():
    comm = QCommProcess(die_in_midst, 1)
    comm.run()
    assert comm.recv(LONG) == ("last words",)
    with pytest.raises(CommFinishedException, match="killed by signal 9"):
        comm.recv(LONG)


def test_a_dead_process_shows_as_mail_until_its_death_is_received():
    comm = QCommProcess(die, 1)
    comm.run()
    comm.process.join(LONG)
    assert comm.mail_flag()
    with pytest.raises(CommFinishedException):
        comm.recv()
    assert not comm.mail_flag()


def test_terminate_ends_a_process():
    comm = QCommProcess(wait_for_ever, 1)
    comm.run()
    assert comm.recv(LONG) == ("ready",)
    comm.terminate(LONG)
    assert not comm.running
    with pytest.raises(RemoteException, match="killed by signal 15"):
        comm.result(LONG)


def test_an_error_in_the_block_ends_the_process():
    with pytest.raises(ZeroDivisionError), QCommProcess(wait_for_ever, 1) as comm:
        raise ZeroDivisionError
    comm.process.join(LONG)
    assert not comm.running


def test_receiving_before_the_start_is_an_error():
    with pytest.raises(CommError, match="run"):
        QCommProcess(echo, 1, 1).recv(0)


SCRIPT = """
from libensemble.comms.queues import QCommProcess, QCommThread
def wait_for_ever(comm):
    comm.recv()
if __name__ == "__main__":
    comms = [kind(wait_for_ever, 1) for kind in (QCommThread, QCommProcess)]
    for comm in comms:
        comm.run()
"""


def test_the_interpreter_ends_though_functions_wait(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    assert subprocess.run([sys.executable, str(script)], timeout=LONG, env=environment).returncode == 0
