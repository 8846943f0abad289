"""The history that a run makes: fields and when they are set, late and odd fields, protection, and H0."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from libensemble.alloc_funcs import fast_alloc
from libensemble.alloc_funcs.give_pregenerated_work import give_pregenerated_sim_work
from libensemble.alloc_funcs.give_sim_work_first import give_sim_work_first
from libensemble.alloc_funcs.only_one_gen_alloc import ensure_one_active_gen
from libensemble.alloc_funcs.persistent_aposmm_alloc import persistent_aposmm_alloc
from libensemble.alloc_funcs.start_only_persistent import only_persistent_gens
from libensemble.manager import LoggedException
from libensemble.tools.fields_keys import libE_fields, protected_libE_fields
from tests.fakes import history_functions as odd
from tests.fakes import user_functions
from tests.fakes.ensembles import run

RESERVED = [name for name, _ in libE_fields]


def failing(*args, **stated):
    """Run; return the text of the error that comes out."""
    with pytest.raises(LoggedException) as caught:
        run(*args, **stated)
    return str(caught.value.args)


def start_rows(n, **fields):
    """A start history of points ``x = 0, 1, ...``."""
    kinds = {name: (name, kind) for name, kind in libE_fields}
    columns = [("x", float)] + [kinds.get(name, (name, float)) for name in fields]
    H0 = np.zeros(n, dtype=columns)
    H0["x"] = np.arange(n)
    for name, values in fields.items():
        H0[name] = values
    return H0


# ---- fields and their times


def test_the_lists_of_reserved_fields():
    names = (
        "sim_id gen_worker gen_started_time gen_ended_time sim_worker sim_started sim_started_time sim_ended "
        "sim_ended_time gen_informed gen_informed_time cancel_requested kill_sent"
    )
    assert names.split() == RESERVED
    assert protected_libE_fields == [name for name in RESERVED if name not in ("sim_id", "cancel_requested")]


def test_reserved_fields_come_first_then_gen_sim_and_alloc_in_declared_order(comms):
    gen = {"out": [("x", float), ("zeta", int), ("alpha", int)]}
    sim = {"out": [("f", float), ("beta", float, 3), ("x", float)]}
    H, _, _ = run(comms, gen=gen, sim=sim, alloc={"out": [("given_back", bool)]})
    assert list(H.dtype.names) == [*RESERVED, "x", "zeta", "alpha", "f", "beta", "given_back"]
    for name, kind in libE_fields:
        assert H.dtype[name] == np.dtype(kind)


@pytest.mark.slow
def test_the_order_of_fields_does_not_depend_on_hashes():
    code = (
        "from tests.fakes.ensembles import run\n"
        "print(run('threads', gen={'out': [('x', float), ('c', int), ('a', int), ('b', int)]})[0].dtype.names)"
    )
    root = str(Path(__file__).parents[2])
    answers = set()
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": root}
        answers.add(subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True).stdout)
    assert len(answers) == 1 and b"'x', 'c', 'a', 'b'" in answers.pop()


def test_a_row_bears_witness_of_its_life(comms):
    before = time.time()
    H, _, _ = run(comms, 3, gen_f=user_functions.persistent_count_up, sim_max=12)
    after = time.time()
    assert H["sim_id"].tolist() == list(range(len(H)))
    assert set(H["gen_worker"]) == {1} and set(H["sim_worker"]) <= {2, 3}
    assert H["sim_started"].all() and H["sim_ended"].all()
    times = [H[name] for name in ("gen_started_time", "gen_ended_time", "sim_started_time", "sim_ended_time")]
    for earlier, later in zip([before, *times], [*times, after], strict=True):
        assert np.all(earlier <= later)
    for first in range(0, 12, 4):  # one value per batch
        assert len(set(H["gen_ended_time"][first : first + 4])) == 1
    told = H["gen_informed"]
    assert told[:8].all() and not told[8:].any()
    assert np.all(H["gen_informed_time"][told] >= H["sim_ended_time"][told])
    assert np.all(np.isinf(H["gen_informed_time"][~told]))
    assert not H["cancel_requested"].any() and not H["kill_sent"].any()


def test_the_second_batch_was_asked_for_when_the_first_was_given_back(comms):
    H, _, _ = run(comms, gen_f=user_functions.persistent_count_up)
    assert H["gen_started_time"][4] == H["gen_informed_time"][0] > H["gen_started_time"][0]


def test_a_row_that_was_not_evaluated_says_so(comms):
    H, _, _ = run(comms, sim_max=2)
    waiting = H[~H["sim_started"]]
    assert len(H) == 4 and len(waiting) == 2, "rows that were generated stay in the history"
    assert not waiting["sim_ended"].any() and set(waiting["sim_worker"]) == {0}
    assert np.isinf(waiting["sim_started_time"]).all() and set(waiting["sim_ended_time"]) == {0.0}


def test_the_generator_on_the_manager_is_worker_0(comms):
    H, _, _ = run(comms, gen_on_manager=True)
    assert set(H["gen_worker"]) == {0} and set(H["sim_worker"]) == {1, 2} and H["gen_ended_time"].all()


def test_rows_sent_to_a_generator_get_a_time_and_are_informed_if_they_have_ended(comms):
    H, _, _ = run(comms, sim_f=user_functions.double_last_slowly)
    sent = np.isfinite(H["gen_informed_time"])
    assert sent.tolist() == [True] * 4 + [False] * 4, "the second call of the generator got the first four rows"
    assert H["gen_informed"].tolist() == [True] * 3 + [False] * 5, "the fourth was still running"
    assert H["gen_informed_time"][3] < H["sim_ended_time"][3]


def test_a_kill_is_noted_and_the_result_is_counted(comms):
    def cancel_running(*args):
        H = args[1]
        H["cancel_requested"][H["sim_started"] & ~H["sim_ended"] & (H["x"] >= 2)] = True
        return give_sim_work_first(*args)

    H, _, flag = run(
        comms, sim_f=odd.wait_for_kill, alloc={"alloc_f": cancel_running}, sim_max=4, kill_canceled_sims=True
    )
    assert flag == 0 and H["sim_ended"].all()
    assert H["kill_sent"].tolist() == [False, False, True, True] == H["cancel_requested"].tolist()


def test_cancelled_rows_are_not_given_out(comms):
    H, _, _ = run(comms, gen_f=odd.cancel_all_but_two, sim_max=6)
    assert H["sim_ended"].tolist() == [True, True, False, False] * 3


# ---- growth, late fields, odd types


@pytest.mark.parametrize("batch", [1, 7, 250])
def test_the_history_grows_as_needed(comms, batch):
    H, _, _ = run(comms, gen={"user": {"batch": batch}}, exit_criteria={"gen_max": 210})
    assert len(H) >= 210 and H["sim_id"].tolist() == list(range(len(H))) == H["x"].tolist()


def test_a_field_that_a_generator_adds_is_there_for_all_rows(comms):
    H, _, _ = run(comms, gen_f=odd.count_up_with_late_field)
    assert H["label"].tolist() == [""] * 4 + ["late"] * 4
    assert H["weight"].tolist() == [[0.0, 0.0]] * 4 + [[1.0, 2.0]] * 4
    assert H["f"].tolist() == [2.0 * x for x in range(8)]


def test_a_field_that_a_simulator_adds_is_there_for_all_rows(comms):
    H, _, _ = run(comms, sim_f=odd.double_with_late_field, sim_max=5)
    assert H["iterations"].tolist() == [5 * ended for ended in H["sim_ended"]]


def test_objects_travel_and_are_saved(comms):
    gen = {"out": [("x", float), ("thing", object), ("pair", object, (2,))]}
    sim = {"in": ["x", "thing", "pair"], "out": [("f", float), ("report", object)]}
    H, _, _ = run(
        comms, gen_f=odd.propose_objects, gen=gen, sim_f=odd.return_objects, sim=sim, save_H_on_completion=True
    )
    saved = np.load("libE_history_after_sim_8.npy", allow_pickle=True)
    for rows in (H, saved):
        assert rows["f"].tolist() == [float(x) for x in range(8)]
        assert rows["report"][3] == ({"x": 3.0, "list": [1, "two"]}, ["a", None])


def test_a_shorter_vector_fills_the_beginning(comms):
    H, _, _ = run(comms, sim_f=odd.return_part_of_a_vector, sim={"out": [("v", float, 4)]})
    assert H["v"][3].tolist() == [3.0, -3.0, 0.0, 0.0]


@pytest.mark.parametrize("sim_f", [odd.return_too_long_a_vector, odd.return_an_empty_vector])
def test_a_vector_that_does_not_fit_ends_the_run(comms, sim_f):
    assert "'v'" in failing(comms, sim_f=sim_f, sim={"out": [("v", float, 4)]})


def test_no_result_ends_the_row_all_the_same(comms):
    H, _, _ = run(comms, sim_f=odd.return_nothing)
    assert H["sim_ended"].all() and H["sim_ended_time"].all() and not H["f"].any()


def test_entries_beyond_the_rows_are_ignored(comms):
    H, _, _ = run(comms, sim_f=odd.return_more_rows)
    assert H["f"].tolist() == [2.0 * x for x in range(8)]


def test_what_a_persistent_simulator_returns_at_last_is_not_counted_again(comms):
    H, _, _ = run(
        comms,
        3,
        sim_f=odd.persistent_double,
        gen_f=user_functions.persistent_count_up,
        alloc={"alloc_f": only_persistent_gens, "user": {"alt_type": True}},
        use_persis_return_sim=True,
        sim_max=9,
        save_H_on_completion=True,
    )
    assert H["sim_ended"].sum() == 9 and Path("libE_history_after_sim_9.npy").exists()
    assert np.array_equal(H["f"][H["sim_ended"]], 2 * H["x"][H["sim_ended"]])


# ---- points numbered by their generator

NUMBERED = [("sim_id", int), ("x", float)]


def test_a_generator_changes_old_rows_and_adds_new_ones_by_number(comms):
    H, _, _ = run(
        comms,
        gen_f=odd.revise,
        gen={"out": NUMBERED, "persis_in": ["sim_id", "f"]},
        alloc={"alloc_f": only_persistent_gens},
        sim_max=7,
    )
    assert H["sim_id"].tolist() == list(range(7))
    assert H["x"].tolist() == [0.0, 10.0, 2.0, 3.0, 40.0, 5.0, 60.0]
    assert H["note"].tolist() == ["", "old", "", "", "old", "", "new"]
    assert H["f"].tolist() == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 120.0], "old rows are not evaluated again"
    assert len(set(H["gen_ended_time"][:6])) == 1 != len(set(H["gen_ended_time"]))


@pytest.mark.parametrize(("keep", "x"), [(True, -1.0), (False, 0.0)])
def test_what_a_persistent_generator_returns_counts_only_if_asked_for(comms, keep, x):
    H, _, _ = run(
        comms,
        gen_f=odd.two_batches_with_a_last_word,
        gen={"out": NUMBERED, "persis_in": ["sim_id", "f"]},
        alloc={"alloc_f": only_persistent_gens},
        use_persis_return_gen=keep,
        sim_max=100,
    )
    assert len(H) == 4 and H["x"][0] == x and H["f"][3] == 6.0


def test_the_user_is_reminded_to_number_points_one_after_the_other(comms, capfd):
    run(comms, gen_f=user_functions.count_up_with_ids, gen={"out": NUMBERED})
    assert capfd.readouterr().err.count("sim_id") == 1


# ---- protection


def test_safe_mode_refuses_protected_fields_from_user_functions(comms):
    assert "sim_worker" in failing(comms, sim_f=odd.write_protected_field, safe_mode=True)
    assert "gen_worker" in failing(comms, gen_f=odd.claim_to_be_someone_else, safe_mode=True)


@pytest.mark.parametrize("field", protected_libE_fields)
def test_safe_mode_notices_what_the_allocation_function_changes(field):
    def meddle(*args):
        H = args[1]
        if H["sim_ended"].any():
            H[field][0] = not H[field][0]
        return give_sim_work_first(*args)

    assert field in failing("threads", alloc={"alloc_f": meddle}, safe_mode=True)


def test_safe_mode_leaves_alone_what_is_not_protected(comms):
    def write(*args):
        H = args[1]
        H["cancel_requested"][H["x"] == 7] = True
        H["mine"] = 3
        return give_sim_work_first(*args)

    H, _, _ = run(comms, alloc={"alloc_f": write, "out": [("mine", int)]}, safe_mode=True)
    assert not H["sim_started"][7] and H["sim_ended"].sum() == 8 and set(H["mine"][:8]) == {3}


def test_without_safe_mode_a_simulator_may_ask_to_be_run_again(comms):
    H, persis_info, _ = run(comms, 1, sim_f=odd.ask_to_run_once_more, sim_max=4)
    assert persis_info[1]["seen"].count(1.0) == 2
    assert H["sim_ended"][:4].all()


# ---- H0

FORMS = [
    start_rows(5),
    [{"x": float(x)} for x in range(5)],
    np.array([(x,) for x in range(5)], dtype=[("x", "f4")]),
    start_rows(5, sim_id=range(5), sim_started=True, sim_ended=True),
    start_rows(5, sim_started=True),
]


@pytest.mark.parametrize("H0", FORMS)
def test_evaluated_rows_come_first_and_do_not_count(comms, H0):
    given = [dict(row) for row in H0] if isinstance(H0, list) else H0.copy()
    H, _, _ = run(comms, H0=H0, sim_max=4)
    assert len(H) == 9 and H["x"][:5].tolist() == [0, 1, 2, 3, 4]
    assert H["sim_id"].tolist() == list(range(9))
    assert H["sim_started"].all() and H["sim_ended"].all()
    assert set(H["sim_worker"][:5]) == {0}
    assert H["f"].tolist() == [0.0] * 5 + [2.0 * x for x in range(5, 9)]
    assert given == H0 if isinstance(H0, list) else np.array_equal(given, H0), "the caller's H0 is as it was"


@pytest.mark.parametrize("H0", [None, [], (), np.zeros(0, dtype=[("x", float)]), np.zeros(0)])
def test_no_rows_are_no_start_history(H0):
    H, _, _ = run("threads", H0=H0)
    assert len(H) == 8 and H["sim_ended"].all()


def test_rows_that_have_not_started_are_evaluated_and_count(comms):
    H0 = start_rows(5, sim_started=[1, 0, 1, 0, 0], sim_ended=[1, 0, 1, 0, 0])
    H, _, _ = run(comms, H0=H0, sim_max=3)
    assert len(H) == 5 and H["sim_ended"].all()
    assert H["f"].tolist() == [0.0, 2.0, 0.0, 6.0, 8.0] and H["sim_id"].tolist() == [0, 1, 2, 3, 4]


def test_gen_max_counts_new_rows_only(comms):
    H, _, _ = run(comms, H0=start_rows(5), exit_criteria={"gen_max": 4})
    assert len(H) == 9
    H, _, _ = run(comms, H0=start_rows(5, gen_informed=[1, 1, 0, 0, 0]), exit_criteria={"gen_max": 4})
    assert len(H) == 9


def test_a_value_in_h0_may_stop_the_run_at_once(comms):
    H, _, flag = run(comms, H0=start_rows(3, f=[5.0, 0.1, np.nan]), exit_criteria={"stop_val": ("f", 0.5)})
    assert (len(H), flag) == (3, 0)


def test_sim_max_0_gives_h0_back(comms):
    H, _, flag = run(comms, H0=start_rows(4, sim_id=[0, 1, 2, 3]), sim_max=0)
    assert flag == 0 and H["sim_id"].tolist() == [0, 1, 2, 3]


def test_fields_of_h0_are_kept_and_its_types_win(comms):
    H0 = np.zeros(3, dtype=[("x", "f4"), ("origin", "U40"), ("f", float)])
    H0["origin"], H0["f"] = "a file", 7.0
    H, _, _ = run(comms, H0=H0, sim_max=4)
    assert H.dtype["x"] == "f4" and H["origin"].tolist() == ["a file"] * 3 + [""] * 4
    assert H["f"].tolist() == [7.0] * 3 + [6.0, 8.0, 10.0, 12.0]
    assert list(H.dtype.names)[: len(RESERVED)] == RESERVED


def test_a_field_that_only_h0_has_can_be_an_input(comms):
    H0 = np.zeros(3, dtype=[("x", float), ("scale", float), ("sim_started", bool)])
    H0["x"], H0["scale"] = [1, 2, 3], 10
    H, _, _ = run(comms, H0=H0, sim={"in": ["x", "scale"]}, sim_max=3)
    assert H["f"].tolist() == [2.0, 4.0, 6.0]


@pytest.mark.parametrize("number", [1, 2])
def test_what_is_marked_in_h0_stands_in_the_log_of_every_run(comms, number, capfd):
    for _ in range(number):
        run(comms, H0=start_rows(3))
    log = Path("ensemble.log").read_text()
    for field in ("sim_started", "sim_id"):
        assert log.count(f"H0 has no field '{field}'") == number
    assert log.count("gen_informed") == number
    assert capfd.readouterr().err.count("H0 has no field 'sim_started'") == number


def test_a_generator_that_starts_is_told_of_h0_once(comms):
    H, persis_info, _ = run(
        comms,
        gen_f=odd.persistent_and_partly_informed,
        gen={"in": ["x", "sim_id"], "persis_in": ["sim_id", "f"]},
        alloc={"alloc_f": only_persistent_gens},
        H0=start_rows(3),
        sim_max=4,
        final_gen_send=True,
    )
    assert persis_info[1]["said"] == [[0, 1, 2], [3, 4], [5, 6]]
    assert H["gen_informed"].all()


def test_h0_with_a_generator_that_wants_no_fields_at_its_start(comms):
    H, _, _ = run(comms, gen_f=user_functions.persistent_count_up, H0=start_rows(3))
    assert len(H) == 11 and H["sim_ended"].all()


# ---- going on where an earlier run ended

IN_ORDER = {"next_to_give": 0, "total_gen_calls": 0}
POLICIES = [
    (give_sim_work_first, user_functions.count_up, {}),
    (fast_alloc.give_sim_work_first, user_functions.count_up, IN_ORDER),
    (ensure_one_active_gen, user_functions.count_up, IN_ORDER),
    (only_persistent_gens, user_functions.persistent_count_up, {}),
    (persistent_aposmm_alloc, user_functions.persistent_count_up, {}),
]


@pytest.mark.parametrize("sim_max", [5, 8])
@pytest.mark.parametrize(("alloc_f", "gen_f", "persis_info"), POLICIES)
def test_a_saved_history_can_be_taken_up_again(comms, alloc_f, gen_f, persis_info, sim_max):
    gen = {"user": {"batch": 4, "initial_sample_size": 2}, "in": ["sim_id"]}
    options = {"gen_f": gen_f, "gen": gen, "alloc": {"alloc_f": alloc_f, "user": {"num_active_gens": 1}}}
    first, persis_info, _ = run(
        comms, persis_info=dict(persis_info), sim_max=sim_max, save_H_on_completion=True, **options
    )
    H0 = np.load(f"libE_history_after_sim_{sim_max}.npy")
    assert np.array_equal(H0, first)
    second, _, flag = run(comms, persis_info=persis_info, H0=H0, sim_max=7, **options)
    assert flag == 0 and second["sim_ended"].sum() == sim_max + 7
    assert second["sim_id"].tolist() == list(range(len(second)))
    assert np.array_equal(second["f"][second["sim_ended"]], 2 * second["x"][second["sim_ended"]])
    ended = first["sim_ended"]
    for name in ("sim_worker", "sim_ended_time", "gen_worker", "x"):
        assert np.array_equal(second[name][: len(first)][ended], first[name][ended])


def test_pregenerated_rows_are_evaluated_again_and_again(comms):
    persis_info = {}
    for _ in range(2):
        H, persis_info, flag = run(
            comms,
            gen={"gen_f": None},
            alloc={"alloc_f": give_pregenerated_sim_work},
            H0=start_rows(5, sim_started=False),
            persis_info=persis_info,
            sim_max=100,
        )
        assert flag == 0 and H["sim_ended"].sum() == len(H) == 5


@pytest.mark.parametrize("cancelled", [[0, 0, 0, 1, 1], [1, 0, 1, 0, 1], [1, 1, 1, 1, 1]])
def test_cancelled_pregenerated_rows_cause_no_evaluation(comms, cancelled):
    H, _, flag = run(
        comms,
        gen={"gen_f": None, "out": []},
        alloc={"alloc_f": give_pregenerated_sim_work},
        H0=start_rows(5, sim_started=False, cancel_requested=cancelled),
        sim_max=100,
    )
    assert flag == 0 and len(H) == 5
    assert H["sim_started"].tolist() == H["sim_ended"].tolist() == [not c for c in cancelled]
