"""Persistent generators: results go back to who asked for them, and a generator that returns ends the run."""

import numpy as np
import pytest

from libensemble.alloc_funcs.start_only_persistent import only_persistent_gens
from libensemble.message_numbers import EVAL_GEN_TAG, EVAL_SIM_TAG
from tests.fakes.alloc_rig import AllocRig, rows, rows_by_worker, start_rows

SIM, GEN = EVAL_SIM_TAG, EVAL_GEN_TAG
PRIORITY = (("x", float), ("priority", float))


@pytest.fixture(params=[False, True], ids=["roster", "plain"])
def make_rig(request):
    def make(**kwargs):
        return AllocRig(only_persistent_gens, plain=request.param, **kwargs)

    return make


def begun(rig, *batches):
    """Start the generators and let each deliver its first points."""
    rig.step()
    for wid, points in batches:
        rig.points(wid, points, persistent=True)
    return rig


def test_one_persistent_generator_starts_and_is_counted(make_rig):
    rig = make_rig(persis_info={})
    work = rig.step()
    assert rows_by_worker(work) == {1: (GEN, [])}
    assert work[1]["libE_info"]["persistent"] is True and "active_recv" not in work[1]["libE_info"]
    assert work[1]["libE_info"]["batch_size"] == 3 and work[1]["libE_info"]["gen_count"] == 1
    assert rig.persis_info["num_gens_started"] == 1
    assert rig.step() == {}


def test_a_batch_goes_back_when_all_of_it_is_back(make_rig):
    rig = begun(make_rig(workers=3), (1, 3))
    assert rows_by_worker(rig.step()) == {2: (SIM, [0]), 3: (SIM, [1])}
    rig.result(3)
    assert rows_by_worker(rig.step()) == {3: (SIM, [2])}
    rig.result(2)
    assert rig.step() == {}
    rig.result(3)
    work = rig.step()
    assert rows_by_worker(work) == {1: (GEN, [0, 1, 2])}
    assert work[1]["H_fields"] == ["x", "f"] and "gen_count" not in work[1]["libE_info"]
    assert rig.H["gen_informed"].all()
    assert rig.step() == {}


def test_cancelled_points_do_not_hold_up_a_batch(make_rig):
    rig = make_rig()
    rig.step()
    rig.points(1, 3, persistent=True, cancel_requested=[False, True, True])
    assert rows_by_worker(rig.step()) == {2: (SIM, [0])}
    rig.result(2)
    assert rows_by_worker(rig.step()) == {1: (GEN, [0])}


def test_with_async_return_results_go_back_as_they_come(make_rig):
    rig = begun(make_rig(user={"async_return": True}), (1, 3))
    rig.step()
    rig.result(3)
    assert rows_by_worker(rig.step()) == {1: (GEN, [1])}
    rig.result(2)
    assert rig.step() == {}, "the generator has not asked again"
    rig.points(1, 2, persistent=True)
    assert rows_by_worker(rig.step()) == {1: (GEN, [0]), 2: (SIM, [3]), 3: (SIM, [4])}


def test_async_return_begins_when_the_initial_sample_is_complete(make_rig):
    rig = begun(make_rig(workers=6, user={"async_return": True, "init_sample_size": 3}), (1, 5))
    rig.step()
    rig.result(2)
    assert rig.step() == {}
    rig.result(3)
    assert rig.step() == {}
    rig.result(4)
    assert rows_by_worker(rig.step()) == {1: (GEN, [0, 1, 2])}


def test_each_generator_gets_its_own_results(make_rig):
    rig = make_rig(workers=5, user={"num_active_gens": 2})
    assert list(rig.step()) == [1, 2]
    assert rig.persis_info["num_gens_started"] == 2
    rig.points(2, 2, persistent=True)
    rig.points(1, 1, persistent=True)
    assert rows_by_worker(rig.step()) == {3: (SIM, [0]), 4: (SIM, [1]), 5: (SIM, [2])}
    rig.result(5)
    assert rows_by_worker(rig.step()) == {1: (GEN, [2])}
    rig.result(3)
    rig.result(4)
    assert rows_by_worker(rig.step()) == {2: (GEN, [0, 1])}


def test_a_generator_that_returns_ends_the_run(make_rig):
    rig = begun(make_rig(user={"num_active_gens": 2}), (1, 1))
    rig.gen_ends(2)
    assert rig.step() == {} and rig.is_stopped


def test_counts_left_by_another_run_do_not_stop_this_one():
    rig = AllocRig(only_persistent_gens, persis_info={"num_gens_started": 1})
    assert rows_by_worker(rig.step()) == {1: (GEN, [])}
    assert rig.persis_info["num_gens_started"] == 1
    rig.gen_ends(1)
    rig.step()
    assert rig.is_stopped


def test_outside_a_run_the_count_is_believed():
    rig = AllocRig(only_persistent_gens, persis_info={"num_gens_started": 1}, plain=True)
    rig.step()
    assert rig.is_stopped


def test_an_active_receiver_gets_results_while_it_is_active(make_rig):
    rig = make_rig(user={"active_recv_gen": True, "async_return": True})
    work = rig.step()
    assert work[1]["libE_info"]["active_recv"] is True
    rig.points(1, 2, persistent=True)
    assert rows_by_worker(rig.step()) == {2: (SIM, [0]), 3: (SIM, [1])}
    rig.result(2)
    work = rig.step()
    assert rows_by_worker(work) == {1: (GEN, [0])} and work[1]["libE_info"]["active_recv"] is True
    rig.result(3)
    assert rows_by_worker(rig.step()) == {1: (GEN, [1])}


def test_points_go_out_by_priority_and_together_if_so_asked(make_rig):
    rig = make_rig(gen_out=PRIORITY)
    rig.step()
    rig.points(1, 4, persistent=True, priority=[0.0, 2.0, 1.0, 2.0])
    assert rows_by_worker(rig.step()) == {2: (SIM, [1]), 3: (SIM, [3]), 4: (SIM, [2])}

    rig = make_rig(gen_out=PRIORITY, user={"give_all_with_same_priority": True})
    rig.step()
    rig.points(1, 4, persistent=True, priority=[0.0, 2.0, 1.0, 2.0])
    assert rows_by_worker(rig.step()) == {2: (SIM, [1, 3]), 3: (SIM, [2]), 4: (SIM, [0])}


def test_zero_resource_workers_generate_and_never_evaluate(make_rig):
    rig = make_rig(zero_resource_workers=[3])
    assert rows_by_worker(rig.step()) == {3: (GEN, [])}
    rig.points(3, 9, persistent=True)
    assert list(rig.step()) == [1, 2, 4]


def test_generator_workers_generate_and_never_evaluate(make_rig):
    rig = make_rig(gen_workers=[2, 4], user={"num_active_gens": 2})
    assert list(rig.step()) == [2, 4]
    rig.points(2, 9, persistent=True)
    assert list(rig.step()) == [1, 3]


def test_the_manager_s_generator_gets_its_results(make_rig):
    rig = make_rig(has_manager_gen=True, workers=2)
    assert rows_by_worker(rig.step()) == {0: (GEN, [])}
    rig.points(0, 2, persistent=True)
    assert rows_by_worker(rig.step()) == {1: (SIM, [0]), 2: (SIM, [1])}
    rig.all_results()
    assert rows_by_worker(rig.step()) == {0: (GEN, [0, 1])}


def test_waiting_rows_of_h0_are_evaluated_before_a_generator_starts(make_rig):
    H0 = start_rows(4, started=[0, 1])
    rig = make_rig(H0=H0, gen_specs={"in": ["x", "f"]})
    work = rig.step()
    assert rows_by_worker(work) == {1: (SIM, [2]), 2: (SIM, [3]), 3: (GEN, [0, 1, 2, 3])}
    assert work[3]["H_fields"] == ["x", "f"]


def test_no_rows_are_sent_to_a_generator_that_wants_no_fields(make_rig):
    rig = make_rig(H0=start_rows(4, started=range(4)))
    assert rows_by_worker(rig.step()) == {1: (GEN, [])}


def test_persistent_simulators_keep_their_workers(make_rig):
    rig = begun(make_rig(workers=3, user={"alt_type": True}), (1, 4))
    work = rig.step()
    assert rows_by_worker(work) == {2: (SIM, [0]), 3: (SIM, [1])}
    assert all(order["libE_info"]["persistent"] for order in work.values())
    rig.result(3, persistent=True)
    assert rig.roster.persistent(3) == SIM
    assert rows_by_worker(rig.step()) == {3: (SIM, [2])}


def test_nothing_is_given_after_sim_max(make_rig):
    rig = begun(make_rig(sim_max=2), (1, 5))
    rig.step()
    assert rig.sims() == [0, 1]
    rig.all_results()
    assert rig.ask() == {}


def test_a_generator_starts_only_when_no_point_waits(make_rig):
    rig = begun(make_rig(workers=2, user={"num_active_gens": 2}), (1, 0), (2, 0))
    assert [rows(order) for _, order in rig.log] == [[], []]
    rig = make_rig(workers=3, user={"num_active_gens": 2}, H0=start_rows(5))
    assert rows_by_worker(rig.step()) == {1: (SIM, [0]), 2: (SIM, [1]), 3: (SIM, [2])}


@pytest.mark.parametrize("user", [{}, {"async_return": True}, {"async_return": True, "active_recv_gen": True}])
def test_a_whole_run_tells_every_result_once(make_rig, user):
    rig = make_rig(user=user, sim_max=60)
    told = []

    def gen(wid, order):
        told.extend(rows(order))
        return np.zeros(len(rows(order)) or 10)

    rig.live(gen)
    assert rig.sims() == list(range(60))
    assert len(told) == len(set(told)) > 40
