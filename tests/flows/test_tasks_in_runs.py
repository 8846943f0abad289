"""Executors in whole runs: whose they are, where tasks run, and what the log and the statistics tell of them."""

import os
import re
import time
from datetime import datetime
from pathlib import Path

import numpy as np
import psutil
import pytest

from libensemble import Ensemble
from libensemble.errors import LoggedException
from libensemble.executors import Executor
from libensemble.message_numbers import MAN_SIGNAL_KILL
from tests.fakes import functions_of_tasks as user
from tests.fakes.ensembles import run, specs

DATE = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}"
HEAD = rf"sim_id +\d+: sim Time: \d+\.\d{{3}} Start: {DATE} End: {DATE}"


@pytest.fixture
def executor(own_folder, monkeypatch):
    """An executor with applications; the run is launched from a folder beside them."""
    apps, launch = own_folder / "apps", own_folder / "launch"
    apps.mkdir()
    launch.mkdir()
    monkeypatch.chdir(launch)
    yield user.register(Executor(), apps)
    Executor.executor = None


def tasked(comms, sim_f, nworkers=2, sim_max=4, out=user.OUT, **options):
    sim = {"out": out, "user": options.pop("user", {})}
    return run(comms, nworkers, sim_f=sim_f, sim=sim, sim_max=sim_max, **options)


def sim_lines():
    return [line for line in Path("libE_stats.txt").read_text().splitlines() if "sim_id" in line]


def messages():
    """Return (worker, logger, message) of the log's lines."""
    pattern = re.compile(r"\[(\d+)\]  [\d-]+ [\d:,]+ (\S+) \(\w+\): (.*)")
    return [match.groups() for line in Path("ensemble.log").read_text().splitlines() if (match := pattern.match(line))]


# -- Whose executor


def test_both_doors_show_the_workers_own_executor(comms, executor):
    H, _, _ = tasked(comms, user.look_at_executor, nworkers=3, sim_max=12, gen={"user": {"batch": 12}})
    assert H["same"].all()
    assert (H["executor_of"] == H["by"]).all()
    assert (H["f"] == len(user.APPS)).all(), "with all applications"
    assert len(set(H["by"])) > 1
    if comms == "threads":
        assert len(set(H["executor_id"])) == len(set(H["by"]))
        assert id(executor) not in H["executor_id"]


def test_threaded_functions_have_their_workers(comms, executor):
    sim = {"out": user.OUT, "user": {}, "threaded": True}
    H, _, _ = run(comms, 2, sim_f=user.run_double, sim=sim, sim_max=4)
    assert H["same"].all()
    assert (H["executor_of"] == H["by"]).all()
    assert H["f"][:4].tolist() == [0, 2, 4, 6]


def test_without_an_executor_there_is_none(comms):
    H, _, _ = tasked(comms, user.look_at_executor)
    assert H["same"].all()
    assert np.isnan(H["f"]).all()


def test_an_ensemble_takes_an_executor(comms, executor):
    Executor.executor = None
    stated = specs(comms, sim_f=user.run_double, sim={"out": user.OUT, "user": {}}, sim_max=4)
    H, _, _ = Ensemble(**stated, executor=executor).run()
    assert H["f"][:4].tolist() == (2 * H["x"][:4]).tolist()


def test_each_ensemble_has_the_executor_it_was_given(comms, executor, own_folder):
    other = Executor()
    other.register_app(full_path=str(own_folder / "apps" / "double.py"), app_name="only one")
    stated = specs(comms, sim_f=user.look_at_executor, sim={"out": user.OUT, "user": {}}, sim_max=4)
    ensembles = [Ensemble(**stated, executor=one) for one in (executor, other)]
    assert [set(ensemble.run()[0]["f"]) for ensemble in ensembles] == [{float(len(user.APPS))}, {1.0}]


def test_the_scripts_executor_is_as_it_was_after_the_run(comms, executor):
    tasked(comms, user.run_double)
    assert Executor.executor is executor
    assert executor.list_of_tasks == []
    assert executor.workerID is None
    assert executor.comm is None


def test_workers_do_not_see_each_others_tasks(comms, executor):
    H, _, _ = tasked(comms, user.run_double, sim_max=6, gen={"user": {"batch": 6}})
    for worker in set(H["by"]):
        tasks = H["tasks"][H["by"] == worker]
        assert sorted(tasks) == list(range(1, len(tasks) + 1))


def test_a_generator_on_the_manager_has_one_too(comms, executor):
    H, persis_info, _ = run(comms, gen_f=user.gen_with_executor, gen_on_manager=True, sim_max=4)
    assert H["x"][:4].tolist() == [0, 2, 4, 6]
    assert persis_info[0]["gen_executor_of"] == 0


def test_executors_derived_by_users_work(comms, executor, own_folder):
    loud = user.register(user.LoudExecutor("hello from"), own_folder / "apps")
    H, _, _ = tasked(comms, user.run_double, sim_dirs_make=True)
    assert H["f"][:4].tolist() == [0, 2, 4, 6]
    greetings = {Path(f"ensemble/sim000{row}/greeting").read_text() for row in range(4)}
    assert greetings == {f"hello from {worker}" for worker in set(H["by"])}
    assert loud.workerID is None


@pytest.mark.slow
def test_executors_reach_spawned_workers(executor, monkeypatch):
    import multiprocessing

    context = multiprocessing.get_context("spawn")
    monkeypatch.setattr(multiprocessing, "get_context", lambda *_: context)
    H, _, _ = tasked("local", user.run_double)
    assert H["f"][:4].tolist() == [0, 2, 4, 6]
    assert H["same"].all()


# -- Where tasks run


def test_tasks_run_in_the_directory_of_their_simulation(comms, executor):
    H, _, _ = tasked(comms, user.run_double, nworkers=3, sim_max=6, gen={"user": {"batch": 6}}, sim_dirs_make=True)
    for row in range(6):
        names = sorted(os.listdir(f"ensemble/sim{row:04d}"))
        assert [name.rsplit(".", 1)[-1] for name in names] == ["err", "out"]
        assert all(re.fullmatch(rf"libe_task_double_worker{H['by'][row]}_\d+\.(out|err)", name) for name in names)
        assert float(Path(f"ensemble/sim{row:04d}", names[1]).read_text()) == 2 * H["x"][row]


@pytest.mark.parametrize(
    ("options", "seen"),
    [
        ({}, "."),
        ({"sim_dirs_make": True}, "ensemble/sim0000"),
        ({"sim_dirs_make": True, "workflow_dir_path": "flow"}, "ensemble/sim0000"),
    ],
)
def test_tasks_know_their_directory_as_seen_from_the_workflow(comms, options, seen, executor):
    out = [*user.OUT, ("where", "U100")]
    H, _, _ = tasked(comms, user.run_one, sim_max=1, out=out, user={"app": "where"}, **options)
    assert H["where"][0] == seen
    assert "LIBENSEMBLE_SIM_DIR" not in os.environ


# -- libE_stats.txt


def test_the_lines_tell_how_long_tasks_took(comms, executor):
    tasked(comms, user.run_double, sim_max=2, user={"times": 2}, stats_fmt={"task_timing": True})
    assert len(sim_lines()) == 2
    for line in sim_lines():
        first, second = re.fullmatch(
            rf"Worker +\d: {HEAD} Task 0: (\d+\.\d{{3}}) Task 1: (\d+\.\d{{3}}) Status: Completed", line
        ).groups()
        taken = float(re.search(r"sim Time: (\S+)", line)[1])
        assert 0 < float(first) + float(second) <= taken + 0.002


@pytest.mark.parametrize("both", [False, True])
def test_or_also_when(comms, executor, both):
    tasked(comms, user.run_double, sim_max=2, stats_fmt={"task_datetime": True, "task_timing": both})
    for line in sim_lines():
        length, start, end = re.fullmatch(
            rf"Worker +\d: {HEAD} Task 0: (\d+\.\d{{3}}) Tstart: ({DATE}) Tend: ({DATE}) Status: Completed", line
        ).groups()
        start, end = (datetime.strptime(date, "%Y-%m-%d %H:%M:%S.%f") for date in (start, end))
        assert abs((end - start).total_seconds() - float(length)) < 0.0021


def test_the_parts_have_their_order(comms, executor):
    stats_fmt = {"task_timing": True, "show_resource_sets": True}
    tasked(comms, user.run_double, sim_max=2, stats_fmt=stats_fmt)
    for line in sim_lines():
        assert re.fullmatch(rf"Worker +\d: {HEAD} Task 0: \d+\.\d{{3}} rsets: \[[01]\] Status: Completed", line), line


def test_a_call_without_a_task_shows_none(comms, executor):
    tasked(comms, user.look_at_executor, stats_fmt={"task_timing": True})
    assert sim_lines()
    assert not any("Task" in line for line in sim_lines())


def test_calls_of_generators_show_their_tasks(comms, executor):
    run(comms, gen_f=user.gen_with_executor, sim_max=4, stats_fmt={"task_timing": True})
    gens = [line for line in Path("libE_stats.txt").read_text().splitlines() if "Gen no     1" in line]
    assert re.search(r"( Task [0-3]: \d+\.\d{3}){4} Status: Not set$", gens[0])


@pytest.mark.parametrize(
    ("settings", "status"),
    [
        ({"app": "double", "args": "1"}, "Completed"),
        ({"app": "fail"}, "Task Failed during run"),
        ({"app": "sleep", "args": "30", "timeout": 0.1}, "Worker killed task on Timeout"),
    ],
)
def test_the_status_tells_how_the_task_ended(comms, settings, status, executor):
    begun = time.monotonic()
    tasked(comms, user.run_one, sim_max=1, user=settings)
    assert sim_lines()[0].endswith(f" Status: {status}")
    assert time.monotonic() - begun < 20


def test_a_dry_run_shows_its_run_line(comms, executor):
    tasked(comms, user.dry_double, sim_max=1)
    assert sim_lines()[0].endswith(" Status: 0.0")
    assert any(text.startswith("Test (No submit) Runline: ") for _, _, text in messages())


# -- ensemble.log


def test_the_log_tells_of_launch_and_end_under_the_workers_number(comms, executor):
    H, _, _ = tasked(comms, user.run_double, sim_max=4)
    launched = [line for line in messages() if line[2].startswith("Launching task ")]
    ended = [line for line in messages() if line[2].endswith("finished with errcode 0 (FINISHED)")]
    assert len(launched) == len(ended) == 4
    for worker, name, text in launched:
        assert name.startswith("libensemble.executors.")
        task, line = re.fullmatch(r"Launching task (\S+): (.*)", text).groups()
        assert task.startswith(f"libe_task_double_worker{worker}_")
        assert line.split()[-2].endswith("double.py")
        assert (worker, f"Task {task} finished with errcode 0 (FINISHED)") in {(one[0], one[2]) for one in ended}
    assert {int(worker) for worker, _, _ in launched} == set(H["by"])


def test_it_tells_of_failures_and_kills(comms, executor):
    tasked(comms, user.run_one, sim_max=1, user={"app": "fail"})
    assert any(re.search(r"Task \S+ finished with errcode 3 \(FAILED\)", text) for _, _, text in messages())
    tasked(comms, user.run_one, sim_max=1, user={"app": "sleep", "args": "30", "timeout": 0.05})
    assert any(re.fullmatch(r"Killing task libe_task_sleep_worker\d_\d+", text) for _, _, text in messages())


# -- Kills


def cancel_at_once(W, H, sim_specs, gen_specs, alloc_specs, persis_info, libE_info):
    from libensemble.alloc_funcs.give_sim_work_first import give_sim_work_first

    H["cancel_requested"][H["sim_started"] & ~H["sim_ended"]] = True
    return give_sim_work_first(W, H, sim_specs, gen_specs, alloc_specs, persis_info, libE_info)


def test_the_manager_can_have_a_task_killed(comms, executor):
    begun = time.monotonic()
    H, _, _ = tasked(
        comms,
        user.run_one,
        sim_max=1,
        user={"app": "sleep", "args": "30", "poll": True},
        alloc={"alloc_f": cancel_at_once},
        kill_canceled_sims=True,
    )
    assert time.monotonic() - begun < 20
    assert H["kill_sent"][0]
    assert sim_lines()[0].endswith(" Status: Manager killed task")
    assert any(f"kill signal {MAN_SIGNAL_KILL}" in text for _, _, text in messages())


def pids(folder):
    return [int(word) for path in folder.glob("*.pids") for word in path.read_text().split()]


def gone(numbers, patience=5):
    """Wait until none of the processes runs; return those that do."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        left = [
            number for number in numbers if psutil.pid_exists(number) and psutil.Process(number).status() != "zombie"
        ]
        if not left:
            return []
        time.sleep(0.02)
    return left


@pytest.mark.parametrize("raises", [False, True])
def test_no_task_outlives_the_run_nor_what_it_started(comms, raises, executor, own_folder, capfd):
    user_options = {"at": str(own_folder), "raises": raises}
    if raises:
        with pytest.raises(LoggedException, match="the task goes on"):
            tasked(comms, user.leave_a_task_behind, nworkers=1, sim_max=1, user=user_options)
    else:
        tasked(comms, user.leave_a_task_behind, nworkers=1, sim_max=1, user=user_options)
    started = pids(own_folder)
    assert len(started) == 2
    assert gone(started) == []


def test_a_task_that_still_runs_has_its_time_so_far(comms, executor, own_folder):
    tasked(
        comms,
        user.leave_a_task_behind,
        nworkers=1,
        sim_max=1,
        user={"at": str(own_folder)},
        stats_fmt={"task_timing": True},
    )
    assert re.search(r" Task 0: \d+\.\d{3} Status: Not set$", sim_lines()[0])
