"""AllocSupport: what an allocation function may ask, and the orders it makes."""

import numpy as np
import pytest

from libensemble.errors import AllocException, InsufficientFreeResources, InsufficientResourcesError
from libensemble.history import Agenda
from libensemble.manager.roster import Roster
from libensemble.message_numbers import EVAL_GEN_TAG, EVAL_SIM_TAG
from libensemble.resources.resources import Resources
from libensemble.tools import alloc_support
from libensemble.tools.alloc_support import AllocSupport, is_new_run
from libensemble.tools.plain_roster import PlainRoster
from libensemble.utils.current import current
from libensemble.utils.misc import _WorkerIndexer

SIM, GEN = EVAL_SIM_TAG, EVAL_GEN_TAG


@pytest.fixture(autouse=True)
def no_count():
    AllocSupport.gen_counter = 0
    yield
    current.resources = None


def make_roster(workers=4, sims=(), gens=(), persistent=(), waiting_gens=(), waiting_sims=(), receivers=(), **marks):
    """A roster whose workers are at work on simulations or generators, or wait or receive as persistent ones."""
    roster = Roster(workers, **marks)
    for wid in (*sims, *waiting_sims):
        roster.sent(wid, SIM)
    for wid in (*gens, *persistent, *waiting_gens, *receivers):
        roster.sent(wid, GEN)
        roster.gen_started(wid, 1.0)
    for wid in (*persistent, *waiting_gens, *receivers):
        roster.lives(wid, GEN, wid in receivers)
    for wid in waiting_sims:
        roster.lives(wid, SIM, False)
    for wid in (*waiting_gens, *waiting_sims):
        roster.idle(wid)
    return roster


@pytest.fixture(params=["roster", "array", "array without ids", "indexer"])
def make_W(request):
    """W in each form that it may have."""

    def make(*args, **kwargs):
        W = make_roster(*args, **kwargs)
        if request.param == "roster":
            return W
        array = W.array.copy()
        if request.param == "indexer":
            return _WorkerIndexer(array, kwargs.get("has_manager_gen", False))
        if request.param == "array without ids" and not kwargs.get("has_manager_gen"):
            array["worker_id"] = 0
        return array

    return make


def make_H(length=6, started=(), ended=(), cancelled=(), informed=(), **fields):
    kinds = {"priority": float, "use_gpus": bool}
    names = [(name, bool) for name in ("sim_started", "sim_ended", "cancel_requested", "gen_informed")]
    names += [("x", float), ("gen_worker", int), ("sim_worker", int)]
    H = np.zeros(length, dtype=names + [(name, kinds.get(name, int)) for name in fields])
    H["sim_started"][[*started, *ended]] = True
    H["sim_ended"][list(ended)] = True
    H["cancel_requested"][list(cancelled)] = True
    H["gen_informed"][list(informed)] = True
    for name, values in fields.items():
        H[name] = values
    return H


# ---- workers


def test_idle_workers_come_in_order(make_W):
    support = AllocSupport(make_W(5, sims=[2], gens=[4]))
    assert support.avail_worker_ids() == [1, 3, 5]
    assert all(type(wid) is int for wid in support.avail_worker_ids())


def test_workers_are_chosen_by_what_lives_on_them(make_W):
    support = AllocSupport(make_W(5, sims=[1], waiting_gens=[2], waiting_sims=[4]))
    assert support.avail_worker_ids() == [2, 3, 4, 5]
    assert support.avail_worker_ids(persistent=False) == support.avail_worker_ids(persistent=0) == [3, 5]
    assert support.avail_worker_ids(persistent=GEN) == [2]
    assert support.avail_worker_ids(persistent=SIM) == [4]


def test_active_receivers_are_found_only_when_asked_for(make_W):
    support = AllocSupport(make_W(4, receivers=[3], waiting_gens=[1]))
    assert support.avail_worker_ids(persistent=GEN) == [1]
    assert support.avail_worker_ids(persistent=GEN, active_recv=True) == [3]
    for persistent in (None, False, 0):
        with pytest.raises(AllocException, match="active_recv=True needs persistent"):
            support.avail_worker_ids(persistent=persistent, active_recv=True)


def test_marks_of_workers_count_only_where_some_worker_is_marked(make_W):
    support = AllocSupport(make_W(3))
    for wanted in (None, True, False):
        assert support.avail_worker_ids(zero_resource_workers=wanted, gen_workers=wanted) == [1, 2, 3]
    support = AllocSupport(make_W(4, zero_resource_workers=[2], gen_workers=[1, 2]))
    assert support.avail_worker_ids(zero_resource_workers=True) == [2]
    assert support.avail_worker_ids(zero_resource_workers=False) == [1, 3, 4]
    assert support.avail_worker_ids(gen_workers=True) == [1, 2]
    assert support.avail_worker_ids(gen_workers=False) == [3, 4]
    assert support.avail_worker_ids(gen_workers=True, zero_resource_workers=False) == [1]


def test_the_manager_s_own_worker_has_number_zero(make_W):
    support = AllocSupport(make_W(2, has_manager_gen=True))
    assert support.avail_worker_ids() == [0, 1, 2]
    assert support.avail_worker_ids(gen_workers=True) == [0]
    assert support.gen_work(0, [], [], {})["libE_info"]["gen_count"] == 1


def test_generators_are_counted_by_what_they_do(make_W):
    support = AllocSupport(make_W(6, gens=[1], persistent=[2], waiting_gens=[3, 4], waiting_sims=[5]))
    assert support.count_gens() == 2 and support.test_any_gen() is True
    assert support.count_persis_gens() == 3
    assert AllocSupport(make_W(2, sims=[1])).test_any_gen() is False


def test_a_worker_that_does_not_exist_is_named():
    with pytest.raises(AllocException, match=r"no worker 7; the workers are \[1, 2\]"):
        PlainRoster(make_roster(2).array)[7]


def test_a_run_is_new_until_a_generator_has_been_called():
    info = {"agenda": object()}
    assert is_new_run(make_roster(2, sims=[1]), info)
    assert not is_new_run(make_roster(2, gens=[1]), info)
    assert not is_new_run(make_roster(2), {}), "outside a run nothing is known"


# ---- rows


def test_all_started_leaves_cancelled_rows_aside():
    support = AllocSupport(make_roster())
    assert support.all_sim_started(make_H(0)) is True
    assert support.all_sim_started(make_H(3, started=[0, 2], cancelled=[1])) is True
    H = make_H(4, started=[0, 2], cancelled=[3])
    assert support.all_sim_started(H) is False
    assert support.all_sim_started(H, low_bound=2) is True
    assert support.all_sim_started(H, pt_filter=[True, False, True, True]) is True
    assert support.all_sim_started(H, pt_filter=np.array([1, 2])) is False
    assert support.all_sim_started(H, pt_filter=np.array([1, 2]), low_bound=2) is True


@pytest.mark.parametrize("method, mark", [("all_sim_ended", "ended"), ("all_gen_informed", "informed")])
def test_all_ended_and_all_informed_leave_rows_aside_that_were_cancelled_before_they_started(method, mark):
    ask = getattr(AllocSupport(make_roster()), method)
    assert ask(make_H(3, cancelled=[1], started=[0, 2], **{mark: [0, 2]})) is True
    assert ask(make_H(3, cancelled=[1], started=[0, 1, 2], **{mark: [0, 2]})) is False, "it ran before it was cancelled"
    H = make_H(3, started=[0, 1, 2], **{mark: [1, 2]})
    assert ask(H) is False and ask(H, low_bound=1) is True and ask(H, [False, True, False]) is True


def test_the_top_priority_wins_and_ties_go_to_the_first():
    support = AllocSupport(make_roster())
    H = make_H(5, priority=[9.0, 1.0, 3.0, 3.0, np.nan])
    available = np.array([False, True, True, True, True])
    assert support.points_by_priority(H, available) == 2
    assert support.points_by_priority(H, available, batch=True).tolist() == [2, 3]
    assert support.points_by_priority(H, [False] * 4 + [True]) == 4


def test_without_priorities_the_first_point_is_next():
    support = AllocSupport(make_roster())
    assert support.points_by_priority(make_H(4), [False, False, True, True]) == 2
    assert support.points_by_priority(make_H(4), [False, False, True, True], batch=True).tolist() == [2]
    with pytest.raises(AllocException, match="no row is available"):
        support.points_by_priority(make_H(4), [False] * 4)


def test_cancelled_points_are_skipped_but_nothing_beyond_the_end():
    support = AllocSupport(make_roster())
    state = {"next_to_give": 1}
    support.skip_canceled_points(make_H(4, cancelled=[1, 2]), state)
    assert state == {"next_to_give": 3}
    support.skip_canceled_points(make_H(4, cancelled=[3]), state)
    assert state == {"next_to_give": 4}
    support.skip_canceled_points(make_H(4, cancelled=[3]), state)
    assert state == {"next_to_give": 4}


def test_points_in_order_pass_over_rows_that_do_not_wait():
    support = AllocSupport(make_roster())
    state = {}
    H = make_H(5, ended=[0], started=[2], cancelled=[1, 4])
    assert support.next_point_in_order(H, state) == 3 and state == {"next_to_give": 3}
    assert support.next_point_in_order(H, state) == 3, "asking does not give it"
    state["next_to_give"] += 1
    assert support.next_point_in_order(H, state) is None and state == {"next_to_give": 5}
    assert support.next_point_in_order(make_H(2), state) == 0, "the state was left by a longer run"


def test_the_agenda_of_the_run_is_asked_where_there_is_one():
    agenda = Agenda.from_history(make_H(3))
    support = AllocSupport(make_roster(), libE_info={"agenda": agenda})
    assert support.agenda(make_H(0)) is agenda
    own = AllocSupport(make_roster())
    H = make_H(4, started=[0], cancelled=[1], priority=[0.0, 9.0, 1.0, 2.0])
    assert own.agenda(H) is own.agenda(H)
    assert own.next_points(H, 5) == [3, 2] and own.next_points(H) == []
    own.agenda(H).put_back([2])
    assert own.next_points(H) == [2]


def test_points_of_the_same_priority_come_together():
    support = AllocSupport(make_roster())
    H = make_H(4, priority=[1.0, 2.0, 1.0, 2.0])
    assert support.next_points(H, same_priority=True) == [1, 3]
    assert support.next_points(H, same_priority=True) == [0, 2]
    assert support.next_points(H, same_priority=True) == []


# ---- orders


def test_an_order_for_a_simulation(make_W):
    own = {"rand_stream": 1}
    order = AllocSupport(make_W()).sim_work(2, make_H(), ["x"], 3, own, persistent=True, mine="yes")
    assert order["tag"] == SIM and order["H_fields"] == ["x"] and order["persis_info"] is own
    info = order["libE_info"]
    assert info.pop("H_rows").tolist() == [3] and info == {"persistent": True, "mine": "yes"}


@pytest.mark.parametrize(
    "given, rows",
    [
        (3, [3]),
        (np.int64(3), [3]),
        ([0, 2], [0, 2]),
        ((1, 2), [1, 2]),
        (range(1, 6, 2), [1, 3, 5]),
        (np.array([4, 1]), [4, 1]),
        (np.array([4, 1], dtype="u1"), [4, 1]),
        (np.nonzero([0, 1, 1]), [1, 2]),
        ([], []),
        (np.array([]), []),
    ],
)
def test_rows_become_an_int_array_of_one_dimension(given, rows):
    order = AllocSupport(make_roster()).sim_work(1, make_H(), ["x"], given, {})
    array = order["libE_info"]["H_rows"]
    assert array.ndim == 1 and array.dtype.kind == "i" and array.tolist() == rows


@pytest.mark.parametrize("given", [1.5, ["a"], [0.5, 1.0], np.array([True, False])])
def test_what_is_no_row_number_is_named(given):
    with pytest.raises(AllocException, match="row numbers"):
        AllocSupport(make_roster()).sim_work(1, make_H(), ["x"], given, {})


@pytest.mark.parametrize("given", [["b", "a", "b", "c", "a"], ("b", "a", "c")])
def test_fields_keep_their_order_and_are_sent_once(given):
    assert AllocSupport(make_roster()).sim_work(1, make_H(), given, 0, {})["H_fields"] == ["b", "a", "c"]
    assert AllocSupport(make_roster()).gen_work(1, given, [], {})["H_fields"] == ["b", "a", "c"]


def test_generator_calls_are_numbered_and_messages_are_not(make_W):
    support = AllocSupport(make_W(4, waiting_gens=[2]))
    first = support.gen_work(1, ["x"], range(3), {}, persistent=True)
    assert first["tag"] == GEN and first["libE_info"]["gen_count"] == 1 and first["libE_info"]["persistent"] is True
    assert "gen_count" not in support.gen_work(2, ["x"], [0], {}, persistent=True)["libE_info"]
    assert support.gen_work(3, [], [], {})["libE_info"]["gen_count"] == 2 == AllocSupport.gen_counter


def test_an_order_for_a_generator_says_how_many_workers_may_evaluate(make_W):
    def batch_size(W, wid):
        return AllocSupport(W).gen_work(wid, [], [], {})["libE_info"]["batch_size"]

    assert batch_size(make_W(4), 1) == 3
    assert batch_size(make_W(4, waiting_gens=[1], sims=[2]), 1) == 2
    assert batch_size(make_W(4, gen_workers=[1, 2]), 1) == 2
    assert batch_size(make_W(4, zero_resource_workers=[1]), 1) == 3
    assert batch_size(make_W(4, has_manager_gen=True), 0) == 4
    assert batch_size(make_W(4, waiting_gens=[1, 2], waiting_sims=[3]), 1) == 2


# ---- resources


class FakeScheduler:
    """Gives the lowest sets, of which `gpus` have GPUs (the last ones), and notes what it was asked."""

    def __init__(self, sets=8, gpus=0):
        self.sets, self.gpus, self.asked = sets, gpus, []

    def assign_resources(self, rsets_req, use_gpus=None, user_params=()):
        self.asked.append((rsets_req, use_gpus, list(user_params)))
        pool = {None: self.sets, True: self.gpus, False: self.sets - self.gpus}[use_gpus]
        if rsets_req > pool:
            raise InsufficientFreeResources("not now")
        return np.arange(rsets_req)


class FakeResources:
    total_num_gpu_rsets = 4
    procs_per_rset, gpus_per_rset = 4, 2


def managed(W=None, scheduler=None, resources=FakeResources, **kwargs):
    W = make_roster() if W is None else W
    resources = resources() if resources else None
    return AllocSupport(W, True, user_resources=resources, user_scheduler=scheduler or FakeScheduler(), **kwargs)


@pytest.mark.parametrize(
    "fields, request_, amounts",
    [
        ({}, (1, None), {}),
        ({"resource_sets": [3, 1, 0]}, (3, None), {}),
        ({"resource_sets": [0, 0, 0]}, (0, None), {}),
        ({"resource_sets": [2, 1, 1], "use_gpus": [False, True, False]}, (2, True), {}),
        ({"resource_sets": [2, 1, 1], "use_gpus": False}, (2, False), {}),
        ({"num_procs": [5, 1, 9]}, (3, None), {"num_procs": 9}),
        ({"num_procs": [5, 1, 2], "use_gpus": False}, (2, False), {"num_procs": 5}),
        ({"num_gpus": [3, 0, 0]}, (2, True), {"num_gpus": 3}),
        ({"num_gpus": 0}, (1, None), {"num_gpus": 0}),
        ({"num_gpus": 0, "use_gpus": False}, (1, False), {"num_gpus": 0}),
        ({"num_procs": [5, 4, 4], "num_gpus": [0, 8, 0]}, (4, True), {"num_procs": 5, "num_gpus": 8}),
        ({"resource_sets": 1, "num_procs": 40, "num_gpus": 4}, (2, True), {"num_gpus": 4}),
    ],
)
def test_rows_say_what_they_need(fields, request_, amounts):
    scheduler = FakeScheduler(sets=16, gpus=8)
    info = managed(scheduler=scheduler).sim_work(1, make_H(3, **fields), ["x"], [0, 1, 2], {})["libE_info"]
    rsets, use_gpus = request_
    first = False if use_gpus is None else use_gpus  # sets without GPUs are tried first
    assert scheduler.asked == [(rsets, first, list(amounts.values()))]
    assert info["rset_team"] == list(range(rsets)) and all(type(index) is int for index in info["rset_team"])
    assert {name: info[name] for name in ("num_procs", "num_gpus") if name in info} == amounts


def test_only_the_rows_of_the_order_count():
    info = managed().sim_work(1, make_H(3, resource_sets=[7, 2, 1]), ["x"], [1, 2], {})["libE_info"]
    assert info["rset_team"] == [0, 1]


@pytest.mark.parametrize(
    "persis_info, libE_info, request_, amounts",
    [
        ({}, {}, (0, False), {}),
        ({"gen_resources": 2}, {}, (2, False), {}),
        ({"gen_resources": 2, "gen_use_gpus": True}, {"gen_num_procs": 9}, (2, True), {}),
        ({}, {"gen_num_procs": 5}, (2, False), {"num_procs": 5}),
        ({"gen_num_procs": 3}, {"gen_num_procs": 99}, (1, False), {"num_procs": 3}),
        ({"gen_num_procs": 3, "gen_num_gpus": 3}, {}, (2, True), {"num_procs": 3, "num_gpus": 3}),
        ({}, {"gen_num_gpus": 1}, (1, True), {"num_gpus": 1}),
    ],
)
def test_generators_get_what_persis_info_or_else_the_options_say(persis_info, libE_info, request_, amounts):
    scheduler = FakeScheduler(gpus=4)
    support = managed(scheduler=scheduler, persis_info=persis_info, libE_info=libE_info)
    info = support.gen_work(1, [], [], {})["libE_info"]
    assert scheduler.asked == [(*request_, list(amounts.values()))]
    assert info["rset_team"] == list(range(request_[0]))
    assert {name: info[name] for name in ("num_procs", "num_gpus") if name in info} == amounts
    assert support.def_gen_num_procs == libE_info.get("gen_num_procs", 0)
    assert support.def_gen_num_gpus == libE_info.get("gen_num_gpus", 0)


def test_sets_with_gpus_serve_where_there_are_not_enough_without():
    scheduler = FakeScheduler(sets=8, gpus=6)
    assert managed(scheduler=scheduler).assign_resources(3) == [0, 1, 2]
    assert [use_gpus for _, use_gpus, _ in scheduler.asked] == [False, None]
    with pytest.raises(InsufficientFreeResources):
        managed(scheduler=scheduler).assign_resources(9)
    with pytest.raises(InsufficientFreeResources):
        managed(scheduler=scheduler).assign_resources(3, use_gpus=False)


def test_a_team_that_is_given_stands_and_none_means_that_it_is_to_be_found():
    scheduler = FakeScheduler()
    support = managed(scheduler=scheduler)
    assert support.sim_work(1, make_H(), ["x"], 0, {}, rset_team=[5])["libE_info"]["rset_team"] == [5]
    assert support.sim_work(1, make_H(), ["x"], 0, {}, rset_team=[])["libE_info"]["rset_team"] == []
    assert scheduler.asked == []
    assert support.sim_work(1, make_H(), ["x"], 0, {}, rset_team=None)["libE_info"]["rset_team"] == [0]


def test_a_persistent_function_keeps_the_sets_it_was_started_with():
    scheduler = FakeScheduler()
    support = managed(make_roster(4, waiting_gens=[2], waiting_sims=[3]), scheduler=scheduler)
    assert support.gen_work(2, [], [], {}, persistent=True)["libE_info"]["rset_team"] == []
    assert support.sim_work(3, make_H(), ["x"], 0, {}, persistent=True)["libE_info"]["rset_team"] == []
    assert scheduler.asked == []


def test_without_management_each_worker_uses_its_own_set():
    support = AllocSupport(make_roster(), user_scheduler=FakeScheduler())
    for rset_team in ({}, {"rset_team": None}):
        assert "rset_team" not in support.sim_work(1, make_H(), ["x"], 0, {}, **rset_team)["libE_info"]
        assert "rset_team" not in support.gen_work(1, [], [], {}, **rset_team)["libE_info"]
    assert support.sim_work(1, make_H(), ["x"], 0, {}, rset_team=[2])["libE_info"]["rset_team"] == [2]


def test_without_a_resource_manager_the_amounts_are_passed_on():
    support = AllocSupport(make_roster(), True, {"gen_num_procs": 2})
    assert support.resources is None and support.sched is None and support.assign_resources(3) is None
    H = make_H(2, num_procs=[3, 4], num_gpus=[1, 0])
    info = support.sim_work(1, H, ["x"], [0, 1], {})["libE_info"]
    assert (info["num_procs"], info["num_gpus"]) == (4, 1) and "rset_team" not in info
    assert support.gen_work(1, [], [], {})["libE_info"]["num_procs"] == 2


def test_units_that_no_set_has_can_never_be_given():
    class NoGpus(FakeResources):
        gpus_per_rset = 0

    support = managed(resources=NoGpus)
    with pytest.raises(InsufficientResourcesError, match=r"1 gpus .* zero gpus per resource set"):
        support.sim_work(1, make_H(1, num_gpus=1), ["x"], 0, {})
    support.sim_work(1, make_H(1, num_gpus=0), ["x"], 0, {})


def test_the_run_s_resources_are_shared_out(tmp_path):
    (tmp_path / "node_list").write_text("n1\nn2\n")
    libE_specs = {"resource_info": {"cores_on_node": (16, 64), "gpus_on_node": 4}, "num_resource_sets": 8}
    current.resources = Resources(libE_specs, {}, str(tmp_path))
    current.resources.set_resource_manager(4)
    support = AllocSupport(make_roster(), True, libE_info={"scheduler_opts": {"match_slots": False}})
    assert support.resources is current.resources.resource_manager
    assert support.sched.match_slots is False
    H = make_H(3, num_procs=[5, 0, 1], num_gpus=[2, 3, 0])
    teams = [support.sim_work(wid, H, ["x"], row, {})["libE_info"]["rset_team"] for row, wid in enumerate((1, 2, 3))]
    assert teams[0] == [0, 1] and [len(team) for team in teams] == [2, 3, 1]
    assert len({index for team in teams for index in team}) == 6, "no set twice in one call"
    with pytest.raises(InsufficientFreeResources):
        support.assign_resources(3)
    with pytest.raises(InsufficientResourcesError):
        support.assign_resources(9)


def test_the_module_shows_the_exceptions_that_allocation_functions_catch():
    names = {"AllocSupport", "AllocException", "InsufficientFreeResources", "InsufficientResourcesError"}
    assert names <= set(vars(alloc_support))
