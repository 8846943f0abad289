"""The simulator that goes through the ways an application can end reports each of them."""

import numpy as np
import pytest

from libensemble.message_numbers import (
    MAN_SIGNAL_FINISH,
    TASK_FAILED,
    WORKER_DONE,
    WORKER_KILL_ON_ERR,
    WORKER_KILL_ON_TIMEOUT,
)
from libensemble.sim_funcs import executor_hworld as module
from libensemble.sim_funcs import helloworld, six_hump_camel
from libensemble.sim_funcs.executor_hworld import custom_polling_loop, executor_hworld

OUT = [("f", float), ("cstat", int)]


@pytest.fixture
def executor(make_executor):
    executor = make_executor()
    executor.register_app(helloworld.__file__, app_name="hello", calc_type="sim")
    executor.wait_time = 1
    return executor


def call(executor, H, out=OUT, **user):
    return executor_hworld(H, {}, {"out": out, "user": {"cores": 1, **user}}, {"executor": executor})


def in_seconds(scenarios, factor):
    """The same scenarios with an application that sleeps less; one that is to be killed sleeps on."""
    return [
        (arguments if "8" in arguments else arguments.replace("1", str(factor)).replace("2", str(factor)), follow)
        for arguments, follow in scenarios
    ]


def test_each_call_of_a_worker_ends_in_another_way(executor, points, monkeypatch):
    monkeypatch.setattr(module, "_SCENARIOS", in_seconds(module._SCENARIOS, 0.01))
    monkeypatch.setattr(module, "_LATER", ("sleep 0.01", module._poll))
    H, results = points([1, 2]), []
    for _ in range(7):
        H_o, status = call(executor, H)
        assert H_o["f"].tolist() == [0] and H_o["cstat"].tolist() == [status]
        results.append(status)
    assert results == [
        WORKER_DONE,
        WORKER_KILL_ON_ERR,
        WORKER_DONE,
        WORKER_KILL_ON_TIMEOUT,
        TASK_FAILED,
        WORKER_DONE,
        WORKER_DONE,
    ]
    assert [task.app_args.split()[-1] for task in executor.list_of_tasks[:5]] == ["0.01", "Error", "0.01", "8", "Fail"]


def test_workers_count_apart_even_in_one_process(executor):
    first, second = executor.for_worker(None, 1), executor.for_worker(None, 2)
    app = first.default_app("sim")
    first.submit(calc_type="sim", dry_run=True)
    assert module._scenario(first, app) == module._SCENARIOS[1]
    assert module._scenario(second, app) == module._SCENARIOS[0]
    second.submit(app_name="helloworld", dry_run=True)  # another application is not counted
    assert module._scenario(second, app) == module._SCENARIOS[0]


def test_with_elapsed_timeout_the_manager_is_expected_to_end_it(executor, points, monkeypatch):
    followed = []
    monkeypatch.setattr(executor, "polling_loop", lambda task, **options: followed.append(options) or MAN_SIGNAL_FINISH)
    _, status = call(executor, points([1, 2]), elapsed_timeout=True)
    task = executor.list_of_tasks[0]
    assert task.app_args == "sleep 60" and followed == [{"timeout": 65, "delay": 0.3, "poll_manager": True}]
    assert status == MAN_SIGNAL_FINISH


def test_the_status_is_a_field_only_if_asked_for(executor, points, monkeypatch):
    monkeypatch.setattr(module, "_SCENARIOS", in_seconds(module._SCENARIOS, 0.01))
    H_o, status = call(executor, points([1, 2], [3, 4]), out=[("f", float)])
    assert H_o.dtype.names == ("f",) and len(H_o) == 2 and status == WORKER_DONE


def test_an_application_with_values_is_checked(executor, points):
    executor.register_app(six_hump_camel.__file__, app_name="six_hump_camel", calc_type="sim")
    H = points([-0.99, -0.19], [0.5, 1.5])
    H_o, status = call(executor, H)
    np.testing.assert_allclose(H_o["f"], six_hump_camel.six_hump_camel_func(H["x"].T))
    assert status == WORKER_DONE and H_o["cstat"].tolist() == [WORKER_DONE] * 2


def test_a_wrong_value_is_not_taken(executor, points, tmp_path):
    liar = tmp_path / "not_six_hump_camel.py"
    liar.write_text("print(42.0)\n")
    executor.register_app(str(liar), app_name="six_hump_camel", calc_type="sim")
    with pytest.raises(AssertionError, match=r"42\.0"):
        call(executor, points([0, 0]))


def test_ranks_are_asked_for_where_there_can_be_some(make_executor, points, monkeypatch):
    executor = make_executor(team=[0], runner="custom", runner_name="env")
    executor.register_app(helloworld.__file__, calc_type="sim")
    monkeypatch.setattr(module, "_SCENARIOS", in_seconds(module._SCENARIOS, 0.01))
    asked, submit = [], executor.submit

    def watched(calc_type=None, app_args=None, num_procs=None):
        asked.append(num_procs)
        return submit(calc_type, app_args=app_args, num_procs=num_procs)

    monkeypatch.setattr(executor, "submit", watched)
    assert call(executor, points([1, 2]), cores=3)[1] == WORKER_DONE
    assert asked == [3]


@pytest.mark.parametrize(
    ("arguments", "options", "status"),
    [
        ("sleep 0.01", {}, WORKER_DONE),
        ("sleep 0.01 Fail", {}, TASK_FAILED),
        ("sleep 30", {"timeout_sec": 0.02}, WORKER_KILL_ON_TIMEOUT),
        ("sleep 0.3 Error", {}, WORKER_KILL_ON_ERR),
        ("sleep 0 Error", {}, WORKER_KILL_ON_ERR),
    ],
)
def test_the_own_loop_ends_by_state_error_or_time(executor, arguments, options, status):
    task = executor.submit(calc_type="sim", app_args=arguments)
    returned, calc_status = custom_polling_loop(executor, task, delay=0.02, **options)
    assert returned is task and task.finished and calc_status == status


def test_the_own_loop_hears_the_manager(executor, monkeypatch):
    monkeypatch.setattr(executor, "manager_kill_received", lambda: True)
    task = executor.submit(calc_type="sim", app_args="sleep 30")
    assert custom_polling_loop(executor, task)[1] == MAN_SIGNAL_FINISH
    assert task.state == "USER_KILLED"


def test_hello_world_says_what_its_arguments_are():
    with pytest.raises(SystemExit, match="snooze"):
        helloworld.main(["snooze", "1"])


def test_the_function_names_its_fields():
    assert executor_hworld.inputs == ["x"] and executor_hworld.outputs == OUT
