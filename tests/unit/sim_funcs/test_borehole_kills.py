"""The borehole application gives its value, unless it is killed or counts as failed."""

import numpy as np
import pytest

from libensemble.message_numbers import MAN_SIGNAL_KILL, TASK_FAILED, WORKER_DONE
from libensemble.sim_funcs import borehole_kills
from libensemble.sim_funcs.borehole_kills import borehole, subproc_borehole
from libensemble.sim_funcs.surmise_test_function import borehole_true, borehole_vec

X, THETA = (0.5, 0.25, 1.0), (0.9, 0.5, 0.25, 0.75)


@pytest.fixture
def executor(make_executor):
    executor = make_executor()
    executor.register_app(borehole_kills.__file__, app_name="borehole")
    executor.wait_time = 1
    return executor


def rows(*thetas, x=X):
    H = np.zeros(len(thetas), dtype=[("x", float, (3,)), ("thetas", float, (4,))])
    H["x"], H["thetas"] = x, thetas
    return H


def call(H, sim_ids, out=(("f", float), ("sim_killed", bool)), **user):
    specs = {"out": list(out), "user": {"init_sample_size": 100, "num_obs": 100, **user}}
    return borehole(H, {}, specs, {"H_rows": np.array(sim_ids)})


def value(theta, x=X):
    return borehole_vec(np.array([x]), np.array([theta]))[0]


def test_the_application_prints_the_formula_of_what_it_reads(executor):
    f, status = subproc_borehole(rows(THETA), 0)
    assert status == WORKER_DONE
    np.testing.assert_allclose(f, value(THETA), rtol=1e-14)
    np.testing.assert_array_equal(np.fromfile("input"), [*THETA, *X])
    assert executor.list_of_tasks[0].runline.endswith("input 0")
    assert executor.list_of_tasks[0].stdout == "out.txt" and executor.list_of_tasks[0].stderr == "err.txt"


def test_every_row_is_evaluated(executor):
    other = (0.1, 0.4, 0.9, 0.2)
    H_o, _, status = call(rows(THETA, other), [3, 4])
    np.testing.assert_allclose(H_o["f"], [value(THETA), value(other)])
    assert status == WORKER_DONE and not H_o["sim_killed"].any()


@pytest.mark.parametrize(("sim_id", "fails"), [(5, False), (6, True)])
def test_beyond_the_observations_a_large_value_counts_as_failed(executor, sim_id, fails):
    large = (1.0, 0.0, 0.3, 1.0)
    ratio = value(large) / borehole_true(np.array(X))[0]
    assert ratio > borehole_kills.FAILURE_RATIO
    H_o, _, status = call(rows(large), [sim_id], num_obs=5)
    assert status == (TASK_FAILED if fails else WORKER_DONE)
    assert np.isinf(H_o["f"][0]) == fails


def test_beyond_the_observations_a_small_value_counts(executor):
    small = (0.26, 0.9, 0.9, 0.1)
    H_o, _, status = call(rows(small), [6], num_obs=5)
    assert status == WORKER_DONE
    np.testing.assert_allclose(H_o["f"], value(small))


@pytest.mark.parametrize("has_field", [True, False])
def test_a_kill_of_the_manager_is_told(executor, monkeypatch, has_field):
    def signalled():
        executor.manager_signal = MAN_SIGNAL_KILL
        return True

    monkeypatch.setattr(executor, "manager_kill_received", signalled)
    out = [("f", float), ("sim_killed", bool)] if has_field else [("f", float)]
    H_o, _, status = call(rows(THETA), [7], out=out, init_sample_size=6)
    assert status == MAN_SIGNAL_KILL and np.isinf(H_o["f"][0])
    assert not has_field or H_o["sim_killed"][0]
    assert executor.list_of_tasks[0].state == "USER_KILLED"


def test_without_poll_manager_it_runs_to_its_end(executor, monkeypatch):
    monkeypatch.setattr(executor, "manager_kill_received", lambda: pytest.fail("the manager was asked"))
    H_o, _, status = call(rows(THETA), [7], poll_manager=False)
    assert status == WORKER_DONE and np.isfinite(H_o["f"][0])


@pytest.mark.parametrize("sim_id", [4, 5])
def test_only_rows_beyond_the_initial_sample_are_slow(monkeypatch, sim_id):
    delays = []
    monkeypatch.setattr(borehole_kills, "subproc_borehole", lambda H, delay, poll: (delays.append(delay), (1, 35))[1])
    np.random.seed(3)
    call(rows(THETA), [sim_id], init_sample_size=4)
    np.random.seed(3)
    assert delays == [2 + np.random.normal(0, 0.5) if sim_id > 4 else 0]


def test_an_application_that_fails_gives_infinity(executor, tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text("raise SystemExit(2)\n")
    executor.register_app(str(broken), app_name="borehole")
    assert subproc_borehole(rows(THETA), 0, True) == (np.inf, TASK_FAILED)
