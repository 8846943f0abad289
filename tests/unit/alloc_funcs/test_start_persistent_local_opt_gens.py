"""Sampling and one persistent generator per local run."""

import pickle

import numpy as np
import pytest

from libensemble.alloc_funcs.start_persistent_local_opt_gens import start_persistent_local_opt_gens
from libensemble.message_numbers import EVAL_GEN_TAG, EVAL_SIM_TAG
from libensemble.tests.regression_tests.support import uniform_or_localopt_gen_out
from tests.fakes.alloc_rig import AllocRig, rows_by_worker

SIM, GEN = EVAL_SIM_TAG, EVAL_GEN_TAG
OUT = [("x", float, 1), ("x_on_cube", float, 1), *uniform_or_localopt_gen_out]


@pytest.fixture(params=[False, True], ids=["roster", "plain"])
def make_rig(request):
    def make(workers=3, rk_const=2.0, **kwargs):
        return AllocRig(
            start_persistent_local_opt_gens,
            user={"batch_mode": True, "num_active_gens": 1},
            workers=workers,
            gen_out=OUT,
            gen_specs={"user": {"rk_const": rk_const}, "persis_in": ["x", "f", "sim_id"]},
            plain=request.param,
            **kwargs,
        )

    return make


def sample(rig, wid, x):
    """The generator, called, returns sample points."""
    far = {f"dist_to_better_{kind}": np.inf for kind in "ls"}
    place = np.reshape(x, (-1, 1))
    rig.points(wid, place, x_on_cube=place, ind_of_better_l=-1, ind_of_better_s=-1, **far)


def request(rig, wid, x):
    """A local run wants a point evaluated."""
    far = {f"dist_to_better_{kind}": np.inf for kind in "ls"}
    rig.points(wid, [[x]], persistent=True, x_on_cube=x, local_pt=True, num_active_runs=1, **far)


def with_a_run(rig):
    """Sample a point per worker, of which there are 3; a run starts from the best, row 0, on worker 1."""
    assert rows_by_worker(rig.step()) == {1: (GEN, [])}
    assert "persistent" not in rig.log[-1][1]["libE_info"]
    sample(rig, 1, [0.3, 0.6, 0.9])
    assert rows_by_worker(rig.step()) == {1: (SIM, [0]), 2: (SIM, [1]), 3: (SIM, [2])}
    for wid in (1, 2, 3):
        rig.result(wid, f=wid)
    work = rig.step()
    assert rows_by_worker(work) == {1: (GEN, [0])}
    assert work[1]["libE_info"]["persistent"] and work[1]["H_fields"] == ["x", "f", "sim_id"]
    return rig


def test_a_run_starts_from_the_best_sample_point(make_rig):
    rig = with_a_run(make_rig())
    assert rig.H["started_run"].tolist() == [True, False, False]
    assert rig.H["num_active_runs"].tolist() == [1, 0, 0]
    assert rig.persis_info[1]["run_order"] == [0]


def test_a_run_gets_its_point_back_and_nobody_else_s(make_rig):
    rig = with_a_run(make_rig())
    request(rig, 1, 0.25)
    assert rows_by_worker(rig.step()) == {2: (SIM, [3]), 3: (GEN, [])}
    assert rig.persis_info[1]["run_order"] == [0, 3]
    sample(rig, 3, [0.95])
    assert rows_by_worker(rig.step()) == {3: (SIM, [4])}
    rig.result(3, f=5.0)
    assert 1 not in rig.step()
    rig.result(2, f=-1.0)
    assert rows_by_worker(rig.step())[1] == (GEN, [3])


def test_points_of_runs_are_evaluated_before_sample_points(make_rig):
    rig = with_a_run(make_rig())
    request(rig, 1, 0.25)
    assert rows_by_worker(rig.step()) == {2: (SIM, [3]), 3: (GEN, [])}
    sample(rig, 3, [0.7, 0.8, 0.95])
    assert rows_by_worker(rig.step()) == {3: (SIM, [4])}
    rig.result(2, f=-1.0)
    assert rows_by_worker(rig.step()) == {1: (GEN, [3]), 2: (SIM, [5])}
    request(rig, 1, 0.26)
    rig.result(3, f=2.0)
    assert rows_by_worker(rig.step()) == {3: (SIM, [7])}, "row 6, a sample point, has waited longer"


def test_a_converged_run_marks_its_minimum_and_is_forgotten(make_rig):
    rig = with_a_run(make_rig())
    rig.persis_info[1]["rand_stream"] = "stream"
    request(rig, 1, 0.25)
    rig.step()
    assert rig.H["num_active_runs"].tolist() == [1, 0, 0, 1]
    rig.result(2, f=-1.0)
    rig.step()
    rig.gen_ends(1, {"done": True, "x_opt": np.array([0.25])})
    rig.step()
    assert rig.H["local_min"].tolist()[:4] == [False, False, False, True]
    assert rig.H["num_active_runs"].tolist()[:4] == [0, 0, 0, 0]
    assert rig.persis_info[1] == {"rand_stream": "stream"}


def test_a_run_that_failed_ends_once_and_another_may_start_where_it_got_to(make_rig):
    rig = with_a_run(make_rig())
    request(rig, 1, 0.25)
    rig.step()
    rig.result(2, f=-1.0)
    rig.step()
    rig.gen_ends(1, {"done": True})
    for _ in range(3):
        rig.step()
        assert rig.H["num_active_runs"].tolist()[:4] == [0, 0, 0, 1]
    assert rig.persis_info[1]["run_order"] == [3] and rig.H["started_run"].tolist()[:4] == [True, False, False, True]
    assert not rig.H["local_min"].any()


def test_cancelled_points_are_not_given(make_rig):
    rig = make_rig()
    rig.step()
    sample(rig, 1, [0.2, 0.4, 0.6])
    rig.H["cancel_requested"][[0, 2]] = True
    assert rows_by_worker(rig.step()) == {1: (SIM, [1]), 2: (GEN, [])}, "what is cancelled does not wait"


def test_one_worker_is_always_left_to_evaluate(make_rig):
    rig = make_rig(workers=3, rk_const=1e-6)  # so small a radius that every point may start a run
    rig.step()
    sample(rig, 1, [0.2, 0.4, 0.6, 0.8])
    for _ in range(4):
        rig.step()
        rig.all_results()
    assert rig.roster.count_persistent_gens() == 2
    assert sorted(rig.sims()) == [0, 1, 2, 3]
    assert np.count_nonzero(rig.H["started_run"]) == 2


def test_other_entries_of_persis_info_may_be_anything(make_rig):
    rig = make_rig(persis_info={1: {}, 2: {}, 3: {}, "total_gen_calls": 3, "note": "text"})
    with_a_run(rig)
    pickle.dumps(rig.persis_info)


def test_a_history_is_gone_on_from(make_rig):
    H0 = np.zeros(3, dtype=[*OUT, ("f", float), ("sim_started", bool), ("sim_ended", bool), ("sim_id", int)])
    H0["x"] = H0["x_on_cube"] = [[0.3], [0.6], [0.9]]
    H0["f"], H0["sim_id"] = [0.0, 1.0, 0.0], [0, 1, 2]
    H0["sim_started"] = H0["sim_ended"] = [True, True, False]
    H0["dist_to_better_l"] = H0["dist_to_better_s"] = np.inf
    H0["started_run"][0], H0["num_active_runs"][0] = True, 1  # of a run that ended with its ensemble
    rig = make_rig(H0=H0)
    work = rig.step()
    if not rig.plain:
        assert rows_by_worker(work) == {1: (GEN, [0]), 2: (SIM, [2])}
    else:
        assert rows_by_worker(work) == {1: (SIM, [2]), 2: (GEN, [])}, "outside a run, H is believed"


def test_a_whole_run_finds_the_minimum(make_rig):
    rig = make_rig(workers=3, rk_const=0.5, sim_max=60)
    runs, stream = {}, np.random.default_rng(3)
    for _ in range(300):
        rig.step()
        if rig.exit_tests.sim_max_given:
            break
        for wid in rig.busy(SIM):
            rig.result(wid, f=(rig.H["x"][rig.rows_of[wid]][:, 0] - 0.5) ** 2)
        for wid in rig.busy(GEN):
            if not rig.roster.persistent(wid):
                sample(rig, wid, stream.random(2))
                continue
            steps = runs.setdefault(wid, [0.45, 0.49, 0.5])
            if steps:
                request(rig, wid, steps.pop(0))
            else:
                del runs[wid]
                rig.gen_ends(wid, {"done": True, "x_opt": np.array([0.5])})
    given = rig.sims()
    assert len(given) == len(set(given)) == 60
    minima = rig.H["x"][rig.H["local_min"]]
    assert len(minima) >= 1 and np.all(minima == 0.5)
    assert (rig.H["num_active_runs"] >= 0).all()
