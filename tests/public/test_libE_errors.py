"""Errors in a run: what its caller gets, and what stands on the terminal and in the log."""

import logging.config
import time
from pathlib import Path

import numpy as np
import pytest

from libensemble import logger
from libensemble.alloc_funcs.give_sim_work_first import give_sim_work_first
from libensemble.manager import LoggedException, ManagerException, WorkerException
from libensemble.utils.current import current
from tests.fakes import troublesome_functions as trouble
from tests.fakes import user_functions
from tests.fakes.ensembles import run


def failing(*args, **stated):
    """Run; return the LoggedException that comes out."""
    with pytest.raises(LoggedException) as caught:
        run(*args, **stated)
    return caught.value


# ---- user functions


@pytest.mark.parametrize("part", ["sim_f", "gen_f"])
def test_the_caller_learns_worker_error_and_where_to_look(comms, part):
    error = failing(comms, 1, **{part: trouble.raise_value_error})
    who, what, hint = error.args
    assert who == "Received error message from worker 1"
    assert what == "ValueError: the model diverged"
    assert "ensemble.log" in hint


def test_the_hint_names_the_log_as_it_is_called():
    logger.set_filename("mine.log")
    try:
        assert "mine.log" in failing("threads", sim_f=trouble.raise_value_error).args[2]
    finally:
        logger.set_filename("ensemble.log")


def test_the_exceptions_of_a_run_have_no_common_base_but_those_of_the_package():
    assert issubclass(LoggedException, Exception)
    assert not issubclass(LoggedException, (ManagerException, WorkerException))
    assert not issubclass(ManagerException, WorkerException) and not issubclass(WorkerException, ManagerException)


@pytest.mark.parametrize("option", [{}, {"threaded": True}])
@pytest.mark.parametrize(
    ("function", "text"),
    [
        (trouble.raise_value_error, "ValueError: the model diverged"),
        (trouble.call_exit, "SystemExit: the user function called exit with code 3"),
        (trouble.call_exit_with_text, "SystemExit: the user function called exit with code 'no licence'"),
        (trouble.raise_keyboard_interrupt, "KeyboardInterrupt"),
        (trouble.raise_chained, "ValueError: the input lacks a key"),
        (trouble.raise_cancelled, "CancelledError"),
        (trouble.raise_unshowable, "Unshowable"),
    ],
)
def test_the_remote_traceback_is_on_the_terminal_and_in_the_log(comms, function, text, option, capfd):
    error = failing(comms, sim_f=function, sim=option)
    assert text in error.args[1]
    terminal, log = capfd.readouterr().err, Path("ensemble.log").read_text()
    for shown in (terminal, log):
        assert text in shown
        assert f"in {function.__name__}" in shown and "troublesome_functions.py" in shown
        assert "UnboundLocalError" not in shown


def test_causes_are_shown_too(comms, capfd):
    failing(comms, sim_f=trouble.raise_chained)
    assert "KeyError: 'key'" in capfd.readouterr().err


def test_the_failed_call_stands_in_the_statistics(comms):
    failing(comms, sim_f=trouble.raise_value_error)
    assert "Status: Exception occurred" in Path("libE_stats.txt").read_text()


@pytest.mark.parametrize(
    ("function", "advice"),
    [
        (trouble.return_dict, "simulator"),
        (trouble.return_plain_array, "structured array"),
        (trouble.return_four, "calc_status"),
        (trouble.return_too_few, "0 entries for 1 rows"),
    ],
)
def test_a_wrong_return_is_refused_with_what_would_be_right(comms, function, advice):
    assert advice in str(failing(comms, sim_f=function).args)


def test_the_terminal_hears_of_an_error_although_user_code_set_up_logging(comms, capfd):
    failing(comms, sim_f=trouble.silence_logging_and_fail)
    assert "in silence_logging_and_fail" in capfd.readouterr().err


def test_the_terminal_hears_of_an_error_although_the_script_set_up_logging(comms, capfd):
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": True})
    failing(comms, sim_f=trouble.raise_value_error)
    assert "in raise_value_error" in capfd.readouterr().err


def test_the_terminal_hears_of_an_error_without_log_files(comms, capfd):
    error = failing(comms, sim_f=trouble.raise_value_error, disable_log_files=True)
    assert "in raise_value_error" in capfd.readouterr().err
    assert "ensemble.log" not in error.args[2] and not Path("ensemble.log").exists()


def test_an_error_does_not_wait_for_the_others(comms):
    begun = time.monotonic()
    failing(comms, 6, sim_f=trouble.fail_first_others_sleep, gen={"user": {"batch": 6}})
    assert time.monotonic() - begun < 8  # each of five others would sleep for 20 seconds


def test_results_that_came_before_the_error_are_kept(comms):
    failing(comms, 1, sim_f=trouble.raise_after_three)
    H = np.load("libE_history_at_abort_3.npy")
    assert H["f"][H["sim_ended"]].tolist() == [0.0, 2.0, 4.0]


# ---- generators that cannot go on


@pytest.mark.parametrize("gen_f", [trouble.nothing_at_all, trouble.no_points])
def test_a_generator_without_points_ends_the_run_when_nothing_else_is_under_way(comms, gen_f):
    assert "returned no points" in failing(comms, gen_f=gen_f).args[0][0]


def test_a_generator_may_have_nothing_while_simulations_are_under_way(comms):
    H, _, flag = run(comms, gen_f=user_functions.one_batch_then_none, exit_criteria={"sim_max": 4})
    assert (len(H), flag) == (4, 0)


OWN_IDS = {"out": [("sim_id", int), ("x", float)]}


@pytest.mark.parametrize(
    ("gen_f", "words"),
    [
        (trouble.one_unfilled_id, ["sim_id", "fill"]),
        (trouble.unfilled_ids, ["sim_id", "repeated"]),
        (trouble.ids_with_a_gap, ["sim_id 3", "sim_id 2", "gap"]),
        (trouble.negative_ids, ["-5"]),
    ],
)
def test_ids_that_the_generator_got_wrong_end_the_run(comms, gen_f, words):
    text = failing(comms, gen_f=gen_f, gen=OWN_IDS).args[0][0]
    assert not [word for word in words if word not in text], text


def test_a_persistent_generator_that_never_fills_its_ids_does_not_run_for_ever(comms):
    failing(comms, gen_f=user_functions.persistent_unfilled_id, gen=OWN_IDS)


@pytest.mark.parametrize("on_manager", [False, True])
@pytest.mark.parametrize(
    ("gen_f", "text"),
    [
        (user_functions.persistent_with_error_between, "ValueError: between two batches"),
        (user_functions.persistent_with_error_while_running, "ValueError: while others work"),
        (user_functions.persistent_that_ignores_the_stop, "TypeError"),
    ],
)
def test_a_persistent_generator_may_fail_at_any_time(comms, gen_f, text, on_manager, capfd):
    error = failing(comms, gen_f=gen_f, gen_on_manager=on_manager)
    assert error.args[0].endswith(f"worker {0 if on_manager else 1}") and text in error.args[1]
    assert f"in {gen_f.__name__}" in capfd.readouterr().err


def test_an_error_of_a_live_data_object_is_one_of_the_manager(comms):
    class Broken:
        def live_update(self, history):
            raise RuntimeError("no display")

        def finalize(self, history):
            pass

    assert failing(comms, live_data=Broken()).args[0] == ("no display",)


# ---- the manager and the allocation function


def broken(*args):
    """An allocation function with an error."""
    raise RuntimeError("no policy", 7)


def test_an_error_of_the_allocation_function_comes_with_its_arguments(comms, capfd):
    error = failing(comms, alloc={"alloc_f": broken})
    assert error.args[0] == ("no policy", 7) and len(error.args) == 2
    assert "in broken" in capfd.readouterr().err and "in broken" in Path("ensemble.log").read_text()


SENT_TOO_LITTLE = [
    (lambda *args: None, "(Work, persis_info)"),
    (lambda *args: ({},), "(Work, persis_info)"),
    (lambda *args: ({}, {}, 7), "flag is 0 or 1"),
    (lambda *args: ({}, []), "dicts"),
    (lambda *args: ({}, {}), "no work although all workers are idle"),
    (lambda *args: ({1: {}}, {}), "'tag'"),
    (lambda *args: ({1: {"tag": 1, "H_fields": [], "libE_info": {}}}, {}), "'H_rows'"),
    (lambda *args: ({99: {"tag": 1, "H_fields": [], "libE_info": {"H_rows": []}}}, {}), "no worker 99"),
    (lambda *args: ({1: {"tag": 1, "H_fields": ["x"], "libE_info": {"H_rows": [3]}}}, {}), "has rows 3"),
    (lambda *args: ({1: {"tag": 1, "H_fields": ["y"], "libE_info": {"H_rows": []}}}, {}), "no field ['y']"),
    (lambda *args: ({1: {"tag": 8, "H_fields": ["x"], "libE_info": {"H_rows": []}}}, {}), "tag 8"),
]


@pytest.mark.parametrize(("alloc_f", "words"), SENT_TOO_LITTLE)
def test_what_an_allocation_function_got_wrong_is_named(alloc_f, words):
    assert words in failing("threads", alloc={"alloc_f": alloc_f}).args[0][0]


def test_rows_need_fields_and_a_worker_needs_to_be_idle():
    def no_fields(*args):
        Work, persis_info = give_sim_work_first(*args)
        for order in Work.values():
            order["H_fields"] = [] if order["tag"] == 1 else order["H_fields"]
        return Work, persis_info

    assert "no fields" in failing("threads", alloc={"alloc_f": no_fields}).args[0][0]

    def again_and_again(*args):
        Work, persis_info = give_sim_work_first(*args)
        kept = persis_info.setdefault("kept", Work)
        return kept, persis_info

    slow = {"gen_f": user_functions.count_up_slowly}
    assert "while the worker is active" in failing("threads", alloc={"alloc_f": again_and_again}, **slow).args[0][0]


def test_an_exit_in_the_allocation_function_is_an_exit():
    def leave(*args):
        raise SystemExit(5)

    with pytest.raises(SystemExit, match="5"):
        run("threads", alloc={"alloc_f": leave})
    assert Path("libE_history_at_abort_0.npy").exists()


def test_a_directory_clash_is_found_before_workers_start_and_said_in_one_message(comms, monkeypatch):
    Path("ensemble").mkdir()
    Path("ensemble/results").touch()
    monkeypatch.setattr("libensemble.libE.ProcessTeam.start", lambda *args: pytest.fail("workers were started"))
    monkeypatch.setattr("libensemble.libE.ThreadTeam.start", lambda *args: pytest.fail("workers were started"))
    error = failing(comms, sim_dirs_make=True)
    assert len(error.args[0]) == 1 and "ensemble" in error.args[0][0] and "reuse_output_dir" in error.args[0][0]


def test_statistics_of_what_is_not_there_are_left_out(comms, monkeypatch):
    monkeypatch.setattr(current, "executor", None)
    fmt = {"task_timing": True, "task_datetime": True, "show_resource_sets": True}
    H, _, _ = run(comms, stats_fmt=fmt, disable_resource_manager=True)
    assert H["sim_ended"].all() and "rsets" not in Path("libE_stats.txt").read_text()
