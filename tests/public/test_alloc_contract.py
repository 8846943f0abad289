"""What an allocation function is given, what it may return, and who gets which resource sets."""

import numpy as np
import pytest

from libensemble.alloc_funcs.give_sim_work_first import give_sim_work_first
from libensemble.alloc_funcs.start_only_persistent import only_persistent_gens
from libensemble.errors import LoggedException
from libensemble.message_numbers import EVAL_GEN_TAG, EVAL_SIM_TAG
from libensemble.tools.alloc_support import AllocSupport
from libensemble.utils.current import current
from tests.fakes import manager_generators, persistent_functions, slow_functions
from tests.fakes.conversations import order
from tests.fakes.ensembles import run

KEYS = {
    "any_idle_workers",
    "exit_criteria",
    "elapsed_time",
    "gen_informed_count",
    "manager_kill_canceled_sims",
    "scheduler_opts",
    "sim_started_count",
    "sim_ended_count",
    "sim_max_given",
    "use_resource_sets",
    "gen_num_procs",
    "gen_num_gpus",
    "gen_on_manager",
}


class Spy:
    """An allocation function that keeps what it was given, and does as another one does."""

    def __init__(self, alloc_f=give_sim_work_first):
        self.alloc_f, self.calls = alloc_f, []

    def __call__(self, W, H, sim_specs, gen_specs, alloc_specs, persis_info, libE_info):
        seen = {
            "H": H.copy(),
            "specs": (set(sim_specs), set(gen_specs), set(alloc_specs)),
            "persis_info": dict(persis_info),
            "info": dict(libE_info),
            "active": W["active"].tolist(),
            "persis_state": W["persis_state"].tolist(),
            "gen_started": W["gen_started_time"].tolist(),
            "fields": W.dtype.names,
            "rows": [(int(row["worker_id"]), int(W[int(row["worker_id"])]["worker_id"])) for row in W],
        }
        answer = self.alloc_f(W, H, sim_specs, gen_specs, alloc_specs, persis_info, libE_info)
        self.calls.append({**seen, "answer": answer})
        return answer


# ---- given


def test_seven_arguments_of_documented_shape(comms):
    spy = Spy()
    run(comms, 3, alloc={"alloc_f": spy, "user": {"mine": 1}, "out": [("extra", int)]}, gen_workers=[2])
    first = spy.calls[0]
    assert len(first["H"]) == 0 and "extra" in first["H"].dtype.names
    sim_keys, gen_keys, alloc_keys = first["specs"]
    both = {"in", "persis_in", "out", "globus_compute_endpoint", "threaded", "user", "vocs"}
    assert sim_keys == both | {"sim_f", "simulator", "on_error", "max_retries"}
    assert gen_keys == both | {"gen_f", "generator", "initial_batch_size", "batch_size"}
    assert alloc_keys == {"alloc_f", "user", "out"}
    assert set(first["info"]) >= KEYS
    known = {"worker_id", "gen_worker", "active", "persis_state", "active_recv", "gen_started_time"}
    assert set(first["fields"]) == known | {"zero_resource_worker"}
    assert first["rows"] == [(1, 1), (2, 2), (3, 3)]


def test_libE_info_says_what_the_run_was_told():
    spy = Spy()
    options = {
        "kill_canceled_sims": True,
        "scheduler_opts": {"match_slots": False},
        "gen_num_procs": 3,
        "gen_num_gpus": 2,
    }
    run("threads", 2, alloc={"alloc_f": spy}, gen_on_manager=True, disable_resource_manager=True, sim_max=5, **options)
    info = spy.calls[0]["info"]
    assert info["exit_criteria"] == {"sim_max": 5}
    assert info["manager_kill_canceled_sims"] is True
    assert info["scheduler_opts"] == {"match_slots": False}
    assert (info["gen_num_procs"], info["gen_num_gpus"], info["gen_on_manager"]) == (3, 2, True)


def test_libE_info_follows_the_run(comms):
    spy = Spy()
    H, _, _ = run(comms, 2, alloc={"alloc_f": spy}, sim_max=8)
    elapsed = [call["info"]["elapsed_time"] for call in spy.calls]
    assert elapsed == sorted(elapsed) and 0 <= elapsed[0] < elapsed[-1]
    for call in spy.calls:
        info, H = call["info"], call["H"]
        assert info["sim_started_count"] == H["sim_started"].sum()
        assert info["sim_ended_count"] == H["sim_ended"].sum()
        assert info["gen_informed_count"] == H["gen_informed"].sum()
        assert bool(info["any_idle_workers"]) == (0 in call["active"])
        assert bool(info["sim_max_given"]) == (info["sim_started_count"] >= 8)


def test_sim_max_given_leaves_out_rows_of_H0(comms):
    spy = Spy()
    H0 = np.zeros(3, dtype=[("x", float), ("f", float), ("sim_id", int), ("sim_started", bool), ("sim_ended", bool)])
    H0["sim_id"], H0["sim_started"], H0["sim_ended"] = np.arange(3), True, True
    sim = {"user": {"long": [6], "seconds": 0.15}}
    run(comms, 2, sim_f=slow_functions.takes_long, sim=sim, alloc={"alloc_f": spy}, sim_max=4, H0=H0)
    assert not spy.calls[0]["info"]["sim_max_given"] and spy.calls[0]["info"]["sim_started_count"] == 3
    given = [call["info"]["sim_started_count"] for call in spy.calls if call["info"]["sim_max_given"]]
    assert set(given) == {7}


def test_W_follows_the_workers(comms):
    spy = Spy(only_persistent_gens)
    gen = {"in": [], "persis_in": ["f"], "user": {"batch": 4}}
    run(comms, 3, gen_f=persistent_functions.ping_pong, gen=gen, alloc={"alloc_f": spy}, sim_max=8)
    started = spy.calls[0]
    assert started["active"] == started["persis_state"] == [0, 0, 0] and started["gen_started"] == [0, 0, 0]
    later = spy.calls[1:]
    assert all(call["persis_state"] == [EVAL_GEN_TAG, 0, 0] for call in later)  # it lives on worker 1 from then on
    assert all(call["gen_started"][0] > 0 and call["gen_started"][1:] == [0, 0] for call in later)
    assert {call["active"][0] for call in later} == {0}  # it is heard of when it waits
    assert {tag for call in later for tag in call["active"][1:]} <= {0, EVAL_SIM_TAG}


@pytest.mark.parametrize(
    ("field", "options", "expected"),
    [
        (None, {}, False),
        ("resource_sets", {}, True),
        ("num_procs", {}, True),
        ("num_gpus", {}, True),
        ("use_gpus", {}, False),
        (None, {"num_resource_sets": 2}, True),
    ],
)
def test_use_resource_sets_is_true_where_rows_or_options_speak_of_resources(field, options, expected):
    spy = Spy()
    out = [("x", float)] + ([(field, int)] if field else [])
    run("threads", 2, gen_f=one_set_each, gen={"out": out, "in": []}, alloc={"alloc_f": spy}, sim_max=2, **options)
    assert bool(spy.calls[0]["info"]["use_resource_sets"]) == expected


def one_set_each(H, persis_info, gen_specs):
    H_o = np.zeros(2, dtype=gen_specs["out"])
    for name in H_o.dtype.names[1:]:
        H_o[name] = name != "num_gpus" and name != "use_gpus"
    return H_o


def test_a_resource_field_that_comes_late_is_noticed():
    spy = Spy()
    run(
        "threads", 2, gen_f=adds_resource_sets, gen={"out": [("x", float)], "in": []}, alloc={"alloc_f": spy}, sim_max=2
    )
    assert not spy.calls[0]["info"]["use_resource_sets"]
    assert spy.calls[-1]["info"]["use_resource_sets"]


def adds_resource_sets(H):
    H_o = np.zeros(2, dtype=[("x", float), ("resource_sets", int)])
    H_o["resource_sets"] = 1
    return H_o


def test_persis_info_is_the_run_s_and_what_is_returned_takes_its_place(comms):
    def keeps_count(*args):
        Work, persis_info = give_sim_work_first(*args)
        return Work, {**persis_info, "count": persis_info.get("count", 0) + 1}

    spy = Spy(keeps_count)
    _, persis_info, _ = run(comms, 2, alloc={"alloc_f": spy}, persis_info={"mine": 1, 1: {"own": 2}})
    assert spy.calls[0]["persis_info"] == {"mine": 1, 1: {"own": 2}}
    assert [call["persis_info"].get("count", 0) for call in spy.calls] == list(range(len(spy.calls)))
    assert persis_info["count"] == len(spy.calls) and persis_info["mine"] == 1


# ---- returned


@pytest.mark.parametrize("flag", [0, False, np.int64(0)])
def test_a_stop_flag_of_zero_means_go_on(comms, flag):
    H, _, _ = run(comms, 2, alloc={"alloc_f": lambda *args: (*give_sim_work_first(*args), flag)}, sim_max=6)
    assert H["sim_ended"].sum() == 6


@pytest.mark.parametrize("flag", [1, True, np.int64(1)])
def test_a_stop_flag_of_one_ends_the_run_and_its_work_is_not_sent(comms, flag):
    def stops(*args):
        Work, persis_info = give_sim_work_first(*args)
        return (Work, persis_info, flag) if args[-1]["sim_ended_count"] >= 3 else (Work, persis_info)

    H, _, exit_flag = run(comms, 1, alloc={"alloc_f": stops}, exit_criteria={"gen_max": 1000})
    assert exit_flag == 0 and H["sim_ended"].sum() == H["sim_started"].sum() == 3


def test_a_list_of_two_will_do(comms):
    H, _, _ = run(comms, 2, alloc={"alloc_f": lambda *args: list(give_sim_work_first(*args))}, sim_max=6)
    assert H["sim_ended"].sum() == 6


ROWS = {
    "array": lambda row: np.array([row]),
    "int": lambda row: row,
    "numpy int": lambda row: np.int64(row),
    "list": lambda row: [row],
    "tuple": lambda row: (row,),
    "range": lambda row: range(row, row + 1),
    "uint array": lambda row: np.array([row], dtype=np.uint32),
    "two dimensions": lambda row: np.array([[row]]),
}


@pytest.mark.parametrize("form", ROWS)
@pytest.mark.parametrize("wid_type", [int, np.int64, np.int32])
def test_worker_ids_and_rows_come_in_many_forms(form, wid_type):
    def by_hand(W, H, sim_specs, gen_specs, alloc_specs, persis_info, libE_info):
        Work = {}
        for wid in W["worker_id"][W["active"] == 0]:
            waiting = np.flatnonzero(~H["sim_started"])[len(Work) :]
            if len(waiting):
                Work[wid_type(wid)] = order(EVAL_SIM_TAG, [], ["x"], {}, H_rows=ROWS[form](int(waiting[0])))
            elif not Work and not (W["active"] == EVAL_GEN_TAG).any() and not len(H):
                Work[wid_type(wid)] = order(EVAL_GEN_TAG, [], [], {}, H_rows=np.zeros(0))  # a float array: no rows
        return Work, persis_info

    H, _, flag = run("threads", 2, alloc={"alloc_f": by_hand}, sim_max=4)
    assert flag == 0 and (H["f"][:4] == 2 * H["x"][:4]).all()


def test_an_allocation_function_may_write_priorities_and_flags_and_its_own_fields_into_H(comms):
    def writes(W, H, *rest):
        if len(H) and not H["seen"].any():
            H["priority"] = np.arange(len(H))
            H["cancel_requested"][1] = True
        H["seen"] = True
        return give_sim_work_first(W, H, *rest)

    out = [("priority", float), ("seen", bool)]
    H, _, _ = run(comms, 1, alloc={"alloc_f": writes, "out": out}, gen={"user": {"batch": 6}}, sim_max=4)
    begun = np.argsort(H["sim_started_time"][:6], kind="stable")
    assert begun[:4].tolist() == [5, 4, 3, 2]
    assert not H["sim_started"][[0, 1]].any() and H["seen"].all()


def test_it_is_asked_again_while_nothing_comes_for_policies_that_watch_the_clock():
    spy = Spy()
    sim = {"user": {"seconds": 0.3}}
    run("threads", 1, sim_f=slow_functions.takes_long, sim=sim, alloc={"alloc_f": spy}, sim_max=1)
    busy = [call["info"]["elapsed_time"] for call in spy.calls if call["active"] == [EVAL_SIM_TAG]]
    assert len(busy) >= 3


def test_generator_calls_are_numbered_over_all_workers(comms):
    def numbered(W, H, sim_specs, gen_specs, alloc_specs, persis_info, libE_info):
        Work, persis_info = give_sim_work_first(W, H, sim_specs, gen_specs, alloc_specs, persis_info, libE_info)
        numbers = persis_info.setdefault("numbers", [])
        numbers += [work["libE_info"]["gen_count"] for work in Work.values() if work["tag"] == EVAL_GEN_TAG]
        return Work, persis_info

    _, persis_info, _ = run(comms, 3, alloc={"alloc_f": numbered, "user": {"num_active_gens": 2}}, sim_max=20)
    assert persis_info["numbers"] == list(range(1, len(persis_info["numbers"]) + 1))
    assert AllocSupport.gen_counter >= len(persis_info["numbers"]) > 1


# ---- resource sets

FOUR_CORES = {"resource_info": {"cores_on_node": (4, 8), "gpus_on_node": 4}}


@pytest.fixture(autouse=True)
def objects_of_the_process():
    """No run may change what the script has registered."""
    before = current.executor, current.resources
    yield
    assert (current.executor, current.resources) == before


def overlapping(H):
    """Return pairs of rows whose calls overlapped in time."""
    return [
        (one, two)
        for i, one in enumerate(H)
        for two in H[i + 1 :]
        if one["began"] < two["ended"] and two["began"] < one["ended"]
    ]


def sets(row):
    return {int(number) for number in str(row["team"]).split(",") if number}


def test_without_wishes_every_worker_has_its_own_set(comms):
    H, _, _ = run(
        comms,
        4,
        sim_f=manager_generators.shows_its_share,
        sim={"out": manager_generators.SHARE},
        sim_max=8,
        **FOUR_CORES,
    )
    for row in H[:8]:
        assert sets(row) == {row["sim_worker"] - 1} and row["cores"] == 1


def test_rows_get_as_many_sets_as_they_ask_for_and_never_share(comms):
    out = [("x", float), ("resource_sets", int), ("gen_team", "U20")]
    H, _, flag = run(
        comms,
        4,
        sim_f=manager_generators.shows_its_share,
        sim={"out": manager_generators.SHARE, "user": {"seconds": 0.02}},
        gen_f=manager_generators.asks_for_sets,
        gen={"out": out, "in": [], "user": {"batch": 8, "sets": [1, 2, 3, 4, 1, 2, 1, 1]}},
        sim_max=16,
        **FOUR_CORES,
    )
    done = H[H["sim_ended"]]
    assert flag == 0 and len(done) == 16
    assert (done["n_sets"] == done["resource_sets"]).all()
    assert (done["cores"] == done["resource_sets"]).all()
    assert (done["gen_team"] == "").all()  # a generator needs none unless it is said
    assert overlapping(done)
    for one, two in overlapping(done):
        assert not sets(one) & sets(two)


def test_more_sets_than_there_are_end_the_run_with_the_reason(comms):
    out = [("x", float), ("resource_sets", int), ("gen_team", "U20")]
    gen = {"out": out, "in": [], "user": {"batch": 1, "sets": [9]}}
    with pytest.raises(LoggedException, match="9"):
        run(comms, 4, gen_f=manager_generators.asks_for_sets, gen=gen, sim_max=4, **FOUR_CORES)


def test_the_number_of_sets_can_be_stated(comms):
    H, _, _ = run(
        comms,
        3,
        sim_f=manager_generators.shows_its_share,
        sim={"out": manager_generators.SHARE},
        num_resource_sets=2,
        sim_max=6,
        **FOUR_CORES,
    )
    assert {number for row in H[:6] for number in sets(row)} == {0, 1}
    assert (H["cores"][:6] == 2).all()
    for one, two in overlapping(H[:6]):
        assert not sets(one) & sets(two)


def test_a_generator_gets_the_sets_that_persis_info_says(comms):
    out = [("x", float), ("resource_sets", int), ("gen_team", "U20")]
    H, _, _ = run(
        comms,
        4,
        gen_f=manager_generators.asks_for_sets,
        gen={"out": out, "in": [], "user": {"batch": 4, "sets": 1}},
        persis_info={"gen_resources": 2},
        sim_max=4,
        **FOUR_CORES,
    )
    assert {len(str(team).split(",")) for team in H["gen_team"]} == {2}


def test_zero_resource_workers_hold_no_sets(comms):
    gen = {"in": [], "persis_in": ["f"], "user": {"batch": 4}}
    H, _, flag = run(
        comms,
        3,
        sim_f=manager_generators.shows_its_share,
        sim={"out": manager_generators.SHARE},
        gen_f=persistent_functions.ping_pong,
        gen=gen,
        alloc={"alloc_f": only_persistent_gens},
        zero_resource_workers=[1],
        sim_max=8,
        **FOUR_CORES,
    )
    assert flag == 0 and set(H["gen_worker"]) == {1}  # the generator goes where no set is wasted
    assert set(H["sim_worker"][:8]) <= {2, 3}
    assert {number for row in H[:8] for number in sets(row)} <= {0, 1}
    assert (H["cores"][:8] == 2).all()  # the node is cut for two


def test_a_generator_on_the_manager_takes_no_set(comms):
    H, _, _ = run(
        comms,
        4,
        sim_f=manager_generators.shows_its_share,
        sim={"out": manager_generators.SHARE},
        gen_on_manager=True,
        sim_max=8,
        **FOUR_CORES,
    )
    for row in H[:8]:
        assert sets(row) == {row["sim_worker"] - 1} and row["cores"] == 1


@pytest.mark.parametrize(("given", "expected"), [([], set()), ([2, 3], {2, 3}), (None, {1})])
def test_an_order_may_name_its_sets(comms, given, expected):
    def names_sets(W, H, sim_specs, gen_specs, alloc_specs, persis_info, libE_info):
        support = AllocSupport(W, False, persis_info, libE_info)
        Work = {}
        if not len(H):
            if 1 in support.avail_worker_ids():
                Work[1] = support.gen_work(1, [], [], {})
        elif 2 in support.avail_worker_ids() and (rows := support.next_points(H)):
            Work[2] = support.sim_work(2, H, ["x"], rows, {}, rset_team=given)
        return Work, persis_info

    sim = {"out": manager_generators.SHARE}
    alloc = {"alloc_f": names_sets}
    H, _, _ = run(comms, 4, sim_f=manager_generators.shows_its_share, sim=sim, alloc=alloc, sim_max=3, **FOUR_CORES)
    assert all(sets(row) == expected for row in H[:3])


def test_sets_are_free_again_after_a_failure_of_the_run():
    from tests.fakes.conversations import fails

    with pytest.raises(LoggedException):
        run("threads", 4, sim_f=fails, sim={"user": {"do": "own error", "at": 2}}, **FOUR_CORES)
    test_rows_get_as_many_sets_as_they_ask_for_and_never_share("threads")


def test_without_resource_management_there_are_no_sets(comms):
    from tests.fakes.conversations import SEEN, seen

    H, _, _ = run(comms, 2, sim_f=seen, sim={"out": SEEN}, disable_resource_manager=True, sim_max=4)
    assert (H["team"][:4] == "[]").all()
