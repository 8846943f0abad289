"""Where resource sets are short, nothing is lost: what does not fit now waits, and the run goes on."""

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
from libensemble.errors import InsufficientResourcesError
from libensemble.message_numbers import EVAL_GEN_TAG, EVAL_SIM_TAG
from libensemble.resources.resources import Resources
from libensemble.tests.regression_tests.support import uniform_or_localopt_gen_out
from libensemble.utils.current import current
from tests.fakes.alloc_rig import AllocRig, rows_by_worker, start_rows

SIM, GEN = EVAL_SIM_TAG, EVAL_GEN_TAG


@pytest.fixture
def four_sets(tmp_path, monkeypatch):
    """A node of four resource sets, for four workers."""
    (tmp_path / "node_list").write_text("n1\n")
    resources = Resources({"resource_info": {"cores_on_node": (8, 8), "gpus_on_node": 0}}, {}, str(tmp_path))
    resources.set_resource_manager(4)
    monkeypatch.setattr(current, "resources", resources)
    yield resources.resource_manager
    current.resources = None


@pytest.fixture(params=[False, True], ids=["roster", "plain"])
def make_rig(request, four_sets):
    def make(alloc_f, out=(), **kwargs):
        kwargs.setdefault("gen_out", [("x", float), ("resource_sets", int), *out])
        return AllocRig(alloc_f, plain=request.param, resource_manager=four_sets, **kwargs)

    return make


EACH = [
    (give_sim_work_first, [], {"user": {"num_active_gens": 1}}),
    (fast_alloc.give_sim_work_first, [], {"user": {"num_active_gens": 1}}),
    (
        fast_alloc_and_pausing.give_sim_work_first,
        [("pt_id", int), ("paused", bool), ("f_i", float)],
        {"user": {"num_active_gens": 1}},
    ),
    (ensure_one_active_gen, [], {}),
    (only_persistent_gens, [], {}),
    (persistent_aposmm_alloc, [], {"gen_specs": {"user": {"initial_sample_size": 3}}}),
    (finite_diff_alloc, [("x_ind", int), ("f_ind", int)], {"gen_specs": {"user": {"n": 1, "p": 1, "nf": 3}}}),
]


@pytest.mark.parametrize("alloc_f, out, options", EACH)
def test_a_point_that_does_not_fit_waits_for_sets_to_be_freed(make_rig, alloc_f, out, options):
    rig = make_rig(alloc_f, out, **options)
    gen = next(iter(rig.step()))
    rig.points(gen, 3, resource_sets=[3, 2, 1], persistent=bool(rig.roster.persistent(gen)))
    first, *others = [wid for wid, order in rig.step().items() if order["tag"] == SIM]
    assert not others and rig.rows_of[first] == [0], "row 2 would fit, but it is not its turn"
    assert rig.log[-1][1]["libE_info"]["rset_team"] == [0, 1, 2]
    assert rig.step() == {}
    rig.result(first)
    rig.step()
    assert rig.sims() == [0, 1, 2]
    teams = [order["libE_info"]["rset_team"] for _, order in rig.log[-2:]]
    assert not set(teams[0]) & set(teams[1])


def test_no_generator_is_called_while_points_wait_for_resources(make_rig):
    rig = make_rig(give_sim_work_first, user={})
    rig.step()
    for wid in (1, 2, 3, 4):
        rig.points(wid, 1, resource_sets=3)
    assert rows_by_worker(rig.step()) == {1: (SIM, [0])}


@pytest.mark.parametrize("alloc_f", [give_sim_work_first, fast_alloc.give_sim_work_first, ensure_one_active_gen])
def test_generators_that_are_called_wait_too(make_rig, alloc_f):
    rig = make_rig(alloc_f, H0=start_rows(2, resource_sets=2), user={"num_active_gens": 1}, gen_out=[("x", float)])
    rig.persis_info["gen_resources"] = 3
    assert rows_by_worker(rig.step()) == {1: (SIM, [0]), 2: (SIM, [1])}
    rig.result(2)
    assert rig.step() == {}
    assert rig.persis_info.get("total_gen_calls", 0) == 0
    rig.result(1)
    assert rows_by_worker(rig.step()) == {1: (GEN, [])}


def test_pregenerated_rows_wait_too(make_rig):
    H0 = start_rows(3, resource_sets=[3, 2, 1])
    rig = make_rig(give_pregenerated_sim_work, H0=H0, gen_out=[("x", float)])
    assert rows_by_worker(rig.step()) == {1: (SIM, [0])}
    assert rig.step() == {} and not rig.is_stopped
    rig.result(1)
    assert rows_by_worker(rig.step()) == {1: (SIM, [1]), 2: (SIM, [2])}


def test_subbatches_wait_too(make_rig):
    user = {"subbatch_size": 1, "num_subbatches": 2}
    out = [("batch", int), ("subbatch", int), ("weight", float)]
    rig = make_rig(only_persistent_gens_for_inverse_bayes, out, gen_specs={"user": user}, sim_out=[("like", float)])
    rig.step()
    rig.points(1, 2, persistent=True, subbatch=[0, 1], resource_sets=3)
    assert rows_by_worker(rig.step()) == {2: (SIM, [0])}
    rig.result(2)
    assert rows_by_worker(rig.step()) == {2: (SIM, [1])}


def test_local_runs_wait_too(make_rig):
    out = [("x", float, 1), ("x_on_cube", float, 1), ("resource_sets", int), *uniform_or_localopt_gen_out]
    gen_specs = {"user": {"rk_const": 1.0}}
    rig = make_rig(start_persistent_local_opt_gens, gen_out=out, gen_specs=gen_specs)
    rig.step()
    far = {f"dist_to_better_{kind}": np.inf for kind in "ls"}
    place = np.array([[0.2], [0.7]])
    rig.points(1, place, x_on_cube=place, resource_sets=[3, 2], **far)
    assert rows_by_worker(rig.step()) == {1: (SIM, [0])}
    rig.result(1)
    rig.persis_info["gen_resources"] = 3
    assert rows_by_worker(rig.step()) == {1: (GEN, [0])}, "the run holds 3 sets, row 1 needs 2"
    rig.gen_ends(1)
    assert rows_by_worker(rig.step()) == {1: (SIM, [1])}


@pytest.mark.parametrize("alloc_f", [give_sim_work_first, only_persistent_gens])
def test_smaller_points_may_pass_by_if_so_asked(make_rig, alloc_f):
    rig = make_rig(alloc_f, [("priority", float)], user={"num_active_gens": 1, "backfill": 1})
    gen = next(iter(rig.step()))
    rig.points(gen, 4, persistent=bool(rig.roster.persistent(gen)), resource_sets=[3, 2, 1, 1], priority=[4, 3, 2, 1])
    rig.step()
    assert rig.sims() == [0, 2], "row 1 is passed over for row 2; then no set is left, and no row may be passed over"
    rig.result(next(wid for wid in rig.busy(SIM) if rig.rows_of[wid] == [0]))
    rig.step()
    assert rig.sims() == [0, 2, 1, 3], "row 1 is the first again"


def test_a_generator_waits_for_the_sets_that_it_needs(make_rig):
    rig = make_rig(only_persistent_gens, H0=start_rows(1, resource_sets=3), gen_out=[("x", float)])
    rig.persis_info["gen_resources"] = 2
    assert rows_by_worker(rig.step()) == {1: (SIM, [0])}
    assert rig.persis_info.get("num_gens_started", 0) == 0
    rig.result(1)
    work = rig.step()
    assert rows_by_worker(work) == {1: (GEN, [])} and work[1]["libE_info"]["rset_team"] == [0, 1]
    assert rig.persis_info["num_gens_started"] == 1


@pytest.mark.parametrize("alloc_f, out, options", EACH)
def test_what_can_never_be_given_is_an_error_at_once(make_rig, alloc_f, out, options):
    rig = make_rig(alloc_f, out, **options)
    gen = next(iter(rig.step()))
    rig.points(gen, 1, resource_sets=5, persistent=bool(rig.roster.persistent(gen)))
    with pytest.raises(InsufficientResourcesError, match="5"):
        rig.step()
