"""The functions that walk through the rows: fast_alloc, only_one_gen_alloc, give_pregenerated_work."""

import numpy as np
import pytest

from libensemble.alloc_funcs import fast_alloc
from libensemble.alloc_funcs.give_pregenerated_work import give_pregenerated_sim_work
from libensemble.alloc_funcs.only_one_gen_alloc import ensure_one_active_gen
from libensemble.message_numbers import EVAL_GEN_TAG, EVAL_SIM_TAG
from tests.fakes.alloc_rig import AllocRig, rows_by_worker, start_rows

SIM, GEN = EVAL_SIM_TAG, EVAL_GEN_TAG
PRIORITY = (("x", float), ("priority", float))


@pytest.fixture(params=[False, True], ids=["roster", "plain"])
def make_rig(request):
    def make(alloc_f, **kwargs):
        kwargs.setdefault("persis_info", {"next_to_give": 0, "total_gen_calls": 0})
        return AllocRig(alloc_f, plain=request.param, **kwargs)

    return make


# ---- fast_alloc


def test_fast_rows_go_out_in_their_order_whatever_their_priority(make_rig):
    rig = make_rig(fast_alloc.give_sim_work_first, user={"num_active_gens": 1}, gen_out=PRIORITY)
    assert rows_by_worker(rig.step()) == {1: (GEN, [])}
    rig.points(1, 4, priority=[0.0, 1.0, 2.0, 3.0])
    work = rig.step()
    assert rows_by_worker(work) == {1: (SIM, [0]), 2: (SIM, [1]), 3: (SIM, [2]), 4: (SIM, [3])}
    assert all(order["persis_info"] == [] for order in work.values())
    assert rig.persis_info["next_to_give"] == 4 and rig.persis_info["total_gen_calls"] == 1


def test_fast_generators_are_called_as_soon_as_all_rows_are_given(make_rig):
    rig = make_rig(fast_alloc.give_sim_work_first, user={"num_active_gens": 2})
    assert list(rig.step()) == [1, 2]
    rig.points(1, 1)
    assert rows_by_worker(rig.step()) == {1: (SIM, [0]), 3: (GEN, [])}
    assert rig.persis_info["total_gen_calls"] == 3


def test_fast_cancelled_and_evaluated_rows_are_passed_over(make_rig):
    H0 = start_rows(6, started=[0, 2], cancel_requested=[0, 0, 0, 1, 0, 1])
    rig = make_rig(fast_alloc.give_sim_work_first, H0=H0, user={"num_active_gens": 1}, workers=2)
    assert rows_by_worker(rig.step()) == {1: (SIM, [1]), 2: (SIM, [4])}
    rig.result(1)
    assert rows_by_worker(rig.step()) == {1: (GEN, [])}, "the last row is cancelled"


def test_fast_generator_workers(make_rig):
    rig = make_rig(fast_alloc.give_sim_work_first, user={}, gen_workers=[1])
    rig.step()
    rig.points(1, 9)
    assert list(rig.step()) == [2, 3, 4]


@pytest.mark.parametrize("persis_info", [{}, {"next_to_give": 50, "total_gen_calls": 7}])
def test_fast_begins_at_the_first_row_whatever_another_run_left(make_rig, persis_info):
    rig = make_rig(fast_alloc.give_sim_work_first, sim_max=20, user={"num_active_gens": 1}, persis_info=persis_info)
    rig.live(lambda wid, order: np.zeros(3))
    assert rig.sims() == list(range(20))


# ---- only_one_gen_alloc


def test_one_gen_is_called_only_when_all_is_evaluated(make_rig):
    rig = make_rig(ensure_one_active_gen)
    assert rows_by_worker(rig.step()) == {1: (GEN, [])}
    assert rig.step() == {}
    rig.points(1, 2)
    work = rig.step()
    assert rows_by_worker(work) == {1: (SIM, [0]), 2: (SIM, [1])}
    assert all(order["persis_info"] == [] for order in work.values())
    rig.result(1)
    assert rig.step() == {}
    rig.result(2)
    assert rows_by_worker(rig.step()) == {1: (GEN, [])}
    assert rig.persis_info["total_gen_calls"] == 2


def test_one_gen_does_not_wait_for_cancelled_rows(make_rig):
    rig = make_rig(ensure_one_active_gen)
    rig.step()
    rig.points(1, 3, cancel_requested=[False, True, True])
    assert rows_by_worker(rig.step()) == {1: (SIM, [0])}
    rig.result(1)
    assert rows_by_worker(rig.step()) == {1: (GEN, [])}


def test_one_gen_goes_on_from_a_history(make_rig):
    rig = make_rig(ensure_one_active_gen, H0=start_rows(3, started=[0, 1]), gen_specs={"in": ["x"]})
    assert rows_by_worker(rig.step()) == {1: (SIM, [2])}
    rig.result(1)
    assert rows_by_worker(rig.step()) == {1: (GEN, [0, 1, 2])}


def test_one_gen_runs_on_a_generator_worker(make_rig):
    rig = make_rig(ensure_one_active_gen, gen_workers=[3])
    assert rows_by_worker(rig.step()) == {3: (GEN, [])}


# ---- give_pregenerated_work


def test_pregenerated_rows_are_given_and_the_run_stops(make_rig):
    rig = make_rig(give_pregenerated_sim_work, H0=start_rows(5), workers=3, persis_info={})
    work = rig.step()
    assert rows_by_worker(work) == {1: (SIM, [0]), 2: (SIM, [1]), 3: (SIM, [2])}
    assert all(order["persis_info"] == [] for order in work.values())
    rig.all_results()
    assert rows_by_worker(rig.step()) == {1: (SIM, [3]), 2: (SIM, [4])}
    assert not rig.is_stopped
    assert rig.step() == {} and rig.is_stopped


def test_pregenerated_rows_that_have_run_are_passed_over(make_rig):
    rig = make_rig(give_pregenerated_sim_work, H0=start_rows(4, started=[0, 2]), persis_info={})
    assert rows_by_worker(rig.step()) == {1: (SIM, [1]), 2: (SIM, [3])}


def test_pregenerated_trailing_cancelled_rows_give_no_row_beyond_the_end(make_rig):
    rig = make_rig(give_pregenerated_sim_work, H0=start_rows(4, cancel_requested=[0, 0, 1, 1]), persis_info={})
    assert rows_by_worker(rig.step()) == {1: (SIM, [0]), 2: (SIM, [1])}
    assert rig.step() == {} and rig.is_stopped


def test_pregenerated_work_needs_no_generator(make_rig):
    rig = make_rig(give_pregenerated_sim_work, H0=start_rows(1), persis_info={})
    rig.gen_specs = None
    assert rows_by_worker(rig.step()) == {1: (SIM, [0])}
