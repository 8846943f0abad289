"""What holds for every allocation function that comes with the package."""

import inspect

import numpy as np
import pytest

from libensemble.alloc_funcs import fast_alloc, fast_alloc_and_pausing
from libensemble.alloc_funcs.give_pregenerated_work import give_pregenerated_sim_work
from libensemble.alloc_funcs.give_sim_work_first import give_sim_work_first
from libensemble.alloc_funcs.inverse_bayes_allocf import only_persistent_gens_for_inverse_bayes
from libensemble.alloc_funcs.only_one_gen_alloc import ensure_one_active_gen
from libensemble.alloc_funcs.persistent_aposmm_alloc import persistent_aposmm_alloc
from libensemble.alloc_funcs.start_fd_persistent import finite_diff_alloc
from libensemble.alloc_funcs.start_only_persistent import only_persistent_gens
from libensemble.alloc_funcs.start_persistent_local_opt_gens import start_persistent_local_opt_gens
from libensemble.tests.regression_tests.support import uniform_or_localopt_gen_out
from tests.fakes.alloc_rig import AllocRig

ALL = [
    give_sim_work_first,
    fast_alloc.give_sim_work_first,
    fast_alloc_and_pausing.give_sim_work_first,
    ensure_one_active_gen,
    give_pregenerated_sim_work,
    only_persistent_gens,
    persistent_aposmm_alloc,
    finite_diff_alloc,
    only_persistent_gens_for_inverse_bayes,
    start_persistent_local_opt_gens,
]
USER = {"n": 1, "p": 1, "nf": 2, "initial_sample_size": 2, "subbatch_size": 1, "num_subbatches": 2, "rk_const": 1.0}
OUT = [
    ("x", float),
    ("x_on_cube", float),
    *[(name, int) for name in ("pt_id", "x_ind", "f_ind", "batch", "subbatch")],
    ("weight", float),
    ("paused", bool),
    *uniform_or_localopt_gen_out,
]


def name_of(alloc_f):
    return alloc_f.__module__.rpartition(".")[2]


@pytest.fixture(params=ALL, ids=name_of)
def alloc_f(request):
    return request.param


def a_history():
    """Five rows: two that have ended, one that is cancelled, two that wait."""
    fields = [("f", float), ("f_i", float), ("sim_started", bool), ("sim_ended", bool), ("cancel_requested", bool)]
    H0 = np.zeros(5, dtype=[*OUT, *fields, ("sim_id", int), ("gen_worker", int)])
    H0["x"] = H0["x_on_cube"] = np.linspace(0.1, 0.9, 5)
    H0["sim_id"] = np.arange(5)
    H0["sim_started"][:2] = H0["sim_ended"][:2] = True
    H0["cancel_requested"][2] = True
    for kind in "ls":
        H0[f"dist_to_better_{kind}"] = np.inf
    return H0


def make_rig(alloc_f, **kwargs):
    sim_out = [("f", float), ("f_i", float), ("like", float)]
    gen_specs = {"user": dict(USER), "in": ["x", "f"]}
    return AllocRig(alloc_f, gen_out=OUT, sim_out=sim_out, gen_specs=gen_specs, **kwargs)


@pytest.mark.parametrize("plain", [False, True], ids=["roster", "plain"])
def test_a_history_is_gone_on_from_and_no_row_is_evaluated_twice(alloc_f, plain):
    rig = make_rig(alloc_f, H0=a_history(), workers=1, user={"num_active_gens": 1}, plain=plain)
    for _ in range(2):
        rig.step()
        rig.all_results()
    assert rig.sims() == [3, 4]


@pytest.mark.parametrize("info", [{"sim_max_given": True}, {"any_idle_workers": False}])
def test_nothing_is_given_and_nothing_stops_when_there_is_nothing_to_do(alloc_f, info):
    rig = make_rig(alloc_f, H0=a_history(), libE_info=info)
    assert rig.step() == {} and not rig.is_stopped


def test_persis_info_comes_back_as_the_same_object(alloc_f):
    persis_info = {1: {}, 2: {}, 3: {}, 4: {}, "mine": ["kept"]}
    rig = make_rig(alloc_f, H0=a_history(), persis_info=persis_info)
    rig.step()
    assert rig.persis_info is persis_info and persis_info["mine"] == ["kept"]


def test_options_that_a_function_does_not_know_are_left_alone(alloc_f):
    user = {"num_active_gens": 1, "some_other_option": object()}
    rig = make_rig(alloc_f, H0=a_history(), user=user)
    assert rig.step()


def test_arguments_have_their_documented_names(alloc_f):
    names = ["W", "H", "sim_specs", "gen_specs", "alloc_specs", "persis_info", "libE_info"]
    assert list(inspect.signature(alloc_f).parameters) == names
    assert "Returns" in alloc_f.__doc__
