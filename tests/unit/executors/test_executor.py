"""The executor: its registry, its submits on this machine, and the end of its tasks."""

import copy
import logging
import os
import pickle
import subprocess
import sys
import threading

import psutil
import pytest

from libensemble.errors import ExecutorException, MPIResourcesException
from libensemble.executors.executor import Executor, Task
from libensemble.utils.current import current


@pytest.fixture
def executor(tmp_path):
    """An executor with a shell; a script is given by `app_args`."""
    executor = Executor()
    executor.register_app("/bin/sh", app_name="shell", calc_type="sim")
    yield executor
    executor.kill_all(0)


def script(text):
    return ["-c", text]


def runs(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE  # one that is gone, but not yet reaped
    except psutil.NoSuchProcess:
        return False


# The door


def test_the_last_executor_is_behind_the_door_for_all_classes():
    class Mine(Executor):
        pass

    first = Executor()
    assert Executor.executor is first
    second = Mine()
    assert Executor.executor is Mine.executor is current.executor is second
    Mine.executor = first
    assert Executor.executor is first


def test_threads_that_are_workers_do_not_share_the_door(executor):
    seen = []

    def worker():
        mine = executor.for_worker(None, 1)
        current.bind_thread(mine, None)
        seen.append(Executor.executor is mine)

    thread = threading.Thread(target=worker)
    thread.start()
    thread.join()
    assert seen == [True] and Executor.executor is executor


# Registry


def test_a_name_is_found_and_a_missing_one_is_named(executor):
    executor.register_app("dir/sim.x")
    assert executor.get_app("sim.x").full_path == "dir/sim.x"
    with pytest.raises(ExecutorException) as error:
        executor.get_app("gone")
    assert error.value.args[0] == "Application gone not found in registry"
    assert "sim.x" in error.value.args[1]


def test_defaults_by_type(executor):
    assert executor.default_app("sim").name == executor.sim_default_app.name == "shell"
    assert executor.gen_default_app is None
    with pytest.raises(ExecutorException, match=r"^Default gen app is not set$"):
        executor.default_app("gen")
    with pytest.raises(ExecutorException) as error:
        executor.default_app("alloc")
    assert error.value.args == ("Unrecognized calculation type", "alloc")


def test_a_bad_type_registers_nothing(executor):
    with pytest.raises(ExecutorException) as error:
        executor.register_app("/a/x", calc_type="alloc")
    assert error.value.args == ("Unrecognized calculation type", "alloc") and "x" not in executor.apps


def test_a_submit_names_an_application(executor):
    with pytest.raises(ExecutorException, match=r"^Either app_name or calc_type must be set$"):
        executor.submit()
    executor.register_app("/nowhere/x")
    with pytest.raises(ExecutorException, match=r"^Application does not exist /nowhere/x$"):
        executor.submit(app_name="x")
    assert executor.submit(app_name="x", dry_run=True).finished


# Submit


def test_a_submit_runs_in_the_current_directory(executor, tmp_path):
    task = executor.submit(calc_type="sim", app_args=script("pwd"), stdout="here.txt")
    assert task.result(20) == "FINISHED" and task.run_attempts == 0
    assert (tmp_path / "here.txt").read_text().strip() == str(tmp_path)
    assert executor.list_of_tasks == [task] and executor.get_task(task.id) is task


def test_a_submit_is_polled_once(executor):
    assert executor.submit(app_name="shell", app_args=script("sleep 30")).state == "RUNNING"


@pytest.mark.parametrize("wait_on_start", [True, 20])
def test_waiting_on_start_sees_a_quick_end(executor, wait_on_start):
    task = executor.submit(app_name="shell", app_args=script("exit 3"), wait_on_start=wait_on_start)
    assert task.state == "FAILED"


def test_waiting_on_start_waits_no_longer_than_said(executor):
    assert executor.submit(app_name="shell", app_args=script("sleep 30"), wait_on_start=0.02).state == "RUNNING"


def test_arguments_in_a_string_keep_quoted_words_together(executor):
    task = executor.submit(app_name="shell", app_args="-c 'echo a  b'")
    task.wait(20)
    assert task.read_stdout() == "a b\n" and task.runline == "/bin/sh -c 'echo a  b'"


def test_a_path_with_spaces_runs(executor, tmp_path):
    folder = tmp_path / "a b"
    folder.mkdir()
    app = folder / "run it"
    app.write_text("#!/bin/sh\necho ran\n")
    app.chmod(0o755)
    executor.register_app(str(app), app_name="spaced")
    task = executor.submit(app_name="spaced")
    task.wait(20)
    assert task.read_stdout() == "ran\n"


def test_a_bare_name_in_the_directory_runs(executor, tmp_path):
    app = tmp_path / "local_program"
    app.write_text("#!/bin/sh\necho ran\n")
    app.chmod(0o755)
    executor.register_app("local_program")
    task = executor.submit(app_name="local_program")
    task.wait(20)
    assert task.read_stdout() == "ran\n"


def test_a_dry_run_is_complete_listed_and_logged(executor, caplog):
    caplog.set_level(logging.INFO)
    task = executor.submit(app_name="shell", app_args="a b", dry_run=True)
    assert (task.state, task.success, task.runline) == ("FINISHED", True, "/bin/sh a b")
    assert executor.list_of_tasks == [task]
    assert "Test (No submit) Runline: /bin/sh a b" in caplog.text


def test_what_cannot_be_launched_failed_to_start(executor, tmp_path):
    (tmp_path / "no_program").write_text("not executable")
    executor.register_app(str(tmp_path / "no_program"))
    task = executor.submit(app_name="no_program")
    assert task.state == "FAILED_TO_START" and executor.polling_loop(task) == 34


def test_the_directory_is_told_as_seen_from_the_workflow(executor, tmp_path, monkeypatch):
    folder = tmp_path / "sub" / "d"
    folder.mkdir(parents=True)
    precedent = "podman exec --workdir /data/%LIBENSEMBLE_SIM_DIR% cont"
    executor.register_app("/in/it", app_name="boxed", precedent=precedent)
    assert executor.submit(app_name="boxed", dry_run=True).runline == "podman exec --workdir /data/. cont /in/it"
    monkeypatch.chdir(folder)
    task = executor.submit(app_name="boxed", dry_run=True, app_args="%LIBENSEMBLE_SIM_DIR%/x")
    assert task.runline == "podman exec --workdir /data/sub/d cont /in/it sub/d/x"
    assert task.env["LIBENSEMBLE_SIM_DIR"] == "sub/d" and "LIBENSEMBLE_SIM_DIR" not in os.environ


def test_an_env_script_prepares_the_application(executor, tmp_path):
    (tmp_path / "env.sh").write_text("#!/bin/sh\nexport GREETING=hello")
    task = executor.submit(app_name="shell", app_args=script("echo $GREETING"), env_script="env.sh")
    task.wait(20)
    assert task.read_stdout() == "hello\n"
    assert task.runline == "/bin/sh -c 'echo $GREETING'"


def test_gpus_of_a_serial_application(executor, make_share):
    executor.set_resources(make_share(["n1"], 4, [1, 2], gpus=8))
    executor.add_platform_info({"gpu_setting_type": "env", "gpu_setting_name": "GPUS"})

    def gpus(**arguments):
        return executor.submit(app_name="shell", dry_run=True, **arguments).env.get("GPUS")

    assert gpus() is None and gpus(num_gpus=0) is None
    assert gpus(num_gpus=1) == "2" and gpus(auto_assign_gpus=True) == "2,3,4,5"
    executor.set_resources(make_share(["n1"], 4, [1, 2], gpus=0))
    with pytest.raises(MPIResourcesException, match="1 GPUs were asked for"):
        gpus(num_gpus=1)


def test_tasks_side_by_side_get_different_gpus(executor, make_share):
    executor.set_resources(make_share(["n1"], 4, [0, 1, 2, 3], gpus=4))

    def start(**arguments):
        task = executor.submit(app_name="shell", app_args=script("sleep 30"), **arguments)
        return task, task.env["CUDA_VISIBLE_DEVICES"]

    first, ids = start(num_gpus=3)
    assert ids == "0,1,2"
    assert start(auto_assign_gpus=True)[1] == "3"
    assert start(num_gpus=1)[1] == "0"  # nothing is free: shared
    first.kill(0)
    assert start(num_gpus=2)[1] == "1,2"


# The end of tasks


def test_a_kill_reaches_what_the_task_has_started(executor):
    inner = "sh -c 'trap \"\" TERM; echo $$; while :; do sleep 1; done' & wait"
    task = executor.submit(app_name="shell", app_args=script(inner))
    while not task.read_stdout():
        task.pause(0.01)
    executor.wait_time = 0.1
    executor.kill(task)
    assert task.state == "USER_KILLED" and task.cancelled()
    assert not runs(int(task.read_stdout()))


def test_only_tasks_can_be_killed(executor):
    with pytest.raises(ExecutorException, match=r"^Invalid task has been provided$"):
        executor.kill("task")


def test_kill_all_ends_what_runs_and_leaves_the_rest(executor):
    ended = executor.submit(app_name="shell", app_args=script("exit 0"), wait_on_start=20)
    running = [executor.submit(app_name="shell", app_args=script("sleep 30")) for _ in range(3)]
    executor.kill_all()
    assert ended.state == "FINISHED"
    assert {task.state for task in running} == {"USER_KILLED"}
    executor.kill_all()


def test_tasks_end_with_the_interpreter(tmp_path):
    program = """
from libensemble.executors import Executor
executor = Executor()
executor.register_app("/bin/sh", app_name="shell")
task = executor.submit(app_name="shell", app_args=["-c", "sleep 60"])
print(task.process.pid)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert not runs(int(done.stdout))


def test_a_missing_task_is_a_warning(executor, caplog):
    assert executor.get_task(-1) is None and "-1" in caplog.text


def test_times_of_new_tasks_are_told_once(executor):
    for _ in range(2):
        executor.submit(app_name="shell", dry_run=True)
    assert executor.new_tasks_timing() == " Task 0: 0.000 Task 1: 0.000"
    assert executor.new_tasks_timing() == ""
    executor.submit(app_name="shell", dry_run=True)
    assert executor.new_tasks_timing(datetime=True).startswith(" Task 0: 0.000 Tstart: ")


# Copies


def test_each_worker_has_tasks_of_its_own(executor):
    comm = object()
    one, two = executor.for_worker(comm, 1), executor.for_worker(None, 2)
    task = one.submit(app_name="shell", dry_run=True)
    one.register_app("/a/only_here")
    assert (one.workerID, one.comm, two.workerID) == (1, comm, 2)
    assert one.list_of_tasks == [task] and not two.list_of_tasks and not executor.list_of_tasks
    assert "only_here" not in two.apps and "_worker1_" in task.name
    assert Executor.executor is executor


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda executor: pickle.loads(pickle.dumps(executor))])
def test_an_executor_can_be_copied_and_sent(executor, duplicate):
    executor.submit(app_name="shell", app_args=script("sleep 30"))
    other = duplicate(executor)
    assert isinstance(other, Executor) and other.get_app("shell").full_path == "/bin/sh"
    other.kill_all()
    assert isinstance(other.list_of_tasks[0], Task) and executor.list_of_tasks[0].running()


def test_an_executor_is_a_context():
    with pytest.raises(ZeroDivisionError), Executor() as executor:
        assert Executor.executor is executor
        raise ZeroDivisionError


@pytest.mark.parametrize("name", ["BalsamExecutor", "FancyExecutor"])
def test_what_is_not_there_is_said_clearly(name):
    import libensemble.executors

    with pytest.raises((ImportError, AttributeError), match=name):
        getattr(libensemble.executors, name)
