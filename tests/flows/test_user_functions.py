"""What user functions are given, and what is made of everything they may return."""

import os

import numpy as np
import pytest
from pydantic import ValidationError

from libensemble.errors import LoggedException
from libensemble.executors import Executor
from libensemble.executors.mpi_executor import MPIExecutor
from libensemble.message_numbers import calc_status_strings, calc_type_strings
from libensemble.specs import SimSpecs
from libensemble.utils.current import current
from tests.fakes import conversations
from tests.fakes.ensembles import run

TWO_ROWS = {"alloc_f": conversations.all_rows_at_once, "user": {}}  # both rows of a batch of two in one order


def statuses(folder, kind="sim"):
    """Return the status texts of the statistics file, in order."""
    lines = (folder / "libE_stats.txt").read_text().splitlines()
    return [line.split("Status: ")[1] for line in lines if f": {kind} Time:" in line]


# ---- arguments


@pytest.mark.parametrize("name", conversations.SIMULATORS)
def test_a_function_gets_as_many_arguments_as_it_declares(comms, name):
    sim_f, value = conversations.SIMULATORS[name]
    H, _, flag = run(comms, 1, sim_f=sim_f, sim_max=2)
    assert flag == 0 and H["sim_ended"][:2].all()
    assert (H["f"][:2] == value).all()


def test_a_lambda_is_a_user_function(comms):
    H, _, _ = run(
        comms,
        1,
        sim_f=lambda H, _, specs: conversations.outputs(H, specs, f=8),
        gen_f=lambda H: np.zeros(2, dtype=[("x", float)]),
        sim_max=2,
    )
    assert (H["f"][:2] == 8).all()


def test_more_than_four_parameters_end_the_run_with_pythons_own_error(comms):
    with pytest.raises(LoggedException, match="missing 1 required positional argument: 'more'"):
        run(comms, 1, sim_f=conversations.takes_five, sim_max=2)


def test_what_a_simulator_is_given(comms):
    H, _, _ = run(comms, 2, sim_f=conversations.seen, sim={"out": conversations.SEEN, "in": ["x", "sim_id"]}, sim_max=4)
    one = H[:4]
    assert (one["worker"] == one["sim_worker"]).all()
    assert (one["rows_kind"] == "i").all() and (one["rows"] == 1).all()
    assert (one["fields"] == "x,sim_id").all()
    keys = set(str(one["keys"][0]).split(","))
    assert {"H_rows", "comm", "workerID", "executor", "rset_team"} <= keys
    assert "gen_count" not in keys and "persistent" not in keys
    assert (one["comm_workers"] == 2).all()
    assert not one["has_executor"].any()
    assert (one["persis_type"] == "dict").all()


def test_the_executor_in_libE_info_is_the_one_behind_the_door(comms):
    before = current.executor
    try:
        MPIExecutor() if comms == "local" else Executor()
        H, _, _ = run(comms, 2, sim_f=conversations.seen, sim={"out": conversations.SEEN}, sim_max=4)
    finally:
        current.executor = before
    assert H["has_executor"][:4].all() and H["same_executor"][:4].all()


def test_what_an_allocation_function_adds_to_libE_info_reaches_the_user_function(comms):
    alloc = {"alloc_f": conversations.all_rows_at_once, "user": {"info": {"extra": "hello"}}}
    H, _, _ = run(
        comms, 1, sim_f=conversations.seen, sim={"out": conversations.SEEN}, gen={"user": {"batch": 3}}, alloc=alloc
    )
    assert (H["extra"] == "hello").all() and (H["rows"] == 3).all()


@pytest.mark.parametrize(("given", "arrives"), [(None, "dict"), ([], "list"), ({}, "dict")])
def test_persis_info_arrives_as_the_order_has_it_and_none_as_an_empty_dict(comms, given, arrives):
    alloc = {"alloc_f": conversations.all_rows_at_once, "user": {"persis_info": given}}
    H, _, _ = run(comms, 1, sim_f=conversations.seen, sim={"out": conversations.SEEN}, alloc=alloc)
    assert (H["persis_type"] == arrives).all()


def test_a_generator_without_in_fields_gets_no_rows_and_int_row_numbers(comms):
    gen = {"out": conversations.GEN_SHOWS, "in": []}
    H, _, _ = run(
        comms,
        2,
        gen_f=conversations.gen_shows,
        gen=gen,
        sim={"in": ["n_rows"], "sim_f": conversations.takes_one},
        sim_max=3,
    )
    assert (H["n_rows"] == 0).all() and (H["row_kind"] == "i").all() and (H["fields"] == "").all()
    assert list(H["gen_count"][:3]) == [1, 2, 3]  # one number per call, over all workers


def test_a_generator_gets_the_asked_fields_of_all_rows(comms):
    gen = {"out": conversations.GEN_SHOWS, "in": ["f", "n_rows"]}
    H, _, _ = run(
        comms,
        2,
        gen_f=conversations.gen_shows,
        gen=gen,
        sim={"in": ["n_rows"], "sim_f": conversations.takes_one},
        sim_max=4,
    )
    assert list(H["n_rows"][:4]) == [0, 1, 2, 3]
    assert (H["fields"][:4] == "f,n_rows").all()  # also in the first call, which has no rows
    assert (H["batch_size"] >= 0).all() and (H["batch_size"] <= 2).all()


# ---- returns

GOOD = [
    # form, status text, whether its persis_info is merged
    ("array", "Not set", False),
    ("array, int", "Completed", False),
    ("array, numpy int", "Completed", False),
    ("array, str", "Very well", False),
    ("array, dict", "Not set", True),
    ("array, dict, int", "Completed", True),
    ("array, dict, str", "Very well", True),
    ("array, None", "Not set", False),
    ("array, None, int", "Completed", False),
    ("array, [], int", "Completed", False),
    ("array, {}, int", "Completed", False),
    ("list: array, dict, int", "Completed", True),
    ("list: array, int", "Completed", False),
    ("tuple of one", "Not set", False),
    ("more entries", "Not set", False),
]


@pytest.mark.parametrize(("form", "status", "merges"), GOOD)
@pytest.mark.parametrize("rows", [1, 2, 3])
def test_every_accepted_form_of_a_return(comms, tmp_path, form, status, merges, rows):
    H, persis_info, _ = run(
        comms, 1, sim_f=conversations.returns, sim={"user": {"do": form}}, gen={"user": {"batch": rows}}, alloc=TWO_ROWS
    )
    assert len(H) == rows and H["sim_ended"].all()
    assert list(H["f"]) == list(range(1, rows + 1))
    assert statuses(tmp_path) == [status]
    assert persis_info.get(1, {}).get("mark") == (1 if merges else None)


@pytest.mark.parametrize("form", ["nothing", "None, dict, int"])
def test_a_row_without_output_ends_all_the_same(comms, form, tmp_path):
    H, persis_info, _ = run(comms, 1, sim_f=conversations.returns, sim={"user": {"do": form}}, alloc=TWO_ROWS)
    assert H["sim_ended"].all() and not H["f"].any()
    assert statuses(tmp_path) == ["Not set" if form == "nothing" else "Completed"]


def test_a_single_entry_is_an_array_of_one(comms):
    H, _, _ = run(
        comms, 1, sim_f=conversations.returns, sim={"user": {"do": "one entry"}}, sim_max=2, gen={"user": {"batch": 1}}
    )
    assert list(H["f"][:2]) == [1, 2]


BAD = [
    ("four items", "4 items"),
    ("dict", "simulator="),
    ("dict, dict", "simulator="),
    ("plain array", "structured array"),
    ("number", "a float"),
    ("list of numbers", "structured array"),
    ("too few", "0 entries for 4 rows"),
    ("array, array", "persis_info"),
    ("array, list", "persis_info"),
    ("array, dict, list", "status"),
]


@pytest.mark.parametrize(("form", "text"), BAD)
def test_a_return_that_means_nothing_is_an_error_that_says_what_would_be_right(comms, form, text):
    with pytest.raises(LoggedException) as caught:
        run(comms, 1, sim_f=conversations.returns, sim={"user": {"do": form}}, alloc=TWO_ROWS)
    assert text in str(caught.value)


def test_merging_persis_info_adds_and_changes_keys_but_deletes_none(comms):
    mine = {1: {"kept": "mine"}}
    H, persis_info, _ = run(comms, 1, sim_f=conversations.grows, sim_max=3, persis_info=mine)
    assert persis_info[1] == {"kept": "mine", "calls": 3, "call 1": True, "call 2": True, "call 3": True}
    assert persis_info[1] is mine[1]  # the caller's own inner dict
    assert set(mine) == {1}  # but the outer dict gains nothing


@pytest.mark.parametrize("form", ["empty array", "empty list", "empty list, dict"])
def test_a_generator_that_has_nothing_while_nothing_else_goes_on_ends_the_run(comms, form):
    with pytest.raises(LoggedException, match="no points|gives no work"):
        run(comms, 1, gen_f=conversations.gen_returns, gen={"user": {"do": form}}, sim_max=10)


def test_a_generator_that_returns_none_is_told_what_to_return(comms):
    with pytest.raises(LoggedException, match="must return a structured array"):
        run(comms, 1, gen_f=conversations.gen_returns, gen={"user": {"do": "nothing"}}, sim_max=10)


# ---- numbers and their texts


def test_the_numbers_of_tags_and_statuses():
    from libensemble import message_numbers

    expected = {
        "UNSET_TAG": 0, "EVAL_SIM_TAG": 1, "EVAL_GEN_TAG": 2, "STOP_TAG": 3, "PERSIS_STOP": 4,
        "FINISHED_PERSISTENT_SIM_TAG": 11, "FINISHED_PERSISTENT_GEN_TAG": 12,
        "MAN_SIGNAL_FINISH": 20, "MAN_SIGNAL_KILL": 21,
        "WORKER_KILL": 30, "WORKER_KILL_ON_ERR": 31, "WORKER_KILL_ON_TIMEOUT": 32, "TASK_FAILED": 33,
        "TASK_FAILED_TO_START": 34, "WORKER_DONE": 35, "CALC_EXCEPTION": 36,
    }  # fmt: skip
    assert {name: getattr(message_numbers, name) for name in expected} == expected
    assert list(message_numbers.MAN_KILL_SIGNALS) == [20, 21]
    assert calc_type_strings == {1: "sim", 2: "gen", 4: "STOP with work", None: "No type set"}
    assert calc_status_strings == {
        0: "Not set", 11: "Persis sim finished", 12: "Persis gen finished", 20: "Manager killed on finish",
        21: "Manager killed task", 30: "Worker killed", 31: "Worker killed task on Error",
        32: "Worker killed task on Timeout", 33: "Task Failed during run", 34: "Task Failed to start",
        35: "Completed", 36: "Exception occurred", None: "Unknown Status",
    }  # fmt: skip


# ---- ways to be called


def test_a_threaded_function_runs_in_a_thread_of_its_own_and_sees_the_workers_executor(comms):
    before = current.executor
    try:
        Executor()
        sim = {"out": conversations.SEEN, "threaded": True}
        H, _, _ = run(comms, 2, sim_f=conversations.seen, gen={"threaded": True}, sim=sim, sim_max=6)
    finally:
        current.executor = before
    assert (H["thread"][:6] == "libE user function").all()
    assert H["same_executor"][:6].all()
    assert (H["worker"][:6] == H["sim_worker"][:6]).all()


def test_an_error_in_a_threaded_function_keeps_its_type_and_traceback(comms, capfd):
    sim = {"threaded": True, "user": {"do": "chained"}}
    with pytest.raises(LoggedException, match="OwnError: code 8: the second reason"):
        run(comms, 1, sim_f=conversations.fails, sim=sim, sim_max=2)
    shown = capfd.readouterr().err
    assert "in inner_cause" in shown and "ValueError: the first reason" in shown


def test_a_globus_endpoint_is_refused_in_words(comms):
    with pytest.raises(LoggedException, match="globus_compute_endpoint"):
        run(comms, 1, sim={"globus_compute_endpoint": "12345"}, sim_max=2)


# ---- simulations that raise


def test_failed_simulations_can_be_recorded_instead_of_ending_the_run(comms, tmp_path, capfd):
    sim = {"user": {"do": "own error", "at": 3}, "out": conversations.MANY_KINDS, "on_error": "record"}
    H, _, flag = run(comms, 2, sim_f=conversations.fails, sim=sim, sim_max=8)
    assert flag == 0 and H["sim_ended"][:8].all()
    failed = H[3]
    assert np.isnan(failed["f"]) and np.isnan(failed["g"]).all() and np.isnan(failed["z"])
    assert failed["n"] == 0 and failed["name"] == "" and not failed["ok"] and failed["thing"] is None
    assert (np.delete(H["f"][:8], 3) == 1).all()
    assert sorted(statuses(tmp_path)) == ["Exception occurred"] + ["Not set"] * 7
    log = (tmp_path / "ensemble.log").read_text()
    assert "OwnError: code 7" in log and "in inner_cause" in log and "rows [3]" in log
    assert "in inner_cause" in capfd.readouterr().err


def test_all_rows_of_a_failed_order_are_recorded(comms):
    sim = {"user": {"do": "own error", "at": 1}, "on_error": "record"}
    H, _, flag = run(comms, 1, sim_f=conversations.fails, sim=sim, alloc=TWO_ROWS)
    assert flag == 0 and H["sim_ended"].all() and np.isnan(H["f"]).all()


@pytest.mark.parametrize("what", ["exit", "interrupt"])
def test_exits_are_not_recorded(comms, what):
    with pytest.raises(LoggedException, match="SystemExit|KeyboardInterrupt"):
        sim = {"user": {"do": what, "at": 1}, "on_error": "record"}
        run(comms, 1, sim_f=conversations.fails, sim=sim, sim_max=4)


def test_failed_simulations_can_be_tried_again(comms):
    sim = {"user": {"times": 2}, "out": [("f", float), ("tries", int)], "max_retries": 2}
    H, _, flag = run(comms, 2, sim_f=conversations.fails_at_first, sim=sim, sim_max=6, sim_dirs_make=True)
    assert flag == 0 and (H["tries"][:6] == 3).all()
    assert (H["f"][:6] == H["x"][:6]).all()  # each try got the input as it was sent


def test_after_the_last_try_the_run_ends_or_the_failure_is_recorded(comms):
    sim = {"user": {"times": 5}, "out": [("f", float), ("tries", int)], "max_retries": 1}
    with pytest.raises(LoggedException, match="try 2 of row"):
        run(comms, 1, sim_f=conversations.fails_at_first, sim=sim, sim_max=2)
    H, _, flag = run(comms, 1, sim_f=conversations.fails_at_first, sim={**sim, "on_error": "record"}, sim_max=2)
    assert flag == 0 and np.isnan(H["f"][:2]).all()


def test_what_to_do_with_errors_is_checked_when_it_is_stated():
    with pytest.raises(ValidationError, match="record"):
        SimSpecs(on_error="recrod")
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        SimSpecs(max_retries=-1)


# ---- the environment


@pytest.fixture
def executor():
    before = current.executor
    made = Executor()
    made.register_app(full_path="/usr/bin/env", app_name="env")
    yield made
    current.executor = before


def test_what_a_user_function_sets_in_the_environment_reaches_its_applications(executor):
    H, _, _ = run("local", 2, sim_f=conversations.sets_the_environment, sim_max=6)
    assert H["f"][:6].tolist() == list(range(6))
    assert "LIBE_TEST_ROW" not in os.environ


@pytest.mark.parametrize(("stated", "runner"), [({}, "jsrun"), ({"platform": "frontier"}, "srun")])
def test_the_environment_may_name_the_platform_and_the_option_wins(comms, executor, monkeypatch, stated, runner):
    monkeypatch.setenv("LIBE_PLATFORM", "summit")
    sim = {"out": [("f", float), ("runner", "U10")]}
    H, _, _ = run(comms, 1, sim_f=conversations.shows_the_platform, sim=sim, sim_max=2, **stated)
    assert H["runner"][:2].tolist() == [runner] * 2
