"""Every allocation function in whole runs: which order goes where and when, and how a saved history is gone on from."""

import itertools

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
from libensemble.errors import LoggedException
from libensemble.gen_funcs.sampling import uniform_random_sample_obj_components
from libensemble.libE import libE
from libensemble.sim_funcs.chwirut1 import chwirut_eval
from libensemble.sim_funcs.inverse_bayes import likelihood_calculator
from libensemble.tests.regression_tests.support import persis_info_2
from libensemble.tools import add_unique_random_streams
from tests.fakes import allocation_work as work
from tests.fakes import persistent_functions, user_functions
from tests.fakes.ensembles import run


def called(comms, alloc_f, nworkers=3, *, batch=4, out=(), fields=None, user=None, **stated):
    """Run a generator that is called, with a simulator that notes its orders."""
    return run(
        comms,
        nworkers,
        sim_f=work.double_and_note,
        gen_f=work.sample,
        sim={"out": work.NOTES, "user": stated.pop("sim_user", {})},
        gen={
            "in": stated.pop("gen_in", ["sim_id"]),
            "out": [("x", float), *out],
            "user": {"batch": batch, "fields": fields or {}, **stated.pop("gen_user", {})},
        },
        alloc={"alloc_f": alloc_f, "user": {"num_active_gens": 1} if user is None else user},
        **stated,
    )


def gen_calls(H):
    """Return (begin, end, rows) of each generator call, in the order of the rows."""
    calls = []
    for row in range(len(H)):
        begin, end = float(H["gen_started_time"][row]), float(H["gen_ended_time"][row])
        if not calls or (begin, end) != calls[-1][:2]:
            calls.append((begin, end, []))
        calls[-1][2].append(row)
    return calls


def own_notes(persis_info, key="answers"):
    """Return the part of persis_info where the one generator has left its notes, whatever worker it was on."""
    [own] = [own for own in persis_info.values() if isinstance(own, dict) and key in own]
    return own


def overlap(calls):
    return any(max(a[0], b[0]) < min(a[1], b[1]) for a, b in itertools.combinations(calls, 2))


# ---- give_sim_work_first


@pytest.mark.parametrize(
    ("user", "overlaps"), [({"num_active_gens": 1}, False), ({}, True), ({"num_active_gens": 2}, True)]
)
def test_default_limits_how_many_generators_run(comms, user, overlaps):
    H, _, flag = called(comms, give_sim_work_first, user=user, gen_user={"pause": 0.03}, sim_max=24)
    calls = gen_calls(H)
    assert flag == 0 and overlap(calls) == overlaps
    at_first = sum(begin < min(end for _, end, _ in calls) for begin, _, _ in calls)
    assert at_first == user.get("num_active_gens", 3)


def test_default_gives_a_generator_all_rows_if_it_wants_fields(comms):
    _, persis_info, _ = called(comms, give_sim_work_first, nworkers=1, sim_max=12, persis_info={1: {}})
    assert persis_info[1]["lengths"] == [0, 4, 8]
    _, persis_info, _ = called(comms, give_sim_work_first, nworkers=1, sim_max=12, persis_info={1: {}}, gen_in=[])
    assert persis_info[1]["lengths"] == [0, 0, 0]


def test_default_in_batch_mode_waits_for_all_results_before_a_generator_is_called(comms):
    user = {"num_active_gens": 1, "batch_mode": True}
    H, _, _ = called(comms, give_sim_work_first, user=user, batch=5, sim_max=20, sim_user={"pause": 0.005})
    for begin, _, rows in gen_calls(H)[1:]:
        assert H["sim_ended_time"][: rows[0]].max() <= begin


def test_default_gives_points_by_priority(comms):
    H, _, _ = called(
        comms, give_sim_work_first, 2, batch=6, out=[("priority", float)], fields={"priority": [3, 1, 2, 6, 5, 4]},
        sim_max=6, gen_workers=[1],
    )  # fmt: skip
    assert np.argsort(H["sim_started_time"][:6], kind="stable").tolist() == [3, 4, 5, 0, 2, 1]
    assert (H["length"][:6] == 1).all()


def test_default_gives_all_points_of_the_highest_priority_at_once_if_asked(comms):
    user = {"num_active_gens": 1, "give_all_with_same_priority": True}
    H, _, _ = called(
        comms, give_sim_work_first, 2, batch=6, out=[("priority", float)], fields={"priority": [1, 2, 2, 1, 2, 0]},
        user=user, sim_max=6, gen_workers=[1],
    )  # fmt: skip
    assert H["length"].tolist() == [2, 3, 3, 2, 3, 1]
    assert H["sim_started_time"][1] < H["sim_started_time"][0] < H["sim_started_time"][5]


@pytest.mark.parametrize("alloc_f", [give_sim_work_first, fast_alloc.give_sim_work_first, ensure_one_active_gen])
def test_cancelled_points_are_never_given(comms, alloc_f):
    fields = {"cancel_requested": [1, 0, 0, 1]}
    H, _, flag = called(comms, alloc_f, out=[("cancel_requested", bool)], fields=fields, sim_max=8)
    assert flag == 0 and len(H) >= 16
    assert (H["sim_started"] <= ~H["cancel_requested"]).all() and H["sim_ended"].sum() >= 8


@pytest.mark.parametrize("alloc_f", [give_sim_work_first, fast_alloc.give_sim_work_first, ensure_one_active_gen])
def test_generator_workers_get_generators_and_the_others_simulations(comms, alloc_f):
    H, _, flag = called(comms, alloc_f, gen_workers=[2], sim_max=20)
    assert flag == 0 and set(H["gen_worker"]) == {2} and set(H["sim_worker"][H["sim_started"]]) <= {1, 3}


@pytest.mark.parametrize("alloc_f", [give_sim_work_first, fast_alloc.give_sim_work_first, ensure_one_active_gen])
def test_the_generator_may_be_called_on_the_manager(comms, alloc_f):
    H, _, flag = called(comms, alloc_f, 2, gen_on_manager=True, sim_max=12)
    assert flag == 0 and set(H["gen_worker"]) == {0} and set(H["sim_worker"][H["sim_ended"]]) == {1, 2}


# ---- functions that walk through the rows


@pytest.mark.parametrize("alloc_f", [fast_alloc.give_sim_work_first, ensure_one_active_gen])
@pytest.mark.parametrize("persis_info", [{}, {"next_to_give": 0, "total_gen_calls": 0}])
def test_in_order_rows_go_out_one_by_one_whatever_their_priority(comms, alloc_f, persis_info):
    H, after, flag = called(
        comms, alloc_f, batch=6, out=[("priority", float)], fields={"priority": np.arange(6)}, sim_max=18,
        persis_info=persis_info,
    )  # fmt: skip
    given = H["sim_started_time"][H["sim_started"]]
    assert flag == 0 and (np.diff(given) >= 0).all()
    assert H["listed"][:18].all() and (H["length"][:18] == 1).all()  # simulations get [] as persis_info
    assert after["next_to_give"] == H["sim_started"].sum()
    # one more call may have been meant beside the last simulations, after which nothing is sent
    assert 0 <= after["total_gen_calls"] - len(gen_calls(H)) <= 1


def test_one_generator_at_a_time_and_only_when_all_points_have_ended(comms):
    H, _, _ = called(comms, ensure_one_active_gen, batch=5, sim_max=20, gen_user={"pause": 0.02})
    calls = gen_calls(H)
    assert len(calls) == 4 and not overlap(calls)
    for begin, _, rows in calls[1:]:
        assert H["sim_ended_time"][: rows[0]].max() <= begin


def test_fast_alloc_calls_generators_while_simulations_run(comms):
    H, _, _ = called(comms, fast_alloc.give_sim_work_first, batch=2, sim_max=8, sim_user={"pause": 0.05})
    begin, _, rows = gen_calls(H)[1]
    assert begin < H["sim_ended_time"][: rows[0]].max()
    H, persis_info, _ = called(comms, fast_alloc.give_sim_work_first, user={}, gen_user={"pause": 0.03}, sim_max=12)
    assert overlap(gen_calls(H)) and persis_info["total_gen_calls"] >= 3


# ---- points made of components


COMPONENT_OUT = [
    ("x", float, 3),
    ("priority", float),
    ("paused", bool),
    ("obj_component", int),
    ("pt_id", int),
]


def components(comms, stops=(), *, sim_max, nan=0.01, nworkers=3, points=2, user=None, gen_user=None, **stated):
    streams = add_unique_random_streams(dict(stated.pop("persis_info", {})), nworkers + 1)
    return libE(
        {"sim_f": chwirut_eval, "in": ["x", "obj_component"], "out": [("f_i", float)],
         "user": {"component_nan_frequency": nan}},
        {"gen_f": uniform_random_sample_obj_components, "in": ["pt_id"], "out": COMPONENT_OUT,
         "user": {"gen_batch_size": points, "components": 214, "lb": np.array([-2.3, -2.3, -2.3]),
                  "ub": np.array([2.0, 2.0, 2.0]), "combine_component_func": work.sum_of_squares, **(gen_user or {})}},
        {"sim_max": sim_max},
        streams,
        {"alloc_f": fast_alloc_and_pausing.give_sim_work_first,
         "user": {"num_active_gens": 1, **dict.fromkeys(stops, True), **(user or {})}},
        {"comms": comms, "nworkers": nworkers},
        **stated,
    )  # fmt: skip


STOPS = ["stop_on_NaNs", "stop_partial_fvec_eval"]


@pytest.mark.parametrize("stops", [STOPS, STOPS[:1], STOPS[1:], []])
def test_one_residual_at_a_time(comms, stops):
    persis_info = {**persis_info_2, **{key: type(value)() for key, value in persis_info_2.items() if key != 0}}
    persis_info |= {"best_complete_val": np.inf, 0: {}}
    nan = 0 if stops == ["stop_partial_fvec_eval"] else 0.01  # a sum with a NaN in it is never larger
    H, _, flag = components(comms, stops, sim_max=10 * 214, nan=nan, persis_info=persis_info)
    assert flag == 0 and H["sim_ended"].sum() >= 10 * 214
    assert not (H["paused"] & H["sim_started"]).any()
    assert H["paused"].any() == bool(stops)
    by_point = {int(point): H[H["pt_id"] == point] for point in np.unique(H["pt_id"])}
    last_given = H["sim_started_time"][H["sim_started"]].max()
    complete = [work.sum_of_squares(rows["f_i"]) for rows in by_point.values() if rows["sim_ended"].all()]
    best = min([value for value in complete if not np.isnan(value)], default=np.inf)
    for rows in by_point.values():
        known = rows["f_i"][rows["sim_ended"]]
        hopeless = "stop_partial_fvec_eval" in stops and np.nansum(known**2) > best
        nans = rows[np.isnan(rows["f_i"]) & rows["sim_ended"]] if "stop_on_NaNs" in stops else rows[:0]
        assert not rows["paused"].any() or hopeless or len(nans)  # nothing else is paused
        if (nans["sim_ended_time"] < last_given).any():
            assert (rows["paused"] | rows["sim_started"]).all()  # and of these, everything


def test_a_single_component_at_a_time_needs_batch_mode(comms):
    with pytest.raises(LoggedException, match="batch_mode"):
        components(comms, sim_max=100, gen_user={"single_component_at_a_time": True})
    _, _, flag = components(
        comms, sim_max=100, gen_user={"single_component_at_a_time": True}, user={"batch_mode": True}
    )
    assert flag == 0


def test_points_of_components_go_on_from_a_saved_history(comms):
    first, _, _ = components(comms, STOPS, sim_max=500)
    first["sim_started"] = first["sim_ended"]
    H, _, flag = components(comms, STOPS, sim_max=1000, H0=first)
    assert flag == 0 and H["sim_ended"].sum() >= first["sim_ended"].sum() + 1000
    old = first["sim_ended"]
    assert (H["sim_ended_time"][: len(first)][old] == first["sim_ended_time"][old]).all()
    assert not (H["paused"] & H["sim_started"]).any()
    assert (np.bincount(H["pt_id"]) == 214).all()


# ---- no generator


def pregenerated(comms, H0, gen_specs=None, **stated):
    return libE(
        {"sim_f": work.double_and_note, "in": ["x"], "out": work.NOTES},
        gen_specs,
        stated.pop("exit_criteria", {"sim_max": len(H0)}),
        {},
        {"alloc_f": give_pregenerated_sim_work},
        {"comms": comms, "nworkers": 3, **stated},
        H0=H0,
    )


def rows_to_come(count):
    H0 = np.zeros(count, dtype=[("x", float), ("sim_id", int), ("sim_started", bool)])
    H0["x"] = H0["sim_id"] = np.arange(count)
    return H0


@pytest.mark.parametrize("gen_specs", [None, {}, {"out": [("x", float)]}])
@pytest.mark.parametrize("exit_criteria", [{"sim_max": 40}, {"sim_max": 400}, {"wallclock_max": 60}])
def test_the_rows_of_H0_are_evaluated_and_nothing_else(comms, gen_specs, exit_criteria):
    H, _, flag = pregenerated(comms, rows_to_come(40), gen_specs, exit_criteria=exit_criteria)
    assert flag == 0 and len(H) == 40 and H["sim_ended"].all() and (H["f"] == 2 * H["x"]).all()
    assert H["listed"].all() and (H["length"] == 1).all() and (np.diff(H["sim_started_time"]) >= 0).all()


def test_those_that_have_ended_are_left_alone(comms):
    H0 = rows_to_come(40)
    H0["sim_started"][:20] = True
    H, _, flag = pregenerated(comms, H0)
    assert flag == 0 and len(H) == 40 and H["sim_ended"].all()
    assert not H["f"][:20].any() and (H["f"][20:] == 2 * H["x"][20:]).all()


@pytest.mark.parametrize("cancelled", [[37, 38, 39], [0, 5, 39], range(40)])
def test_cancelled_rows_cause_no_evaluation_not_even_at_the_end(comms, cancelled):
    H0 = np.zeros(40, dtype=[*rows_to_come(1).dtype.descr, ("cancel_requested", bool)])
    H0["x"] = H0["sim_id"] = np.arange(40)
    H0["cancel_requested"][list(cancelled)] = True
    H, _, flag = pregenerated(comms, H0, exit_criteria={"sim_max": 100})
    assert flag == 0 and len(H) == 40
    assert (H["sim_ended"] == ~H["cancel_requested"]).all()


# ---- only_persistent_gens


def persistent(comms, gen_f=persistent_functions.ping_pong, nworkers=3, *, user=None, batch=4, **stated):
    """Run persistent generators; return H, what each of them noted, persis_info and flag."""
    H, persis_info, flag = run(
        comms,
        nworkers,
        sim_f=stated.pop("sim_f", work.double),
        gen_f=gen_f,
        gen={"in": [], "persis_in": ["x", "f"], "user": {"batch": batch}, **stated.pop("gen", {})},
        alloc={"alloc_f": only_persistent_gens, "user": user or {}},
        **stated,
    )
    notes = {key: own["notes"] for key, own in persis_info.items() if isinstance(own, dict) and "notes" in own}
    return H, notes, persis_info, flag


def test_each_generator_is_told_of_its_own_points(comms):
    options = {"nworkers": 4, "sim_f": work.slower_in_turn, "sim_max": 40, "user": {"num_active_gens": 2}}
    H, notes, _, flag = persistent(comms, **options)
    assert flag == 0 and set(notes) == {1, 2} == set(H["gen_worker"])
    told = [(gen, one["rows"]) for gen, said in notes.items() for one in said if "rows" in one]
    assert len(told) >= 4 and all((H["gen_worker"][rows] == gen).all() and len(rows) == 4 for gen, rows in told)


def test_results_are_told_in_batches_or_as_they_come(comms):
    _, notes, _, _ = persistent(comms, sim_max=16)
    assert [len(one["rows"]) for one in notes[1] if "rows" in one] == [4, 4, 4]
    user = {"async_return": True}
    H, notes, _, _ = persistent(comms, user=user, sim_f=work.slower_in_turn, sim_max=16)
    told = [one["rows"] for one in notes[1] if "rows" in one]
    assert min(map(len, told)) < 4
    assert sorted(itertools.chain(*told)) == np.flatnonzero(H["gen_informed"]).tolist()  # each once


def test_the_first_results_wait_for_the_initial_sample(comms):
    user = {"async_return": True, "init_sample_size": 9}
    _, notes, _, _ = persistent(comms, batch=12, user=user, sim_f=work.slower_in_turn, sim_max=40)
    told = [one["rows"] for one in notes[1] if "rows" in one]
    assert len(told[0]) >= 9 and min(map(len, told[1:])) < 9


def test_active_receivers_are_told_at_any_time(comms):
    user = {"async_return": True, "active_recv_gen": True}
    H, notes, _, flag = persistent(
        comms, persistent_functions.never_blocks, user=user, sim_f=work.slower_in_turn, sim_max=16
    )
    told = itertools.chain(*[one["rows"] for one in notes[1] if "rows" in one])
    assert flag == 0 and sorted(told) == np.flatnonzero(H["gen_informed"]).tolist()


def test_all_points_of_one_priority_may_be_given_at_once(comms):
    H, _, flag = run(
        comms,
        3,
        sim_f=work.double_and_note,
        gen_f=persistent_functions.ping_pong,
        sim={"out": work.NOTES},
        gen={"in": [], "persis_in": ["x", "f"], "out": [("x", float), ("priority", float)], "user": {"batch": 5}},
        alloc={"alloc_f": only_persistent_gens, "user": {"give_all_with_same_priority": True}},
        sim_max=10,
    )
    assert flag == 0 and (H["length"][:10] == 5).all()


def test_generators_stay_on_their_workers(comms):
    H, _, _, _ = persistent(comms, nworkers=4, user={"num_active_gens": 2}, gen_workers=[2, 4], sim_max=24)
    assert set(H["gen_worker"]) == {2, 4} and set(H["sim_worker"][H["sim_ended"]]) == {1, 3}
    H, notes, _, _ = persistent(comms, nworkers=2, gen_on_manager=True, sim_max=24)
    assert set(H["gen_worker"]) == {0} == set(notes) and set(H["sim_worker"][H["sim_ended"]]) == {1, 2}
    H, _, _, _ = persistent(comms, nworkers=3, zero_resource_workers=[3], sim_max=24)
    assert set(H["gen_worker"]) == {3} and set(H["sim_worker"][H["sim_ended"]]) == {1, 2}


@pytest.mark.parametrize("on_manager", [True, False])
def test_rows_of_H0_are_told_at_the_start_or_not_at_all(comms, on_manager):
    """Only a generator's own points are returned to it, whatever the number of the worker that it is on."""
    H0 = np.zeros(3, dtype=[("x", float), ("f", float), ("gen_worker", int)])
    H0["x"], H0["f"], H0["gen_worker"] = [10, 20, 30], [20, 40, 60], 0 if on_manager else 1
    options = {"gen_on_manager": on_manager, "H0": H0, "sim_max": 8, "nworkers": 2}
    H, notes, _, flag = persistent(comms, **options)
    [said] = notes.values()
    assert flag == 0 and [one["rows"] for one in said if "rows" in one] == [[3, 4, 5, 6]]
    assert not H["gen_informed"][:3].any()
    H, notes, _, flag = persistent(comms, final_gen_send=True, **options)
    [said] = notes.values()
    assert flag == 0 and [one["rows"] for one in said if "rows" in one] == [[3, 4, 5, 6], [0, 1, 2, 7, 8, 9, 10]]


@pytest.mark.parametrize("on_manager", [True, False])
@pytest.mark.parametrize("user", [{}, {"async_return": True}])
def test_who_was_given_H0_also_hears_of_what_it_had_left_undone(comms, on_manager, user):
    H0 = np.zeros(6, dtype=[("x", float), ("f", float), ("sim_id", int), ("sim_started", bool), ("gen_worker", int)])
    H0["x"], H0["sim_id"], H0["gen_worker"] = np.arange(10, 16), np.arange(6), 7
    H0["sim_started"][:3] = True
    H0["f"][:3] = 2 * H0["x"][:3]
    H, notes, _, flag = persistent(
        comms, nworkers=5, gen_on_manager=on_manager, user=user, sim_f=work.slower_in_turn, H0=H0, sim_max=24,
        gen={"in": ["x", "f"], "persis_in": ["x", "f"]},
    )  # fmt: skip
    [said] = notes.values()
    told = list(itertools.chain(*[one["rows"] for one in said if "rows" in one]))
    assert flag == 0 and (H["f"][H["sim_ended"]] == 2 * H["x"][H["sim_ended"]]).all()
    assert H["gen_informed"][:6].all() and {3, 4, 5} <= set(told)
    assert sorted(told) == np.flatnonzero(H["gen_informed"])[3:].tolist()  # each once; the first three came with H0


# ---- persistent_aposmm_alloc


def aposmm(comms, *, nworkers=3, total=40, sample=6, **stated):
    return run(
        comms,
        nworkers,
        sim_f=stated.pop("sim_f", work.slower_in_turn),
        gen_f=work.sample_then_follow,
        gen={
            "in": [], "persis_in": ["x", "f"], "out": [("x", float), ("local_pt", bool), ("priority", float)],
            "user": {"initial_sample_size": sample, "total": total}, **stated.pop("gen", {}),
        },
        alloc={"alloc_f": persistent_aposmm_alloc},
        **stated,
    )  # fmt: skip


def test_aposmm_gets_its_sample_whole_and_then_results_as_they_come(comms):
    H, persis_info, flag = aposmm(comms, sim_max=30)
    own = own_notes(persis_info)
    assert flag == 0 and own["started_with"] == {"rows": [], "nworkers": 3}
    assert own["answers"][0] == [0, 1, 2, 3, 4, 5] and min(map(len, own["answers"][1:])) < 6
    assert (np.diff(H["sim_started_time"][H["sim_started"]]) >= 0).all()  # strictly in order
    for key in ("first_call", "next_to_give", "gen_started", "sample_done", "samples_in_H0"):
        assert key in persis_info


def test_aposmm_on_the_manager_counts_that_thread(comms):
    _, persis_info, flag = aposmm(comms, gen_on_manager=True, nworkers=2, sim_max=20)
    assert flag == 0 and persis_info[0]["started_with"]["nworkers"] == 3


def test_aposmm_ends_the_run_when_it_returns(comms):
    H, _, flag = aposmm(comms, total=10, sim_max=500)
    assert flag == 0 and 10 <= len(H) < 20


def test_aposmm_goes_on_from_a_history(comms):
    persis_info = {}
    first, persis_info, _ = aposmm(comms, sim_max=20, persis_info=persis_info)
    first["sim_started"] = first["sim_ended"]
    unfinished = int((~first["sim_ended"]).sum())
    H, persis_info, flag = aposmm(
        comms, gen={"in": ["x", "f", "local_pt", "sim_id", "sim_ended"]}, sim_max=30, persis_info=persis_info, H0=first
    )
    own = own_notes(persis_info)
    assert flag == 0 and H["sim_ended"].sum() >= 50 and H["sim_ended"][: len(first)].all()
    assert own["started_with"]["rows"] == list(range(len(first)))  # all of them evaluated
    assert own["answers"][0] == list(range(len(first), len(first) + 6))
    assert unfinished >= 0 and (H["f"][:50] == 2 * H["x"][:50]).all()


# ---- finite differences


FD_OUT = [("x", float), ("x_ind", int), ("f_ind", int)]


def finite_differences(comms, *, again=(), sim_max=500, nf=4, **stated):
    return run(
        comms,
        stated.pop("nworkers", 4),
        sim_f=work.slower_in_turn,
        gen_f=work.differences,
        gen={
            "in": [], "persis_in": ["x", "f", "x_ind", "f_ind", "sim_id"], "out": FD_OUT,
            "user": {"n": 2, "p": 3, "nf": nf, "again": again},
        },
        alloc={"alloc_f": finite_diff_alloc},
        sim_max=sim_max,
        **stated,
    )  # fmt: skip


def test_results_come_in_complete_groups_and_the_run_ends_with_the_generator(comms):
    H, persis_info, flag = finite_differences(comms, again=[(0, 1), (1, 2)])
    assert flag == 0 and len(H) == (6 + 2) * 4 and H["sim_ended"].all() and own_notes(persis_info)["left"] == 0
    for came in own_notes(persis_info)["answers"]:
        assert all(came.count(group) == 4 for group in set(came))
    assert len(own_notes(persis_info)["answers"]) > 1
    assert (np.diff(H["sim_started_time"]) >= 0).all()  # the oldest first


def test_groups_of_an_earlier_run_do_not_mix_with_new_ones(comms):
    first, _, _ = finite_differences(comms, sim_max=11)
    first["sim_started"] = first["sim_ended"]
    first["gen_informed"] = False
    H, persis_info, flag = finite_differences(comms, H0=first, gen_workers=[1])
    assert flag == 0 and H["sim_ended"].all() and len(H) == len(first) + 6 * 4 and own_notes(persis_info)["left"] == 0
    for came in own_notes(persis_info)["answers"]:
        assert all(came.count(group) == 4 for group in set(came))


# ---- inverse Bayes


BAYES_OUT = [("x", float, 2), ("batch", int), ("subbatch", int), ("prior", float), ("prop", float), ("weight", float)]


def inverse_bayes(comms, sim_max=60, nworkers=3, **stated):
    return libE(
        {"sim_f": likelihood_calculator, "in": ["x"], "out": [("like", float)]},
        {"gen_f": work.likelihood_weights, "out": BAYES_OUT, "persis_in": [],
         "user": {"lb": np.array([-3, -2]), "ub": np.array([3, 2]), "subbatch_size": 3, "num_subbatches": 2,
                  "num_batches": 10}},
        {"sim_max": sim_max},
        stated.pop("persis_info", {}),
        {"alloc_f": only_persistent_gens_for_inverse_bayes},
        {"comms": comms, "nworkers": nworkers, **stated.pop("libE_specs", {})},
        **stated,
    )  # fmt: skip


def test_sub_batches_are_evaluated_whole_and_weights_go_to_their_own_batch(comms, tmp_path):
    H, persis_info, flag = inverse_bayes(comms)
    assert flag == 0 and H["sim_ended"].sum() == 60
    answers = own_notes(persis_info)["answers"]
    assert [rows for rows, _ in answers] == [list(range(b, b + 6)) for b in range(0, 54, 6)]
    assert all(names == ["like"] for _, names in answers)
    for begin in range(0, 60, 3):
        assert len({H["sim_worker"][row] for row in range(begin, begin + 3)}) == 1
        assert len(set(H["sim_started_time"][begin : begin + 3])) == 1
    settled = H[:48]  # the weights of batch b come with batch b + 1, and move when that is told
    np.testing.assert_allclose(settled["weight"], settled["prior"] + settled["like"] - settled["prop"])
    assert "custom_status" in (tmp_path / "libE_stats.txt").read_text()


def test_batches_of_an_earlier_run_do_not_mix_with_new_ones(comms):
    first, _, _ = inverse_bayes(comms, sim_max=20)
    first["sim_started"] = first["sim_ended"]
    H, persis_info, flag = inverse_bayes(comms, sim_max=40, H0=first, libE_specs={"gen_workers": [1]})
    assert flag == 0 and H["sim_ended"][: len(first)].all()
    answers = own_notes(persis_info)["answers"]
    assert answers and [rows for rows, _ in answers] == [
        list(range(len(first) + 6 * b, len(first) + 6 * b + 6)) for b in range(len(answers))
    ]
    settled = H[len(first) : len(first) + 6 * (len(answers) - 1)]
    np.testing.assert_allclose(settled["weight"], settled["prior"] + settled["like"] - settled["prop"])


# ---- a generator for each local run


def local_runs(comms, *, nworkers=4, sim_max=150, persis_info=None, gen_user=None, **stated):
    if persis_info is None:
        persis_info = add_unique_random_streams({"some_count": 1, "total_gen_calls": 0}, nworkers + 1)
    out = work.LOCAL_OUT
    return libE(
        {"sim_f": work.double_well, "in": ["x"], "out": [("f", float), ("grad", float, 1)]},
        {"gen_f": work.sample_or_descend, "in": [], "persis_in": ["x", "f", "grad", "sim_id"], "out": out,
         "user": {"gen_batch_size": 3, "rk_const": 0.5, **(gen_user or {})}},
        {"sim_max": sim_max},
        persis_info,
        {"alloc_f": start_persistent_local_opt_gens, "out": out, "user": {"batch_mode": True, "num_active_gens": 1}},
        {"comms": comms, "nworkers": nworkers, **stated.pop("libE_specs", {})},
        **stated,
    )  # fmt: skip


def test_local_runs_find_the_minima(comms):
    H, persis_info, flag = local_runs(comms)
    assert flag == 0 and H["sim_ended"].sum() >= 150
    minima = H["x"][H["local_min"], 0]
    assert len(minima) and np.allclose(np.abs(minima), 1, atol=1e-5) and {-1, 1} == set(np.sign(minima))
    assert H["local_pt"][H["local_min"]].all() or (np.abs(minima) == 1).all()
    assert H["started_run"].sum() >= len(minima)
    runs_open = sum("run_order" in own for own in persis_info.values() if isinstance(own, dict))
    assert (H["num_active_runs"] > 0).any() == bool(runs_open) and (H["num_active_runs"] >= 0).all()
    assert persis_info["some_count"] == 1  # values that are no containers do no harm


def test_a_worker_is_left_for_simulations(comms):
    for nworkers in (2, 3):
        H, _, flag = local_runs(comms, nworkers=nworkers, sim_max=60)
        assert flag == 0 and H["sim_ended"].sum() >= 60 and H["local_min"].any()


def test_a_run_that_ends_without_optimum_is_closed_once(comms):
    H, _, flag = local_runs(comms, gen_user={"most_steps": 2, "tolerance": 0}, sim_max=80)
    assert flag == 0 and not H["local_min"].any() and (H["num_active_runs"] >= 0).all() and H["local_pt"].any()


def test_local_runs_go_on_from_a_history(comms):
    first, persis_info, _ = local_runs(comms, sim_max=40)
    first["sim_started"] = first["sim_ended"]
    for info in (None, persis_info):
        H, _, flag = local_runs(comms, sim_max=80, H0=first, persis_info=info)
        assert flag == 0 and H["sim_ended"].sum() >= first["sim_ended"].sum() + 80
        left = ~H["sim_ended"][: len(first)]
        assert not (left & H["local_pt"][: len(first)]).any()  # points of runs go before samples
        assert (H["num_active_runs"] >= 0).all()
        assert {-1, 1} == set(np.sign(H["x"][H["local_min"], 0]))


# ---- what the generator of a user may do


def test_a_generator_may_be_deaf_to_its_base(comms):
    """A classic generator under the default policy, called by several workers, each with its own persis_info."""
    _, persis_info, flag = called(
        comms, give_sim_work_first, user={}, sim_max=24, persis_info={w: {"mine": w} for w in (1, 2, 3)}
    )
    assert flag == 0 and all(persis_info[w]["mine"] == w and persis_info[w]["lengths"] for w in (1, 2, 3))


def test_an_allocation_function_that_has_never_heard_of_a_generator_object_is_not_needed(comms):
    H, _, flag = run(comms, gen_f=user_functions.persistent_count_up)
    assert flag == 0 and H["sim_ended"].all()
