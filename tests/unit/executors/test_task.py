"""Tasks: their names, states, files and times."""

import os
import pickle
import re

import pytest

from libensemble.errors import ExecutorException, TimeoutExpired
from libensemble.executors.application import Application
from libensemble.executors.command import Command
from libensemble.executors.task import Task


@pytest.fixture
def task(tmp_path):
    task = Task(Application("/bin/sh", name="shell"), workdir=str(tmp_path))
    yield task
    if task.process is not None and not task.finished:
        task.kill(0)


def run(task, script):
    task.start(Command(("/bin/sh", "-c", script)))


def test_names_tell_application_worker_and_number():
    app = Application("/a/sim.x", name="sim")
    tasks = [Task(app, workerid=worker) for worker in (3, 0, None)]
    assert re.fullmatch(r"libe_task_sim_worker3_\d+", tasks[0].name)
    assert all(re.fullmatch(r"libe_task_sim_\d+", task.name) for task in tasks[1:])
    assert tasks[1].id == tasks[0].id + 1
    assert (tasks[0].stdout, tasks[0].stderr) == (tasks[0].name + ".out", tasks[0].name + ".err")
    assert Task(app, stdout="x").stdout == "x"


def test_a_task_needs_an_application():
    with pytest.raises(ExecutorException):
        Task()


def test_a_task_that_was_never_launched_cannot_be_asked(task):
    for ask in (task.poll, task.wait, task.kill, task.done, task.running, task.result):
        with pytest.raises(ExecutorException, match=f"task {task.name} has no process ID"):
            ask()


@pytest.mark.parametrize("code, state", [(0, "FINISHED"), (3, "FAILED")])
def test_a_task_that_ends_by_itself(task, code, state):
    run(task, f"exit {code}")
    assert task.result(timeout=20) == state
    assert (task.errcode, task.finished, task.success) == (code, True, code == 0)
    assert task.exception() == code and task.done() and not task.running() and not task.cancelled()
    assert task.total_time == task.runtime < 20


def test_a_running_task(task):
    run(task, "sleep 30")
    assert task.running() and not task.done() and task.state == "RUNNING" and task.total_time is None
    with pytest.raises(TimeoutExpired) as error:
        task.wait(0.01)
    assert (error.value.task, error.value.timeout) == (task.name, 0.01)
    assert str(error.value) == f"Task {task.name} timed out after 0.01 seconds"
    assert task.running()


def test_a_kill_notes_the_real_return_code(task):
    run(task, "sleep 30")
    task.kill(20)
    assert (task.state, task.finished, task.success, task.errcode) == ("USER_KILLED", True, False, -15)
    assert task.cancelled() and task.total_time is not None


def test_cancel_asks_and_returns_when_the_task_has_gone(task):
    run(task, "trap 'exit 4' TERM; echo up; while :; do sleep 0.02; done")
    while not task.read_stdout():
        task.pause(0.01)
    task.cancel()
    assert (task.state, task.errcode) == ("USER_KILLED", 4)


def test_a_task_that_has_ended_before_a_kill_keeps_its_state(task, caplog):
    run(task, "exit 0")
    task.process.wait()
    task.kill()
    assert (task.state, task.errcode) == ("FINISHED", 0)
    assert "has just ended" in caplog.text
    task.kill()
    assert task.state == "FINISHED" and "no longer running" in caplog.text


def test_a_task_that_failed_to_start_counts_as_ended(task):
    with pytest.raises(OSError):
        task.start(Command(("/no/such/program",)))
    task.fail_to_start()
    task.poll()
    task.wait()
    task.kill()
    assert task.done() and not task.running() and not task.cancelled()
    assert task.result() == "FAILED_TO_START" and task.exception() is None


def test_a_dry_run_finishes_when_asked():
    task = Task(Application("/a/sim.x"), dry_run=True)
    task.kill()
    task.wait()
    assert (task.state, task.success, task.finished) == ("FINISHED", True, True)


def test_submit_time_is_in_seconds(task):
    run(task, "exit 0")
    assert task.submit_time == task.timer.tstart / 1000
    task.wait()


def test_timing_without_a_submit_is_a_warning(task, caplog):
    task.calc_task_timing()
    assert task.total_time is None and "not submitted" in caplog.text


def test_reset_takes_back_the_launch(task):
    run(task, "exit 1")
    task.wait()
    task.reset()
    assert (task.state, task.process, task.errcode) == ("CREATED", None, None)
    assert not task.finished and not task.success
    assert (task.submit_time, task.runtime, task.total_time) == (None, 0, None)


def test_files_lie_in_the_working_directory(task, tmp_path, monkeypatch):
    run(task, "echo out; echo err >&2; pwd > where.txt")
    task.wait()
    monkeypatch.chdir("/")
    assert task.workdir_exists() and task.stdout_exists() and task.stderr_exists()
    assert (task.read_stdout(), task.read_stderr()) == ("out\n", "err\n")
    assert task.read_file_in_workdir("where.txt").strip() == str(tmp_path)
    assert not task.file_exists_in_workdir("nothing")
    with pytest.raises(ValueError, match="nothing not found in working directory"):
        task.read_file_in_workdir("nothing")


def test_output_and_errors_may_share_a_file(tmp_path):
    task = Task(Application("/bin/sh"), workdir=str(tmp_path), stdout="both", stderr="both")
    run(task, "echo out; echo err >&2")
    task.wait()
    assert (tmp_path / "both").read_text() == "out\nerr\n"


def test_variables_reach_the_child_alone(task, monkeypatch):
    monkeypatch.delenv("MINE", raising=False)
    task._add_to_env("MINE", "yes")
    run(task, "echo $MINE")
    task.wait()
    assert task.read_stdout() == "yes\n" and "MINE" not in os.environ


def test_a_task_can_be_pickled_without_its_process(task):
    run(task, "sleep 30")
    copy = pickle.loads(pickle.dumps(task))
    assert copy.name == task.name and copy.process is None


def test_waiting_may_listen_to_the_manager(task):
    run(task, "sleep 30")
    task.kill_wanted = lambda: True
    task.wait(poll_manager=True)
    assert task.state == "USER_KILLED"
