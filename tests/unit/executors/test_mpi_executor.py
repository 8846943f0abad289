"""The MPI executor: which runner it takes, how it launches and retries, and how tasks share a worker's nodes."""

import logging
import pickle

import pytest

from libensemble.errors import ExecutorException
from libensemble.executors import mpi_executor
from libensemble.executors.mpi_executor import MPIExecutor
from libensemble.executors.mpi_runner import RUNNERS, MPICH_MPIRunner, MPIRunner, SRUN_MPIRunner
from libensemble.message_numbers import MAN_SIGNAL_KILL, STOP_TAG


@pytest.fixture(autouse=True)
def no_mpi_here(monkeypatch):
    """Which MPI this machine has must not matter."""
    monkeypatch.setattr(mpi_executor, "get_MPI_variant", lambda: None)


@pytest.fixture
def launch(tmp_path):
    """An executor whose runner is a shell script in this folder."""
    runner = tmp_path / "runner"

    def launch(script, runner_type="mpich", **info):
        runner.write_text("#!/bin/sh\n" + script + "\n")
        runner.chmod(0o755)
        executor = MPIExecutor({"mpi_runner": runner_type, "runner_name": str(runner), **info})
        executor.retry_delay_incr = 0.001
        executor.register_app("/bin/sh", app_name="shell")
        executors.append(executor)
        return executor

    executors = []
    yield launch
    for executor in executors:
        executor.kill_all(0)


# Runners


@pytest.mark.parametrize("name", RUNNERS)
def test_every_runner_has_a_type(name):
    runner = MPIRunner.get_runner(name)
    assert isinstance(runner, MPIRunner) and runner.run_command.split()[0] in (
        "mpirun",
        "mpiexec",
        "aprun",
        "srun",
        "jsrun",
        "flux",
    )
    assert MPIRunner.get_runner(name, "mine").run_command == "mine"
    assert MPIRunner.get_runner(None) is None


@pytest.mark.parametrize("name, own_session", [("mpich", True), ("openmpi", True), ("jsrun", True), ("srun", False)])
def test_runners_that_forward_signals_stay_in_our_session(name, own_session):
    assert MPIRunner.get_runner(name).subgroup_launch is own_session


def test_an_unknown_runner_is_an_error_that_lists_the_known_ones():
    for make in (lambda: MPIExecutor({"mpi_runner": "mpirum"}), lambda: MPIRunner.get_runner("mpirum")):
        with pytest.raises(ExecutorException, match=r"'mpirum'.*mpich"):
            make()
    executor = MPIExecutor({"mpi_runner": "mpich"})
    executor.register_app("/a/x")
    with pytest.raises(ExecutorException, match="'mpirum'"):
        executor.submit(app_name="x", num_procs=1, mpi_runner_type="mpirum", dry_run=True)


def test_what_the_user_says_wins_over_the_platform_and_that_over_what_is_found(monkeypatch):
    monkeypatch.setattr(mpi_executor, "get_MPI_variant", lambda: "openmpi")
    executor = MPIExecutor({"mpi_runner": "mpich"})
    executor.add_platform_info({"mpi_runner": "srun", "runner_name": "special"})
    assert isinstance(executor.mpi_runner_obj, MPICH_MPIRunner) and executor.runner_name == "special"
    executor = MPIExecutor()
    executor.add_platform_info({"mpi_runner": "srun"})
    assert isinstance(executor.mpi_runner_obj, SRUN_MPIRunner) and executor.mpi_runner_type == "srun"
    executor.add_platform_info({})  # another run, without a platform
    assert executor.mpi_runner_type == "openmpi" and executor.mpi_runner_obj.run_command == "mpirun"


def test_settings_may_change_between_submits():
    executor = MPIExecutor({"mpi_runner": "mpich"})
    executor.add_platform_info({})
    executor.register_app("/a/x")
    assert executor.submit(app_name="x", num_procs=1, dry_run=True).runline.startswith("mpirun -np 1")
    executor.mpi_runner_type, executor.runner_name = "srun", "mysrun"
    assert executor.submit(app_name="x", num_procs=1, dry_run=True).runline.startswith("mysrun --ntasks 1")


def test_without_a_runner_a_submit_fails_clearly(tmp_path):
    executor = MPIExecutor()
    executor.add_platform_info()
    assert executor.mpi_runner_obj is None
    executor.register_app("/a/x")
    with pytest.raises(ExecutorException, match=r"^No valid MPI runner was found$"):
        executor.submit(app_name="x", num_procs=1, dry_run=True)
    with pytest.raises(ExecutorException, match="mpi_runner_type"):
        executor.submit(app_name="x", num_procs=1, dry_run=True, env_script="env.sh")


@pytest.mark.parametrize("value", ["four", 1.5j, -1])
def test_counts_are_whole_numbers(value):
    executor = MPIExecutor({"mpi_runner": "mpich"})
    executor.register_app("/a/x")
    with pytest.raises(ExecutorException, match="num_procs"):
        executor.submit(app_name="x", num_procs=value, dry_run=True)


def test_stage_inout_is_ignored_with_a_warning(caplog):
    executor = MPIExecutor({"mpi_runner": "mpich"})
    executor.register_app("/a/x")
    assert executor.submit(app_name="x", num_procs=1, stage_inout="d", dry_run=True).finished
    assert "stage_inout" in caplog.text


def test_values_of_the_generator_last_for_one_call():
    executor = MPIExecutor({"mpi_runner": "mpich"})
    executor.register_app("/a/x")
    executor.set_gen_procs_gpus({"num_procs": 3})
    assert "-np 3" in executor.submit(app_name="x", dry_run=True).runline
    executor.set_gen_procs_gpus({})
    assert (executor.gen_nprocs, executor.gen_ngpus) == (None, None)


def test_conflicting_extra_args_are_warned_of(caplog):
    executor = MPIExecutor({"mpi_runner": "mpich"})
    executor.register_app("/a/x")
    executor.submit(app_name="x", num_procs=4, extra_args="-np 8", dry_run=True)
    assert "num_procs=4" in caplog.text and "8" in caplog.text


# Launch


def test_the_runner_is_launched_with_the_gpus_in_its_environment(launch):
    executor = launch('echo "$@"; echo $CUDA_VISIBLE_DEVICES')
    task = executor.submit(app_name="shell", num_procs=2, num_gpus=2, app_args="a")
    assert task.result(20) == "FINISHED" and task.run_attempts == 1
    assert task.read_stdout() == "-np 2 --ppn 2 /bin/sh a\n0,1\n"


def test_an_env_script_runs_before_the_runner(launch, tmp_path):
    (tmp_path / "env.sh").write_text("export GREETING=hello\n")
    executor = launch("echo $GREETING", runner_type="srun")
    task = executor.submit(app_name="shell", num_procs=1, env_script="env.sh")
    task.wait(20)
    assert task.read_stdout() == "hello\n"
    assert (tmp_path / f"{task.name}_run.sh").read_text().endswith(f"\n{task.runline}\n")


def test_a_runner_in_our_session_leaves_nothing_behind_its_script(launch, tmp_path):
    (tmp_path / "env.sh").write_text("")
    executor = launch("echo $$; exec sleep 30", runner_type="srun")
    task = executor.submit(app_name="shell", num_procs=1, env_script="env.sh")
    while not task.read_stdout():
        task.pause(0.01)
    task.kill(10)
    assert task.state == "USER_KILLED"  # and no process is left: the session's own check


def test_a_failed_start_is_tried_again_with_growing_delays(launch, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    executor = launch("echo bad input >&2; exit 3")
    delays = []
    monkeypatch.setattr(executor, "_wait_for_retry", lambda seconds: delays.append(seconds) or True)
    executor.retry_delay_incr = 5
    task = executor.submit(app_name="shell", num_procs=1, wait_on_start=20)
    assert (task.state, task.errcode, task.run_attempts) == ("FAILED", 3, 5)
    assert delays == [5, 10, 15, 20]
    assert f"Launching task {task.name} (Retry 4): " in caplog.text and "bad input" in caplog.text


def test_failures_of_the_application_need_not_be_tried_again(launch):
    executor = launch("exit 3")
    executor.retry_app_failures = False
    task = executor.submit(app_name="shell", num_procs=1, wait_on_start=20)
    assert (task.state, task.run_attempts) == ("FAILED", 1)


def test_what_cannot_be_launched_is_tried_again_and_then_given_up(launch):
    executor = launch("exit 0")
    executor.runner_name = "/no/such/runner"
    executor.retry_app_failures = False
    executor.max_submit_attempts = 3
    task = executor.submit(app_name="shell", num_procs=1)
    assert (task.state, task.run_attempts, task.finished) == ("FAILED_TO_START", 3, True)


def test_a_second_try_may_succeed(launch):
    executor = launch("test -e tried && exit 0; touch tried; exit 1")
    task = executor.submit(app_name="shell", num_procs=1, wait_on_start=20)
    assert (task.state, task.run_attempts) == ("FINISHED", 2)


def test_the_manager_ends_the_wait_for_a_retry(launch):
    class Comm:
        def mail_flag(self):
            return True

        def recv(self):
            return STOP_TAG, MAN_SIGNAL_KILL

        def push_to_buffer(self, tag, payload):
            pass

    executor = launch("exit 3")
    executor.comm = Comm()
    executor.retry_delay_incr = 600
    task = executor.submit(app_name="shell", num_procs=1, wait_on_start=20)
    assert (task.state, task.run_attempts) == ("FAILED", 1)


def test_known_troubles_of_a_runner_are_explained(launch, caplog):
    executor = launch("echo 'Job step creation temporarily disabled' >&2; exit 1", runner_type="srun")
    executor.max_launch_attempts = 1
    task = executor.submit(app_name="shell", num_procs=1)
    task.wait(20)
    assert "--mem-per-cpu" in caplog.text


def test_a_machinefile_written_for_a_task_goes_with_it(launch, make_share, tmp_path):
    executor = launch("cat $2", runner_type="openmpi")
    executor.set_resources(make_share(["n1", "n2"], 1, [0]))
    task = executor.submit(app_name="shell", num_procs=2, num_nodes=2)
    task.wait(20)
    assert task.read_stdout() == "n1\nn2\n"
    assert not list(tmp_path.glob("machinefile_*"))


# Tasks side by side


def test_tasks_side_by_side_lie_on_different_nodes_and_gpus(launch, make_share):
    executor = launch("exec sleep 30")
    executor.set_resources(make_share(["n1", "n2"], 2, [0, 1], gpus=2))

    def start(**arguments):
        task = executor.submit(app_name="shell", **arguments)
        hosts = task.runline.split("-hosts ")[1].split()[0]
        return task, hosts, task.env.get("CUDA_VISIBLE_DEVICES")

    first, *where = start(num_procs=1, num_gpus=1)
    assert where == ["n1", "0"]
    assert start(num_procs=1, num_gpus=1)[1:] == ("n2", "0")
    task, hosts, ids = start(auto_assign_gpus=True)
    assert (hosts, ids) == ("n1,n2", "1") and "-np 2 --ppn 1" in task.runline
    first.kill(0)
    assert start(num_procs=1, num_gpus=1)[1:] == ("n1", "0")


def test_a_copy_for_a_worker_keeps_the_runner():
    executor = MPIExecutor({"mpi_runner": "srun"})
    executor.add_platform_info({})
    executor.set_gen_procs_gpus({"num_procs": 2})
    copy = pickle.loads(pickle.dumps(executor)).for_worker(None, 3)
    assert isinstance(copy.mpi_runner_obj, SRUN_MPIRunner) and copy.gen_nprocs is None and copy.workerID == 3
