"""Points in components: what is left of a hopeless point is paused, and everything else is evaluated once."""

import numpy as np
import pytest

from libensemble.alloc_funcs.fast_alloc_and_pausing import give_sim_work_first
from libensemble.errors import AllocException
from libensemble.message_numbers import EVAL_GEN_TAG, EVAL_SIM_TAG
from tests.fakes.alloc_rig import AllocRig, rows_by_worker

SIM, GEN = EVAL_SIM_TAG, EVAL_GEN_TAG
OUT = [("x", float), ("pt_id", int), ("paused", bool), ("local_pt", bool)]


def first_state():
    """What calling scripts put into persis_info."""
    return {
        "need_to_give": set(),
        "H_len": 0,
        "complete": set(),
        "has_nan": set(),
        "already_paused": set(),
        "local_pt_ids": set(),
        "inds_of_pt_ids": {},
        "best_complete_val": np.inf,
        "last_worker": 0,
        "total_gen_calls": 0,
        0: {"of": 0},
        1: {"of": 1},
        2: {"of": 2},
    }


@pytest.fixture(params=[False, True], ids=["roster", "plain"])
def make_rig(request):
    def make(workers=2, gen_user=None, persis_info=None, **user):
        user.setdefault("num_active_gens", 1)
        return AllocRig(
            give_sim_work_first,
            user=user,
            workers=workers,
            gen_out=OUT,
            sim_out=[("f_i", float)],
            gen_specs={"user": {"combine_component_func": lambda f: np.sum(f**2), **(gen_user or {})}},
            persis_info=first_state() if persis_info is None else persis_info,
            plain=request.param,
        )

    return make


def evaluate(rig, values):
    """Let all workers deliver until nothing is left to give; f_i by row. The next call of the generator ends it."""
    while True:
        work = rig.step()
        for wid in rig.busy(SIM):
            rig.result(wid, f_i=[values[row] for row in rig.rows_of[wid]])
        if any(order["tag"] == GEN for order in work.values()):
            return


def test_the_generator_gets_the_state_of_the_worker_that_ran_it_last(make_rig):
    rig = make_rig(workers=2)
    work = rig.step()
    assert rows_by_worker(work) == {1: (GEN, [])} and work[1]["persis_info"] == {"of": 0}
    rig.points(1, 1, pt_id=[0])
    work = rig.step()
    assert rows_by_worker(work) == {1: (SIM, [0]), 2: (GEN, [])} and work[2]["persis_info"] == {"of": 1}
    assert rig.persis_info["last_worker"] == 2 and rig.persis_info["total_gen_calls"] == 2


def test_without_options_every_component_is_evaluated_in_order(make_rig):
    rig = make_rig(workers=2)
    rig.step()
    rig.points(1, 6, pt_id=[0, 0, 0, 1, 1, 1])
    evaluate(rig, [1.0, np.nan, 1.0, 9.0, 9.0, 9.0])
    assert rig.sims() == [0, 1, 2, 3, 4, 5] and not rig.H["paused"].any()


def test_the_rest_of_a_point_with_a_nan_is_paused(make_rig):
    rig = make_rig(workers=1, stop_on_NaNs=True)
    rig.step()
    rig.points(1, 6, pt_id=[0, 0, 0, 1, 1, 1])
    evaluate(rig, [np.nan, 1.0, 1.0, 1.0, 1.0, 1.0])
    assert rig.sims() == [0, 3, 4, 5]
    assert rig.H["paused"].tolist() == [False, True, True, False, False, False]
    assert rig.persis_info["has_nan"] == {0} and rig.persis_info["already_paused"] == {0}


def test_a_point_that_is_already_worse_than_the_best_is_paused(make_rig):
    rig = make_rig(workers=1, stop_partial_fvec_eval=True)
    rig.step()
    rig.points(1, 9, pt_id=[0, 0, 0, 1, 1, 1, 2, 2, 2])
    evaluate(rig, [1.0, 1.0, 1.0, 1.0, 2.0, 0.0, 0.0, 1.0, 1.0])
    assert rig.sims() == [0, 1, 2, 3, 4, 6, 7, 8], "1 + 4 is more than 3: row 5 can change nothing"
    assert rig.persis_info["best_complete_val"] == 2.0 and rig.persis_info["complete"] == {0, 2}


def test_a_new_best_value_pauses_points_that_had_seemed_good(make_rig):
    rig = make_rig(workers=2, stop_partial_fvec_eval=True, persis_info={})
    rig.step()
    rig.points(1, 5, pt_id=[1, 0, 1, 0, 1])
    rig.step()
    rig.result(1, f_i=[2.0])  # point 1: 4 so far, nothing to hold it against
    rig.result(2, f_i=[1.0])
    assert rows_by_worker(rig.step()) == {1: (SIM, [2]), 2: (SIM, [3])}
    rig.result(2, f_i=[1.0])  # point 0 is complete: 2
    assert rows_by_worker(rig.step()) == {2: (GEN, [])}
    assert rig.H["paused"].tolist() == [False, False, False, False, True]


def test_local_points_are_evaluated_whatever_their_value(make_rig):
    rig = make_rig(workers=1, stop_partial_fvec_eval=True)
    rig.step()
    rig.points(1, 4, pt_id=[0, 0, 1, 1], local_pt=[False, False, True, True])
    evaluate(rig, [1.0, 1.0, 9.0, 9.0])
    assert rig.sims() == [0, 1, 2, 3]
    assert rig.persis_info["local_pt_ids"] == {1}


def test_in_batch_mode_the_generator_waits_for_what_runs(make_rig):
    rig = make_rig(workers=2, batch_mode=True)
    rig.step()
    rig.points(1, 2, pt_id=[0, 0])
    assert rows_by_worker(rig.step()) == {1: (SIM, [0]), 2: (SIM, [1])}
    rig.result(1, f_i=[1.0])
    assert rig.step() == {}
    rig.result(2, f_i=[1.0])
    assert rows_by_worker(rig.step()) == {1: (GEN, [])}


def test_a_component_at_a_time_needs_batch_mode(make_rig):
    with pytest.raises(AllocException, match=r"single_component_at_a_time.*batch_mode"):
        make_rig(gen_user={"single_component_at_a_time": True}).step()


def test_components_that_come_one_by_one_make_a_point_complete_with_the_last(make_rig):
    rig = make_rig(
        workers=1,
        gen_user={"single_component_at_a_time": True, "components": 2},
        batch_mode=True,
        stop_partial_fvec_eval=True,
    )
    rig.step()
    for value, complete in [(1.0, set()), (1.0, {0})]:
        rig.points(1, 1, pt_id=[0])
        rig.step()
        rig.result(1, f_i=[value])
        rig.step()
        assert rig.persis_info["complete"] == complete
    rig.points(1, 1, pt_id=[1])
    rig.step()
    rig.result(1, f_i=[9.0])
    rig.step()
    rig.points(1, 1, pt_id=[1])
    assert rows_by_worker(rig.step()) == {1: (GEN, [])}
    assert rig.H["paused"].tolist() == [False, False, False, True], "new rows of a paused point are paused"


def test_cancelled_rows_are_not_given(make_rig):
    rig = make_rig(workers=1)
    rig.step()
    rig.points(1, 3, pt_id=[0, 0, 0], cancel_requested=[False, True, True])
    evaluate(rig, [1.0, 1.0, 1.0])
    assert rig.sims() == [0]


def test_the_function_that_combines_components_must_be_there(make_rig):
    rig = make_rig(workers=1, stop_partial_fvec_eval=True)
    del rig.gen_specs["user"]["combine_component_func"]
    with pytest.raises(AllocException, match="combine_component_func"):
        rig.step()


def test_a_state_left_by_another_run_is_not_used(make_rig):
    rig = make_rig(workers=1)
    rig.step()
    rig.points(1, 2, pt_id=[0, 0])
    evaluate(rig, [1.0, 1.0])
    again = make_rig(workers=1, persis_info=rig.persis_info)
    again.step()
    again.points(1, 2, pt_id=[0, 0])
    evaluate(again, [1.0, 1.0])
    assert again.sims() == [0, 1]


@pytest.mark.parametrize("stop_on_NaNs", [False, True])
@pytest.mark.parametrize("stop_partial_fvec_eval", [False, True])
def test_a_long_run_gives_each_row_at_most_once(make_rig, stop_on_NaNs, stop_partial_fvec_eval):
    stream = np.random.default_rng(1)
    rig = make_rig(workers=3, stop_on_NaNs=stop_on_NaNs, stop_partial_fvec_eval=stop_partial_fvec_eval)
    for batch in range(5):
        while not (asked := rig.busy(GEN)):
            for wid in rig.busy(SIM):
                values = stream.normal(size=1)
                rig.result(wid, f_i=np.where(stream.random(1) < 0.05, np.nan, values))
            rig.step()
        rig.points(asked[0], 20, pt_id=np.repeat([2 * batch, 2 * batch + 1], 10))
    given = rig.sims()
    assert len(given) == len(set(given)) and given == sorted(given)
    assert not rig.H["paused"][given].any()
    assert rig.H["paused"].any() == (stop_on_NaNs or stop_partial_fvec_eval)
