"""The partners of one persistent generator: APOSMM's, the finite-difference and the inverse-Bayes generator's."""

import numpy as np
import pytest

from libensemble.alloc_funcs.inverse_bayes_allocf import only_persistent_gens_for_inverse_bayes
from libensemble.alloc_funcs.persistent_aposmm_alloc import persistent_aposmm_alloc
from libensemble.alloc_funcs.start_fd_persistent import finite_diff_alloc
from libensemble.errors import AllocException
from libensemble.message_numbers import EVAL_GEN_TAG, EVAL_SIM_TAG
from tests.fakes.alloc_rig import AllocRig, rows, rows_by_worker, start_rows

SIM, GEN = EVAL_SIM_TAG, EVAL_GEN_TAG
LOCAL = (("x", float), ("local_pt", bool))


@pytest.fixture(params=[False, True], ids=["roster", "plain"])
def is_plain(request):
    return request.param


@pytest.fixture(params=[persistent_aposmm_alloc, finite_diff_alloc, only_persistent_gens_for_inverse_bayes])
def any_rig(request, is_plain):
    def make(**kwargs):
        user = {"initial_sample_size": 2, "n": 1, "p": 1, "nf": 2, "subbatch_size": 1, "num_subbatches": 2}
        out = [("x", float), ("x_ind", int), ("f_ind", int), ("batch", int), ("subbatch", int), ("weight", float)]
        kwargs.setdefault("gen_specs", {"user": user})
        return AllocRig(request.param, gen_out=out, sim_out=[("f", float), ("like", float)], plain=is_plain, **kwargs)

    return make


# ---- what they share


def test_one_generator_starts_once(any_rig):
    rig = any_rig()
    work = rig.step()
    assert rows_by_worker(work) == {1: (GEN, [])} and work[1]["libE_info"]["persistent"] is True
    assert rig.persis_info["gen_started"]
    assert rig.step() == {}


def test_the_run_stops_when_the_generator_has_returned(any_rig):
    rig = any_rig()
    rig.step()
    rig.gen_ends(1)
    assert rig.step() == {} and rig.is_stopped


def test_a_generator_worker_gets_the_generator(any_rig):
    assert list(any_rig(gen_workers=[3]).step()) == [3]
    assert list(any_rig(zero_resource_workers=[4]).step()) == [4]
    assert list(any_rig(has_manager_gen=True).step()) == [0]


def test_what_another_run_left_does_not_stop_this_one(any_rig, is_plain):
    rig = any_rig()
    rig.step()
    again = any_rig(persis_info=rig.persis_info)
    again.step()
    assert again.is_stopped == is_plain, "outside a run, persis_info is believed"
    assert is_plain or again.gens() == [(1, [])]


def test_nothing_is_given_after_sim_max(any_rig):
    rig = any_rig(sim_max=1)
    rig.step()
    rig.points(1, 2, persistent=True)
    rig.step()
    rig.all_results()
    assert rig.ask() == {}


# ---- APOSMM


def aposmm(is_plain, sample=3, **kwargs):
    gen_specs = {"user": {"initial_sample_size": sample}, **kwargs.pop("gen_specs", {})}
    return AllocRig(persistent_aposmm_alloc, gen_out=LOCAL, gen_specs=gen_specs, plain=is_plain, **kwargs)


def test_aposmm_is_told_how_many_workers_there_are(is_plain):
    rig = aposmm(is_plain, persis_info={})
    work = rig.step()
    assert work[1]["persis_info"] == {"nworkers": 4} and rig.persis_info[1]["nworkers"] == 4
    rig = aposmm(is_plain, has_manager_gen=True, persis_info={0: {"rand_stream": None}})
    assert rig.step()[0]["persis_info"] == {"rand_stream": None, "nworkers": 5}


def test_aposmm_gets_nothing_before_its_sample_is_complete_and_then_all_at_once(is_plain):
    rig = aposmm(is_plain)
    rig.step()
    rig.points(1, 3, persistent=True)
    rig.step()
    rig.result(2)
    rig.result(3)
    assert rig.step() == {}
    rig.result(4)
    assert rows_by_worker(rig.step()) == {1: (GEN, [0, 1, 2])}
    rig.points(1, 2, persistent=True)
    rig.step()
    rig.result(3)
    assert rows_by_worker(rig.step()) == {1: (GEN, [4])}, "from here on, results go back as they come"


def test_aposmm_sample_is_complete_when_the_rest_of_it_was_cancelled(is_plain):
    rig = aposmm(is_plain)
    rig.step()
    rig.points(1, 3, persistent=True, cancel_requested=[False, True, True])
    rig.step()
    rig.result(2)
    assert rows_by_worker(rig.step()) == {1: (GEN, [0])}


def test_aposmm_counts_its_sample_besides_that_of_h0(is_plain):
    H0 = start_rows(4, started=range(4), local_pt=[0, 0, 0, 1], gen_informed=True)
    rig = aposmm(is_plain, sample=2, H0=H0, gen_specs={"in": ["x", "f"]})
    assert rows_by_worker(rig.step()) == {1: (GEN, [0, 1, 2, 3])}
    assert rig.persis_info["samples_in_H0"] == 3
    rig.points(1, 2, persistent=True)
    rig.step()
    rig.result(2)
    assert rig.step() == {}
    rig.result(3)
    assert rows_by_worker(rig.step()) == {1: (GEN, [4, 5])}


def test_aposmm_starts_when_the_rest_of_h0_is_evaluated(is_plain):
    H0 = start_rows(4, started=[0, 1], cancel_requested=[0, 0, 1, 0])
    rig = aposmm(is_plain, H0=H0, gen_specs={"in": ["x", "f"]})
    assert rows_by_worker(rig.step()) == {1: (SIM, [3])}
    rig.result(1)
    assert rows_by_worker(rig.step()) == {1: (GEN, [0, 1, 2, 3])}
    assert rig.H["gen_informed"].tolist() == [True, True, False, True]


def test_aposmm_cannot_be_left_in_the_dark_about_h0(is_plain):
    rig = aposmm(is_plain, H0=start_rows(4, started=range(4)))
    with pytest.raises(AllocException, match=r'4 rows of H0 .* gen_specs\["in"\] is empty'):
        rig.step()
    told = aposmm(is_plain, H0=start_rows(4, started=range(4), gen_informed=True))
    assert rows_by_worker(told.step()) == {1: (GEN, [])}


def test_aposmm_whole_run(is_plain):
    rig = aposmm(is_plain, sample=5, sim_max=40)
    told = []

    def gen(wid, order):
        told.extend(rows(order))
        return np.zeros(len(rows(order)) or 5)

    rig.live(gen)
    assert rig.sims() == list(range(40))
    assert len(told) == len(set(told)) and told[:5] == [0, 1, 2, 3, 4]


# ---- finite differences


def test_fd_groups_go_back_when_they_are_complete(is_plain):
    out = [("x", float), ("x_ind", int), ("f_ind", int)]
    user = {"n": 2, "p": 2, "nf": 2}
    rig = AllocRig(finite_diff_alloc, workers=5, gen_out=out, gen_specs={"user": user}, plain=is_plain)
    rig.step()
    rig.points(1, 6, persistent=True, x_ind=[0, 0, 1, 1, 1, 0], f_ind=[0, 1, 0, 0, 1, 0])
    assert rows_by_worker(rig.step()) == {2: (SIM, [0]), 3: (SIM, [1]), 4: (SIM, [2]), 5: (SIM, [3])}
    rig.result(2)
    rig.result(3)
    rig.result(4)
    assert rows_by_worker(rig.step()) == {2: (SIM, [4]), 3: (SIM, [5])}
    rig.result(5)
    assert rows_by_worker(rig.step()) == {1: (GEN, [2, 3])}
    rig.points(1, 0, persistent=True)
    rig.result(3)
    assert rows_by_worker(rig.step()) == {1: (GEN, [0, 5])}


# ---- inverse Bayes


def bayes(is_plain, **kwargs):
    out = [("x", float), ("batch", int), ("subbatch", int), ("weight", float)]
    user = {"subbatch_size": 2, "num_subbatches": 2}
    sim_out = [("like", float)]
    return AllocRig(
        only_persistent_gens_for_inverse_bayes,
        gen_out=out,
        sim_out=sim_out,
        gen_specs={"user": user, "persis_in": ["like"]},
        plain=is_plain,
        **kwargs,
    )


def bayes_batch(rig, number, weight):
    rig.points(1, 4, persistent=True, batch=number, subbatch=[0, 0, 1, 1], weight=weight)


def test_bayes_each_worker_gets_a_whole_subbatch(is_plain):
    rig = bayes(is_plain, workers=2)
    rig.step()
    bayes_batch(rig, 0, 0.0)
    assert rows_by_worker(rig.step()) == {2: (SIM, [0, 1])}
    rig.result(2, like=1.0)
    assert rows_by_worker(rig.step()) == {2: (SIM, [2, 3])}
    rig.result(2, like=1.0)
    work = rig.step()
    assert rows_by_worker(work) == {1: (GEN, [0, 1, 2, 3])} and work[1]["H_fields"] == ["like"]


def test_bayes_weights_move_to_the_batch_that_they_are_of(is_plain):
    rig = bayes(is_plain)
    rig.step()
    for number in range(3):
        bayes_batch(rig, number, [10.0 * number + i for i in range(4)])
        rig.step()
        rig.all_results()
        assert rows_by_worker(rig.step()) == {1: (GEN, [4 * number + i for i in range(4)])}
    assert rig.H["weight"].tolist() == [10.0, 11.0, 12.0, 13.0, 20.0, 21.0, 22.0, 23.0, 20.0, 21.0, 22.0, 23.0]
