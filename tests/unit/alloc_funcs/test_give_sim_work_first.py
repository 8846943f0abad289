"""The default allocation function: simulations first, then generators."""

import time

import numpy as np
import pytest

from libensemble.alloc_funcs.give_sim_work_first import give_sim_work_first
from libensemble.message_numbers import EVAL_GEN_TAG, EVAL_SIM_TAG
from tests.fakes.alloc_rig import AllocRig, rows, rows_by_worker, start_rows

SIM, GEN = EVAL_SIM_TAG, EVAL_GEN_TAG
PRIORITY = (("x", float), ("priority", float))


@pytest.fixture(params=[False, True], ids=["roster", "plain"])
def make_rig(request):
    def make(**kwargs):
        kwargs.setdefault("user", {"num_active_gens": 1})
        return AllocRig(give_sim_work_first, plain=request.param, **kwargs)

    return make


def test_the_first_worker_generates_when_there_is_nothing(make_rig):
    rig = make_rig()
    work = rig.step()
    assert rows_by_worker(work) == {1: (GEN, [])}
    assert work[1]["libE_info"]["gen_count"] == 1
    assert work[1]["persis_info"] is rig.persis_info[1]
    assert rig.step() == {}, "one generator is active, and no more may be"


def test_without_a_limit_every_idle_worker_generates(make_rig):
    rig = make_rig(user={})
    work = rig.step()
    assert list(work) == [1, 2, 3, 4]
    assert [order["libE_info"]["gen_count"] for order in work.values()] == [1, 2, 3, 4]


def test_points_go_out_oldest_first_and_generators_wait_for_them(make_rig):
    rig = make_rig(user={})
    rig.step()
    for wid in (1, 2, 3, 4):
        rig.points(wid, [1.0, 2.0])
    work = rig.step()
    assert rows_by_worker(work) == {1: (SIM, [0]), 2: (SIM, [1]), 3: (SIM, [2]), 4: (SIM, [3])}
    assert work[3]["H_fields"] == ["x"] and work[3]["persis_info"] is rig.persis_info[3]
    rig.result(3)
    assert rows_by_worker(rig.step()) == {3: (SIM, [4])}


def test_idle_workers_generate_once_the_points_have_run_out(make_rig):
    rig = make_rig(user={})
    rig.step()
    rig.points(1, 1)
    for wid in (2, 3, 4):
        rig.points(wid, 0)
    assert rows_by_worker(rig.step()) == {1: (SIM, [0]), 2: (GEN, []), 3: (GEN, []), 4: (GEN, [])}


def test_higher_priority_goes_first_and_equal_ones_by_age(make_rig):
    rig = make_rig(gen_out=PRIORITY, workers=3)
    rig.step()
    rig.points(1, 4, priority=[1.0, 5.0, 5.0, 2.0])
    assert rows_by_worker(rig.step()) == {1: (SIM, [1]), 2: (SIM, [2]), 3: (SIM, [3])}


def test_all_points_of_the_top_priority_go_in_one_order(make_rig):
    rig = make_rig(gen_out=PRIORITY, user={"num_active_gens": 1, "give_all_with_same_priority": True})
    rig.step()
    rig.points(1, 5, priority=[1.0, 5.0, 1.0, 5.0, 0.0])
    assert rows_by_worker(rig.step()) == {1: (SIM, [1, 3]), 2: (SIM, [0, 2]), 3: (SIM, [4]), 4: (GEN, [])}


def test_cancelled_points_are_never_given(make_rig):
    rig = make_rig(user={"num_active_gens": 1, "batch_mode": True})
    rig.step()
    rig.points(1, 3, cancel_requested=[True, False, True])
    assert rows_by_worker(rig.step()) == {1: (SIM, [1])}
    rig.result(1)
    assert rows_by_worker(rig.step()) == {1: (GEN, [])}, "cancelled points do not hold up the next batch"


def test_a_generator_gets_all_rows_if_it_asks_for_fields(make_rig):
    rig = make_rig(gen_specs={"in": ["x", "sim_id", "x"]})
    rig.step()
    rig.points(1, 2)
    work = rig.step()
    assert rows(work[3]) == [0, 1] and work[3]["H_fields"] == ["x", "sim_id"]


def test_in_batch_mode_a_generator_waits_for_every_result(make_rig):
    rig = make_rig(user={"num_active_gens": 1, "batch_mode": True})
    rig.step()
    rig.points(1, 2)
    assert rows_by_worker(rig.step()) == {1: (SIM, [0]), 2: (SIM, [1])}
    rig.result(2)
    assert rig.step() == {}
    rig.result(1)
    assert rows_by_worker(rig.step()) == {1: (GEN, [])}


def test_generator_workers_only_generate_and_others_never_do(make_rig):
    rig = make_rig(user={}, gen_workers=[2])
    assert rows_by_worker(rig.step()) == {2: (GEN, [])}
    rig.points(2, 5)
    assert rows_by_worker(rig.step()) == {1: (SIM, [0]), 3: (SIM, [1]), 4: (SIM, [2])}
    rig.all_results()
    assert rows_by_worker(rig.step()) == {1: (SIM, [3]), 3: (SIM, [4]), 2: (GEN, [])}


def test_the_generator_on_the_manager_is_the_only_one(make_rig):
    rig = make_rig(has_manager_gen=True, workers=2)
    work = rig.step()
    assert rows_by_worker(work) == {0: (GEN, [])}
    assert work[0]["libE_info"]["batch_size"] == 2
    rig.points(0, 3)
    assert rows_by_worker(rig.step()) == {1: (SIM, [0]), 2: (SIM, [1])}


def test_nothing_is_given_when_sim_max_is_given_or_all_are_busy(make_rig):
    rig = make_rig(sim_max=2)
    rig.step()
    rig.points(1, 5)
    rig.step()
    assert rig.sims() == [0, 1], "the manager stops sending at sim_max"
    rig.all_results()
    assert rig.ask() == {}


def test_a_run_goes_on_where_its_history_ended(make_rig):
    rig = make_rig(H0=start_rows(5, started=[0, 1, 3]))
    assert rows_by_worker(rig.step()) == {1: (SIM, [2]), 2: (SIM, [4]), 3: (GEN, [])}


def test_simulations_that_take_too_long_are_asked_to_stop_even_if_all_workers_are_busy(make_rig):
    rig = make_rig(workers=2, user={"num_active_gens": 1, "cancel_sims_time": 10})
    rig.step()
    rig.points(1, 3)
    rig.step()
    rig.H["sim_started_time"][0] = time.time() - 11
    assert rig.step() == {}
    assert rig.H["cancel_requested"].tolist() == [True, False, False]
    rig.result(1)
    assert rows_by_worker(rig.step()) == {1: (SIM, [2])}


def test_a_whole_run_evaluates_each_point_once(make_rig):
    rig = make_rig(sim_max=37, user={"num_active_gens": 2})
    rig.live(lambda wid, order: np.ones(5))
    assert rig.sims() == list(range(37))
    assert np.count_nonzero(rig.H["sim_ended"]) == 37
