"""Applications get the processes and GPUs of their worker, or those that their point asks for."""

import os

import numpy as np
import numpy.testing as npt
import pytest

from libensemble.errors import WorkerResourcesException
from libensemble.message_numbers import TASK_FAILED, UNSET_TAG, WORKER_DONE
from libensemble.sim_funcs import var_resources
from libensemble.sim_funcs.six_hump_camel import six_hump_camel_func

X = [-0.99, -0.19]
WITH_PERSIS_INFO = [
    var_resources.gpu_variable_resources,
    var_resources.gpu_variable_resources_from_gen,
    var_resources.gpu_variable_resources_subenv,
]
REST = [var_resources.CUDA_variable_resources, var_resources.multi_points_with_variable_resources]


@pytest.fixture
def env_script(tmp_path):
    """A shell script that puts MPI runners on PATH, each of which only starts the application."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("mpirun", "srun", "special_mpi"):
        runner = folder / name
        runner.write_text(
            f'#!/bin/sh\necho {name} >> "{tmp_path}/runners"\n'
            'while [ "${1%python*}" = "$1" ]; do shift; done\nexec "$@"\n'
        )
        runner.chmod(0o755)
    script = tmp_path / "env.sh"
    script.write_text(f'#!/bin/sh\nexport PATH="{folder}:$PATH"\n')
    return str(script)


@pytest.fixture
def mask(monkeypatch):
    """CUDA_VISIBLE_DEVICES of this process is put back after the test."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "unset")
    return lambda: os.environ["CUDA_VISIBLE_DEVICES"]


def call(function, executor, H, **user):
    specs = {"out": [("f", float)], "user": user}
    returned = function(H, {"mine": 1}, specs, {"executor": executor, "workerID": 1})
    if function in WITH_PERSIS_INFO:
        assert returned[1] == {"mine": 1}
    return returned[0]["f"], returned[-1]


@pytest.mark.parametrize("function", WITH_PERSIS_INFO + REST)
def test_a_dry_run_computes_the_values_here(function, make_executor, points, env_script, mask):
    H = points(X, [0.5, 1])
    f, status = call(function, make_executor([1, 2]), H, dry_run=True, env_script=env_script, app="six_hump_camel")
    npt.assert_array_equal(f, six_hump_camel_func(H["x"].T))
    assert status == WORKER_DONE


@pytest.mark.parametrize("function", [*WITH_PERSIS_INFO[:2], *REST])
@pytest.mark.parametrize("works", [True, False])
def test_a_real_run_takes_the_value_that_was_printed(
    function, make_executor, points, mask, works, env_script, tmp_path, monkeypatch
):
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    app = tmp_path / "app.py"
    app.write_text("print(2.5)\nprint('a second line')\n" if works else "raise SystemExit(1)\n")
    executor = make_executor([1, 2])
    executor.register_app(str(app), app_name="six_hump_camel")
    f, status = call(function, executor, points(X), app="six_hump_camel")
    npt.assert_array_equal(f, [2.5] if works else [np.nan])
    failed = TASK_FAILED if function is var_resources.multi_points_with_variable_resources else "FAILED"
    assert status == (WORKER_DONE if works else failed)


def test_one_process_runs_on_each_gpu_of_the_worker(make_executor, points, capsys):
    executor = make_executor([1, 2])
    call(var_resources.gpu_variable_resources, executor, points(X), dry_run=True)
    (task,) = executor.list_of_tasks
    assert " -np 2 " in task.runline and task.runline.endswith("six_hump_camel.py -0.99 -0.19")
    assert task.env["CUDA_VISIBLE_DEVICES"] == "1,2"
    assert task.stdout == "out.txt" and task.stderr == "err.txt"
    assert "GPU setting (env): {'CUDA_VISIBLE_DEVICES': '1,2'}" in capsys.readouterr().out


@pytest.mark.parametrize(("procs", "gpus", "mask"), [(2, 1, "1"), (1, 2, "1,2"), (3, 0, None)])
def test_processes_and_gpus_are_those_of_the_point(make_executor, points, procs, gpus, mask):
    executor = make_executor([1, 2])
    numbers = {"num_procs": procs, "num_gpus": gpus}
    executor.set_gen_procs_gpus(numbers)
    executor.resources.worker_resources.set_gen_procs_gpus(numbers)
    call(var_resources.gpu_variable_resources_from_gen, executor, points(X), dry_run=True)
    (task,) = executor.list_of_tasks
    assert f" -np {procs} " in task.runline and task.env.get("CUDA_VISIBLE_DEVICES") == mask


def test_wrong_gpus_are_noticed(make_executor, points, monkeypatch):
    executor, submit = make_executor([1, 2]), None

    def wrong(**arguments):
        task = submit(**arguments)
        task.env["CUDA_VISIBLE_DEVICES"] = "0,1"
        return task

    submit = executor.submit
    monkeypatch.setattr(executor, "submit", wrong)
    with pytest.raises(AssertionError, match="0,1"):
        call(var_resources.gpu_variable_resources, executor, points(X), dry_run=True)


@pytest.mark.parametrize("from_gen", [False, True])
def test_each_runner_of_the_script_is_used_then_the_usual_one(make_executor, points, env_script, from_gen, capsys):
    executor = make_executor([1, 2])
    if from_gen:
        executor.set_gen_procs_gpus({"num_procs": 2, "num_gpus": 2})
        executor.resources.worker_resources.set_gen_procs_gpus({"num_procs": 2, "num_gpus": 2})
    call(var_resources.gpu_variable_resources_subenv, executor, points(X), dry_run=True, env_script=env_script)
    lines = [task.runline for task in executor.list_of_tasks]
    assert [line.split()[0] for line in lines] == ["mpirun", "srun", "special_mpi", "mpirun"]
    assert ["-npernode 2" in line for line in lines] == [True, False, True, False]
    assert "--gpus-per-task 1" in lines[1] and "--ppn 2" in lines[3]
    said = capsys.readouterr().out
    assert said.count("MPI runner") == 4 and said.count("GPU setting") == 3  # special_mpi sets none that is known


@pytest.mark.slow
def test_the_script_brings_the_runners(make_executor, points, env_script, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    f, status = call(
        var_resources.gpu_variable_resources_subenv, make_executor([1, 2]), points(X), env_script=env_script
    )
    npt.assert_allclose(f, six_hump_camel_func(X))
    assert status == WORKER_DONE
    assert (tmp_path / "runners").read_text().split() == ["mpirun", "srun", "special_mpi", "mpirun"]


@pytest.mark.parametrize("app", ["helloworld", "six_hump_camel"])
def test_there_is_a_process_for_each_resource_set(make_executor, points, app):
    executor = make_executor([0, 1, 3], gpus=0)
    options = {} if app == "helloworld" else {"app": app}
    H = points(X, [1, 1])
    f, _ = call(var_resources.multi_points_with_variable_resources, executor, H, dry_run=True, **options)
    npt.assert_array_equal(f, six_hump_camel_func(H["x"].T))
    assert all(" -np 3 " in task.runline for task in executor.list_of_tasks)
    arguments = [task.runline.split(".py")[-1] for task in executor.list_of_tasks]
    assert arguments == (["", ""] if app == "helloworld" else [" -0.99 -0.19", " 1.0 1.0"])


def test_many_points_need_no_mpi_and_no_resources(make_executor, points):
    H = points(X, [1, 1])
    for app in ("helloworld", "six_hump_camel"):
        f, status = call(var_resources.multi_points_with_variable_resources, make_executor(), H, app=app)
        npt.assert_allclose(f, six_hump_camel_func(H["x"].T))
        assert status == WORKER_DONE


def test_a_kill_among_points_is_no_failure(make_executor, points, monkeypatch):
    executor = make_executor()
    monkeypatch.setattr(executor, "manager_kill_received", lambda: True)
    _, status = call(var_resources.multi_points_with_variable_resources, executor, points(X))
    assert status in (UNSET_TAG, WORKER_DONE)  # the kill, or the end of so small an application, is first
    assert status == var_resources._status([task.state for task in executor.list_of_tasks])
    assert var_resources._status(["FINISHED", "USER_KILLED"]) == UNSET_TAG
    assert var_resources._status(["FAILED_TO_START", "USER_KILLED"]) == TASK_FAILED


def test_slots_are_put_into_the_environment(make_executor, points, mask):
    executor = make_executor([1, 3, 5, 7], nodes=["node-1", "node-2"], sets=8)
    call(var_resources.CUDA_variable_resources, executor, points(X), dry_run=True)
    assert mask() == "1,3"
    assert "-hosts node-1,node-2 -np 4 --ppn 2 " in executor.list_of_tasks[0].runline


def test_slots_must_match_between_nodes(make_executor, points, mask):
    executor = make_executor([1, 4], nodes=["node-1", "node-2"], sets=8)
    with pytest.raises(WorkerResourcesException, match="slots of worker 1"):
        call(var_resources.CUDA_variable_resources, executor, points(X), dry_run=True)
    assert mask() == "unset"


def test_slots_need_resource_management(make_executor, points):
    with pytest.raises(WorkerResourcesException, match="disable_resource_manager"):
        call(var_resources.CUDA_variable_resources, make_executor(), points(X))


def test_the_form_for_generators_names_its_fields():
    function = var_resources.gpu_variable_resources_from_gen
    assert function.inputs == ["x"] and function.outputs == [("f", float)]
