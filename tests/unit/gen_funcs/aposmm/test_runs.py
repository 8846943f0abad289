"""Local runs: the handshake with an optimizer that waits in a thread, its errors, and what its end means."""

import threading
from dataclasses import replace

import numpy as np
import pytest

from libensemble.errors import APOSMMException
from libensemble.gen_funcs.aposmm import optimizers, runs
from libensemble.gen_funcs.aposmm.local_history import LocalHistory
from libensemble.gen_funcs.aposmm.optimizers import Ending
from libensemble.gen_funcs.aposmm_localopt_support import ConvergedMsg, LocalOptInterfacer

pytest.importorskip("nlopt")
BOX = {"lb": np.array([-3.0, -2.0]), "ub": np.array([3.0, 2.0])}
BOBYQA = {"localopt_method": "LN_BOBYQA", "xtol_abs": 1e-8, "ftol_abs": 1e-12, **BOX}
TARGET = np.array([0.3, 0.6])


def bowl(cube):
    return float(np.sum((cube - TARGET) ** 2))


def a_row(cube, **columns):
    row = np.zeros(1, dtype=[("x_on_cube", float, 2), ("f", float), ("grad", float, 2), ("fvec", float, 2)])
    row["x_on_cube"], row["f"] = cube, bowl(np.ravel(cube))
    row["grad"] = 2 * (np.ravel(cube) - TARGET) / (BOX["ub"] - BOX["lb"])  # with respect to x
    for name, column in columns.items():
        row[name] = column
    return row[0]


def follow(run, x0, limit=500):
    """Give values until the run ends; return its end and how many it took."""
    point = np.array([x0])
    for count in range(limit):
        point = run.iterate(a_row(point))
        if isinstance(point, ConvergedMsg):
            return point, count
        assert point.shape == (1, 2)
    raise AssertionError("the run does not end")


def fake_method(monkeypatch, optimize, **changes):
    """Make `fake` a method whose optimizer is a function here."""
    monkeypatch.setattr(optimizers, "fake_optimizer", optimize, raising=False)
    method = optimizers.Method("libensemble.gen_funcs.aposmm.optimizers.fake_optimizer", None)
    monkeypatch.setitem(optimizers.METHODS, "fake", replace(method, **changes))
    return {"localopt_method": "fake", **BOX}


def threads_now():
    return threading.active_count()


@pytest.mark.parametrize(
    "options",
    [
        BOBYQA,
        {**BOBYQA, "localopt_method": "LN_SBPLX"},
        {**BOBYQA, "localopt_method": "LN_COBYLA"},
        {**BOBYQA, "localopt_method": "LN_NEWUOA"},
        {**BOBYQA, "localopt_method": "LN_NELDERMEAD"},
        {**BOBYQA, "localopt_method": "LD_MMA"},
        {"localopt_method": "scipy_Nelder-Mead", "opt_return_codes": [0], "scipy_kwargs": {"tol": 1e-8}, **BOX},
        {"localopt_method": "scipy_COBYLA", "opt_return_codes": [1], "scipy_kwargs": {"tol": 1e-8}, **BOX},
        {"localopt_method": "scipy_BFGS", "opt_return_codes": [0], **BOX},
    ],
    ids=lambda options: options["localopt_method"],
)
def test_every_method_finds_the_minimum_and_leaves_no_thread(options):
    if options["localopt_method"].startswith("scipy"):
        pytest.importorskip("scipy")
    before = threads_now()
    x0 = np.array([0.4, 0.5])
    run = LocalOptInterfacer(options, x0, bowl(x0), a_row(x0)["grad"])
    assert run.is_running
    ending, count = follow(run, x0)
    assert ending.opt_flag and ending.x == pytest.approx(TARGET, abs=1e-3) and ending.reason
    assert count > 2
    run.close()
    assert not run.is_running and threads_now() == before


def test_gradients_are_scaled_to_the_cube():
    # MMA takes but a few steps where gradients are right
    x0 = np.array([0.7, 0.2])
    run = LocalOptInterfacer({**BOBYQA, "localopt_method": "LD_MMA"}, x0, bowl(x0))
    assert follow(run, x0)[1] < 25


@pytest.mark.parametrize(
    "method", ["LN_BOBYQA", "LN_SBPLX", "LN_COBYLA", "LD_MMA", "scipy_Nelder-Mead", "scipy_COBYLA", "scipy_BFGS"]
)
def test_a_run_can_be_stopped_while_it_waits(method):
    if method.startswith("scipy"):
        pytest.importorskip("scipy")
    before = threads_now()
    x0 = np.array([0.4, 0.5])
    run = LocalOptInterfacer({**BOBYQA, "localopt_method": method, "opt_return_codes": [0]}, x0, bowl(x0))
    run.iterate(a_row(x0))
    run.destroy()
    run.destroy()
    assert not run.is_running and threads_now() == before


def test_an_unknown_method_is_refused():
    with pytest.raises(APOSMMException, match="'unheard_of' is unknown"):
        LocalOptInterfacer({"localopt_method": "unheard_of"}, TARGET, 0.0)


def test_the_value_of_another_point_is_refused():
    run = LocalOptInterfacer(BOBYQA, np.array([0.4, 0.5]), 0.0)
    with pytest.raises(APOSMMException, match="asked for the value at"):
        run.iterate(a_row([0.4, 0.5001]))
    run.destroy()


def test_on_a_torus_points_are_compared_modulo_one():
    run = LocalOptInterfacer({**BOBYQA, "periodic": True}, np.array([0.4, 0.5]), 0.0)
    assert run.iterate(a_row([0.4, 0.5])).shape == (1, 2)
    run.destroy()
    assert run._is_same([0.25, 1e-12], np.array([1.25, -1.0]), 1e-8)
    assert not run._is_same([0.25, 0.5], np.array([1.25, -1.0]), 1e-8)


def test_what_an_optimizer_raises_comes_with_its_traceback_and_ends_in_its_own_words():
    run = LocalOptInterfacer({"localopt_method": "LN_BOBYQA"}, TARGET, 0.0)  # no tolerance
    with pytest.raises(APOSMMException) as caught:
        follow(run, TARGET)
    assert "Traceback" in str(caught.value) and "run_nlopt" in str(caught.value)
    assert str(caught.value).endswith("NLopt roundoff-limited")
    assert not run.is_running


def test_a_run_must_begin_at_its_start(monkeypatch):
    options = fake_method(monkeypatch, lambda problem: problem.evaluate(problem.x0 + 1e-3))
    before = threads_now()
    with pytest.raises(APOSMMException, match="should first ask for its start"):
        LocalOptInterfacer(options, TARGET, 0.0)
    assert threads_now() == before


def test_the_answer_to_the_first_value_may_be_the_end(monkeypatch):
    def content(problem):
        problem.evaluate(problem.x0)
        return Ending(problem.x0, True, "good enough")

    options = fake_method(monkeypatch, content)
    history = LocalHistory(options)
    history.add(np.array([TARGET]), False)
    history.H["sim_ended"] = True
    with runs.Runs(options, history) as active:
        assert active.start(0) == ([], [0])
        assert active.active == {} and active.run_order == {0: [0]}
        assert active.endings == {0: {"converged": True, "reason": "good enough", "sim_id": 0}}
    assert history.H["local_min"][0] and history.H["num_active_runs"][0] == 0


# ---- several runs


def two_runs(options=BOBYQA, **more):
    history = LocalHistory({**options, **more})
    history.add(np.array([[0.4, 0.5], [0.8, 0.8], [0.1, 0.1]]), False)
    give_values(history)
    return history, runs.Runs({**options, **more}, history)


def give_values(history):
    rows = np.flatnonzero(~history.H["sim_ended"]).tolist()
    for row in rows:
        history.H["f"][row] = bowl(history.H["x_on_cube"][row])
        history.H["sim_ended"][row] = True
    return rows


def test_runs_are_advanced_by_the_points_they_wait_for():
    history, active = two_runs()
    with active:
        assert active.start(0) == ([3], [])
        assert active.start(1) == ([4], [])
        give_values(history)
        assert active.advance([4, 3, 2]) == ([5, 6], [])  # row 2 belongs to no run
        assert active.run_order == {0: [0, 3, 6], 1: [1, 4, 5]}
        assert history.H["num_active_runs"].tolist() == [1, 1, 0, 1, 1, 1, 1]
        assert history.H["started_run"].tolist() == [True, True, False] + [False] * 4
        assert active.advance([4, 3]) == ([], [])  # nobody waits for them any more
    assert active.active == {}


def test_when_a_run_has_converged_its_result_is_a_minimum_and_its_points_are_free():
    history, active = two_runs()
    with active:
        new, changed = active.start(0)
        while not changed:
            give_values(history)
            new, changed = active.advance(new)
    H = history.H
    assert H["local_min"].sum() == len(changed) == 1
    assert np.linalg.norm(H["x_on_cube"][changed[0]] - TARGET) < 1e-6
    assert np.all(H["num_active_runs"] == 0)
    assert active.endings[0]["converged"] and active.endings[0]["sim_id"] == changed[0]


def test_a_run_that_has_used_its_evaluations_leaves_no_minimum():
    history, active = two_runs(run_max_eval=7)
    with active:
        new, changed = active.start(0)
        while not changed:
            give_values(history)
            new, changed = active.advance(new)
    assert len(active.run_order[0]) == 7 and not np.any(history.H["local_min"])
    assert np.all(history.H["num_active_runs"] == 0)
    assert not active.endings[0]["converged"] and "maxeval" in active.endings[0]["reason"]


def test_runs_end_with_their_owner_even_when_it_fails():
    before = threads_now()
    history, active = two_runs()
    with pytest.raises(RuntimeError), active:
        active.start(0)
        active.start(1)
        assert threads_now() == before + 2
        raise RuntimeError
    assert threads_now() == before


def test_minima_are_printed_when_asked(capsys):
    history, active = two_runs(print=True)
    with active:
        new, changed = active.start(0)
        while not changed:
            give_values(history)
            new, changed = active.advance(new)
    assert "run 0 found an optimum at [0.3" in capsys.readouterr().out


# ---- what the end of a run means


def ended_run(cube, f):
    history = LocalHistory(BOX)
    history.add(np.asarray(cube, float), True)
    history.H["f"], history.H["sim_ended"] = f, True
    return history.H


def test_the_result_is_the_point_nearest_to_the_reported_optimum():
    H = ended_run([[0.1, 0.1], [0.5, 0.5], [0.9, 0.9]], [0, 1, 2])
    assert runs.update_history_optimal(np.array([0.52, 0.5]), True, H, [0, 1]) == 1
    assert H["local_min"].tolist() == [False, True, False]
    assert H["num_active_runs"].tolist() == [0, 0, 1]  # row 2 belongs to another run


def test_better_points_as_near_are_minima_too():
    H = ended_run([[0.5, 0.5], [0.5, 0.5 + 5e-9], [0.5, 0.5 + 5e-8]], [1, 0.5, 0.2])
    assert runs.update_history_optimal(np.array([0.5, 0.5]), True, H, [0, 1, 2]) == 0
    assert H["local_min"].tolist() == [True, True, False]


@pytest.mark.parametrize(
    "x_opt, flag, f", [([0.5, 0.5], False, 0), ([0.5, 0.5], True, np.nan), ([np.nan, 0.5], True, 0)]
)
def test_no_minimum_without_convergence_a_value_and_a_place(x_opt, flag, f):
    H = ended_run([[0.5, 0.5]], f)
    runs.update_history_optimal(np.array(x_opt), flag, H, [0])
    assert not H["local_min"][0] and H["num_active_runs"][0] == 0
