"""The log and the statistics file of whole runs, to the letter; settings of the logger; what a failed run leaves."""

import logging
import logging.config
import os
import pickle
import re
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from libensemble import logger
from libensemble.comms.logs import LogConfig
from libensemble.errors import LoggedException
from libensemble.message_numbers import calc_status_strings
from libensemble.version import __version__
from tests.fakes import functions_of_logs as user
from tests.fakes import user_functions
from tests.fakes.ensembles import run

LOG_LINE = re.compile(r"\[(\d+)\]  (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}) ([\w. ]+) \(([A-Z_]+)\): (.*)")
DATE = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}"
TIMES = rf"Time: \d+\.\d{{3}} Start: {DATE} End: {DATE}"


@pytest.fixture(autouse=True)
def own_settings(monkeypatch):
    """Settings of the logger that are this test's alone."""
    monkeypatch.setattr(LogConfig, "config", LogConfig("libensemble"))
    return LogConfig.config


def log(path="ensemble.log"):
    """Return the lines of a log as (worker, date, logger, level, message)."""
    return [match.groups() for line in Path(path).read_text().splitlines() if (match := LOG_LINE.fullmatch(line))]


def messages(path="ensemble.log"):
    return [line[4] for line in log(path)]


def stats(path="libE_stats.txt"):
    return Path(path).read_text().splitlines()


def calls(path="libE_stats.txt"):
    """Return the lines that tell of a call."""
    return [line for line in stats(path) if " Status: " in line]


# -- ensemble.log


def test_each_line_has_its_prefix(comms):
    run(comms)
    lines = Path("ensemble.log").read_text().splitlines()
    assert lines
    assert all(LOG_LINE.fullmatch(line) for line in lines)
    assert {line[0] for line in log()} == {"0"}
    assert all(line[2].startswith("libensemble") for line in log())
    when = datetime.strptime(log()[0][1], "%Y-%m-%d %H:%M:%S,%f")
    assert abs((datetime.now() - when).total_seconds()) < 60, "local time"


def test_at_level_info_the_manager_tells_of_begin_and_end(comms):
    run(comms, exit_criteria={"sim_max": 6, "wallclock_max": 300})
    text = "\n".join(messages())
    assert __version__ in text
    assert "number of the worker" in text
    assert "{'sim_max': 6, 'wallclock_max': 300" in text
    assert re.search(r"Total time: \d+\.\d{3} s", messages()[-1])
    assert {line[3] for line in log()} == {"INFO"}


CRITERIA = {"sim_max": 5, "gen_max": 8, "wallclock_max": 0.3, "stop_val": ("f", 0.5)}


@pytest.mark.parametrize("criterion", CRITERIA)
def test_the_test_that_ended_the_run_is_logged_once(comms, criterion):
    slow = {"sim_f": user.sim_with_status, "sim": {"user": {"status": 0, "takes": 0.05}}}
    more = slow if criterion == "wallclock_max" else {}
    run(comms, exit_criteria={criterion: CRITERIA[criterion]}, **more)
    (line,) = [text for text in messages() if "Exit test" in text]
    assert criterion in line
    bound = CRITERIA[criterion]
    assert str(bound[1] if isinstance(bound, tuple) else bound) in line


def test_logs_and_statistics_are_appended(comms):
    for _ in range(2):
        run(comms)
    assert sum("Exit test" in text for text in messages()) == 2
    assert [("Starting" in line, "Exiting" in line) for line in stats() if line.startswith("Manager")] == [
        (True, False),
        (False, True),
    ] * 2


def test_what_workers_log_carries_their_number(comms):
    run(comms, 2, sim_f=user.sim_that_logs)
    mine = [line for line in log() if line[2] == "libensemble.sims of the tests"]
    told = [line for line in mine if " on " in line[4]]
    assert all(worker == text.rsplit(" ", 1)[-1] for worker, _, _, _, text in told)
    assert {worker for worker, *_ in told} == {"1", "2"}
    assert len(told) == 8 * 3
    assert {line[3] for line in told} == {"INFO", "WARNING", "MANAGER_WARNING"}
    assert len(mine) == len(told)


def test_records_that_do_not_fit_their_arguments_are_no_error(comms):
    run(comms, sim_f=user.sim_that_logs_what_does_not_fit)
    assert sum("cannot be shown" in text for text in messages()) == 8


def test_what_is_important_is_shown_on_the_terminal_in_the_same_form(comms, capfd):
    run(comms, 2, sim_f=user.sim_that_logs)
    shown = [match.groups() for line in capfd.readouterr().err.splitlines() if (match := LOG_LINE.fullmatch(line))]
    assert len(shown) == 8
    assert shown == [line for line in log() if line[3] == "MANAGER_WARNING"]


def test_tracebacks_go_on_without_a_prefix(comms):
    run(comms, 1, sim_f=user.sim_that_logs_its_trouble, sim_max=1)
    lines = Path("ensemble.log").read_text().splitlines()
    first = next(number for number, line in enumerate(lines) if line.endswith("went on"))
    assert LOG_LINE.fullmatch(lines[first]).group(1, 4) == ("1", "ERROR")
    assert lines[first + 1] == "Traceback (most recent call last):"
    assert "ArithmeticError: a small trouble" in lines[first + 2 :]


def test_warnings_about_H0_reach_the_log_of_the_first_run(comms):
    H0 = np.zeros(3, dtype=[("x", float), ("sim_started", bool)])
    H0["sim_started"] = True
    run(comms, H0=H0)
    assert any("H0" in text for text in messages()), messages()


# -- libE_stats.txt


def test_statistics_to_the_letter(comms):
    run(comms, 2, sim_max=8)
    first, *between, last = stats()
    assert re.fullmatch(rf"Manager     : Starting ensemble at: {DATE}", first)
    assert re.fullmatch(rf"Manager     : Exiting ensemble at: {DATE} Time Taken: \d+\.\d{{1,3}}", last)
    sims = [line for line in between if "sim_id" in line]
    gens = [line for line in between if "Gen no" in line]
    assert len(sims) + len(gens) == len(between)
    for line in sims:
        assert re.fullmatch(rf"Worker     [12]: sim_id     [0-7]: sim {TIMES} Status: Not set", line), line
    for line in gens:
        assert re.fullmatch(rf"Worker     [12]: Gen no     [1-9]: gen {TIMES} Status: Not set", line), line
    assert sorted(int(re.search(r"sim_id +(\d+):", line)[1]) for line in sims) == list(range(8))
    assert [int(re.search(r"Gen no +(\d+):", line)[1]) for line in gens] == list(range(1, len(gens) + 1))


def test_the_lines_name_the_worker_of_each_row(comms):
    H, _, _ = run(comms, 3, sim_max=12, gen={"user": {"batch": 12}})
    told = {int(row): int(worker) for worker, row in re.findall(r"Worker +(\d+): sim_id +(\d+):", "\n".join(stats()))}
    assert told == {row: int(worker) for row, worker in enumerate(H["sim_worker"])}


def test_lengths_and_dates_agree(comms):
    run(comms, sim_f=user.sim_with_status, sim={"user": {"status": 0, "takes": 0.05}}, sim_max=4)
    for line in calls():
        length, start, end = re.search(rf"Time: (\S+) Start: ({DATE}) End: ({DATE})", line).groups()
        start, end = (datetime.strptime(date, "%Y-%m-%d %H:%M:%S.%f") for date in (start, end))
        assert abs((end - start).total_seconds() - float(length)) < 0.0021
        assert "sim_id" not in line or float(length) >= 0.05
    taken = float(stats()[-1].rsplit(" ", 1)[-1])
    start, end = (
        datetime.strptime(re.search(DATE, line)[0], "%Y-%m-%d %H:%M:%S.%f") for line in (stats()[0], stats()[-1])
    )
    assert abs((end - start).total_seconds() - taken) < 0.0021


@pytest.mark.parametrize("status", [0, 11, 20, 21, 30, 31, 32, 33, 34, 35, 36, "diverged", "two\nlines"])
def test_the_status_is_shown_in_words(comms, status):
    run(comms, 1, sim_f=user.sim_with_status, sim={"user": {"status": status}}, sim_max=2)
    words = calc_status_strings.get(status, " ".join(str(status).splitlines()))
    sims = [line for line in calls() if "sim_id" in line]
    assert len(sims) == 2
    assert all(line.endswith(f" Status: {words}") for line in sims)


def test_no_status_at_all_is_unknown(comms):
    run(comms, 1, sim_f=user.sim_with_status, sim={"user": {"status": None}}, sim_max=1)
    assert calls()[-1].endswith(" Status: Unknown Status")


def test_a_call_that_raised_has_its_line(comms, capfd):
    with pytest.raises(LoggedException):
        run(comms, 1, sim_f=user.sim_that_fails_at_two)
    ends = [line.rsplit("Status: ", 1)[1] for line in calls() if "sim_id" in line]
    assert ends == ["Not set", "Not set", "Exception occurred"]
    assert stats()[-1].startswith("Manager     : Exiting ensemble at")


def test_a_persistent_generator_has_one_line_at_its_end(comms):
    run(comms, gen_f=user_functions.persistent_count_up)
    (line,) = [line for line in calls() if "Gen no" in line]
    assert re.fullmatch(rf"Worker     \d: Gen no     1: gen {TIMES} Status: Persis gen finished", line)
    assert calls()[-1] == line


def test_a_persistent_simulator_has_one_line_at_its_end(comms):
    H, _, _ = run(comms, 2, sim_f=user.persistent_double, alloc={"alloc_f": user.start_persistent_sims}, sim_max=4)
    assert H["f"][:4].tolist() == [0, 2, 4, 6]
    (line,) = [line for line in calls() if "sim Time" in line]
    assert re.fullmatch(rf"Worker     2: sim_id +\S+: sim {TIMES} Status: Persis sim finished", line)


def test_a_generator_on_the_manager_is_told_of_by_the_manager(comms):
    run(comms, gen_on_manager=True)
    gens = [line for line in calls() if "Gen no" in line]
    assert gens
    assert all(line.startswith("Manager     : Gen no") for line in gens)


def test_several_rows_are_shown_as_ranges(comms):
    run(
        comms,
        1,
        gen_f=user.points_that_matter,
        gen={"out": [("x", float)]},
        alloc={"user": {"give_all_with_same_priority": True}},
        sim_max=8,
    )
    (line,) = [line for line in calls() if "sim_id" in line]
    assert re.match(r"Worker     1: sim_id   0-7: sim Time", line)


@pytest.mark.parametrize("level", ["DEBUG", "WARNING", "ERROR", "CRITICAL"])
def test_statistics_do_not_depend_on_the_log_level(comms, level):
    logger.set_level(level)
    run(comms, sim_max=8)
    assert len([line for line in calls() if "sim_id" in line]) == 8
    assert any("Gen no" in line for line in calls())
    assert stats()[0].startswith("Manager     : Starting")
    assert stats()[-1].startswith("Manager     : Exiting")


EVERYTHING = {"task_timing": True, "task_datetime": True, "show_resource_sets": True}


def test_resource_sets_are_shown_as_plain_numbers_before_the_status(comms):
    run(comms, 2, stats_fmt={"show_resource_sets": True})
    assert calls()
    for line in calls():
        worker, team = re.fullmatch(rf"Worker +(\d): .* {TIMES} rsets: \[([\d, ]*)\] Status: Not set", line).groups()
        assert team == str(int(worker) - 1)


def test_several_resource_sets_are_a_list(comms):
    run(
        comms,
        2,
        num_resource_sets=4,
        stats_fmt={"show_resource_sets": True},
        gen_f=user.points_for_two_sets,
        gen={"out": [("x", float), ("resource_sets", int)]},
        sim_max=8,
    )
    teams = {re.search(r" rsets: (\[.*?\]) Status", line)[1] for line in calls() if "sim_id" in line}
    assert teams
    assert teams <= {"[0, 1]", "[2, 3]"}


def test_parts_without_facts_are_left_out(comms):
    run(comms, 2, stats_fmt=EVERYTHING, disable_resource_manager=True)
    assert len([line for line in calls() if "sim_id" in line]) == 8
    for line in calls():
        assert re.fullmatch(rf"Worker +\d: (sim_id|Gen no) +\S+: (sim|gen) {TIMES} Status: Not set", line)


# -- Settings


def test_nothing_below_the_level_is_logged(comms):
    logger.set_level("warning")
    assert logger.get_level() == 30
    run(comms, sim_f=user.sim_that_logs)
    assert {line[3] for line in log()} == {"WARNING", "MANAGER_WARNING"}


def test_more_is_logged_at_level_debug_on_workers_too(comms):
    logger.set_level("DEBUG")
    run(comms, sim_f=user.sim_that_logs)
    assert sum(text.startswith("debug: x") for text in messages()) == 8


@pytest.mark.slow
def test_spawned_workers_know_the_level(monkeypatch):
    import multiprocessing

    context = multiprocessing.get_context("spawn")
    monkeypatch.setattr(multiprocessing, "get_context", lambda *_: context)
    logger.set_level("DEBUG")
    run("local", 1, sim_f=user.sim_that_logs, sim_max=2)
    told = [(line[0], line[4]) for line in log() if line[4].startswith("debug: x")]
    assert ("1", "debug: x = 0 on 1") in told


def set_levels_between(H, persis_info, gen_specs):
    logger.set_level("ERROR")
    return user_functions.count_up(H, persis_info, gen_specs)


def test_the_level_can_be_changed_while_the_log_is_open():
    run("threads", gen_f=set_levels_between, sim_f=user.sim_that_logs)
    assert "INFO" in {line[3] for line in log()}
    assert not any(" on " in text for text in messages())


def test_the_terminals_level_can_be_set(comms, capfd):
    logger.set_stderr_level("WARNING")
    assert logger.get_stderr_level() == 30
    run(comms, sim_f=user.sim_that_logs)
    shown = capfd.readouterr().err
    assert shown.count("warning: x = ") == 16
    assert "info: x" not in shown
    logger.set_stderr_level("ERROR")
    run(comms, sim_f=user.sim_that_logs)
    assert "warning" not in capfd.readouterr().err


def test_file_names_can_be_chosen_before_the_run(comms):
    logger.set_filename("mine.log")
    LogConfig.config.stat_filename = "stats.txt"
    run(comms)
    assert sorted(os.listdir()) == ["mine.log", "stats.txt"]
    assert len(calls("stats.txt")) >= 9
    assert any("Exit test" in text for text in messages("mine.log"))


def test_the_directory_of_both_can_be_chosen(comms):
    logger.set_directory("some/where")
    run(comms)
    assert sorted(os.listdir("some/where")) == ["ensemble.log", "libE_stats.txt"]
    assert os.listdir() == ["some"]


def rename_the_log(H, persis_info, gen_specs):
    logger.set_filename("late.log")
    return user_functions.count_up(H, persis_info, gen_specs)


def test_during_the_run_a_new_name_is_only_a_warning(own_folder):
    run("threads", gen_f=rename_the_log)
    assert not Path("late.log").exists()
    assert any(line[3] == "WARNING" and "late.log" in line[4] for line in log())
    run("threads")
    assert not Path("late.log").exists()


def test_chosen_names_hold_in_a_workflow_directory(comms):
    logger.set_filename("mine.log")
    run(comms, workflow_dir_path="flow")
    assert sorted(os.listdir("flow")) == ["libE_stats.txt", "mine.log"]
    run(comms)
    assert sorted(os.listdir()) == ["flow", "libE_stats.txt", "mine.log"]


def test_log_files_can_be_left_out(comms, capfd):
    run(comms, sim_f=user.sim_that_logs, disable_log_files=True)
    assert os.listdir() == []


def test_without_files_an_error_still_says_what_it_is(comms, capfd, monkeypatch):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    with pytest.raises(LoggedException, match="no result for x = 2"):
        run(comms, 1, sim_f=user.sim_that_fails_at_two, disable_log_files=True)
    shown = capfd.readouterr().err
    assert "ArithmeticError: no result for x = 2" in shown
    assert "sim_that_fails_at_two" in shown, "the traceback"
    assert not [name for name in os.listdir() if name.endswith((".log", ".txt"))]


def test_without_files_records_reach_the_terminal_under_their_workers_number(comms, capfd, monkeypatch):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    run(comms, sim_f=user.sim_that_logs, disable_log_files=True)
    shown = [match.groups() for line in capfd.readouterr().err.splitlines() if (match := LOG_LINE.fullmatch(line))]
    assert len(shown) == 8
    assert all(worker == text.rsplit(" ", 1)[-1] for worker, _, _, _, text in shown)


def test_without_files_a_script_can_show_all_records_by_handlers_of_its_own(comms, caplog):
    run(comms, sim_f=user.sim_that_logs, disable_log_files=True)
    assert sum(record.getMessage().startswith("info: x") for record in caplog.records) == 8


def test_a_run_leaves_the_loggers_as_they_were(comms):
    root = logging.getLogger("libensemble")
    before = root.level, root.propagate, list(root.handlers)
    run(comms)
    assert (root.level, root.propagate, list(root.handlers)) == before


def test_a_script_that_sets_up_logging_by_itself_still_gets_a_log(comms):
    names = [name for name in logging.root.manager.loggerDict if not name.startswith("libensemble")]
    disabled = {name: getattr(logging.root.manager.loggerDict[name], "disabled", None) for name in names}
    handlers = list(logging.getLogger().handlers)
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": True})
    try:
        run(comms, sim_f=user.sim_that_logs)
    finally:
        for name, value in disabled.items():
            if value is not None:
                logging.root.manager.loggerDict[name].disabled = value
        logging.getLogger().handlers[:] = handlers
    assert any("Exit test" in text for text in messages())
    assert sum(text.startswith("info: x") for text in messages()) == 8


# -- Files of a failed run


def test_a_failed_run_leaves_its_history_and_persis_info(comms, capfd):
    with pytest.raises(LoggedException) as raised:
        run(comms, 1, sim_f=user.sim_that_fails_at_two, persis_info={1: {"mine": "kept"}})
    assert sorted(os.listdir()) == [
        "ensemble.log",
        "libE_history_at_abort_2.npy",
        "libE_persis_info_at_abort_2.pickle",
        "libE_stats.txt",
    ]
    H = np.load("libE_history_at_abort_2.npy")
    assert H["sim_ended"].tolist() == [True, True, False, False]
    assert H["f"][:2].tolist() == [0, 2]
    with open("libE_persis_info_at_abort_2.pickle", "rb") as file:
        persis_info = pickle.load(file)
    assert persis_info[1]["mine"] == "kept"
    assert persis_info[1]["seen"] == 1.0
    assert "libE_history_at_abort_2.npy" in str(raised.value)


def test_unless_it_is_not_wanted(comms, capfd):
    with pytest.raises(LoggedException):
        run(comms, 1, sim_f=user.sim_that_fails_at_two, save_H_and_persis_on_abort=False)
    assert sorted(os.listdir()) == ["ensemble.log", "libE_stats.txt"]


def stubborn_alloc(W, H, sim_specs, gen_specs, alloc_specs, persis_info, libE_info):
    if len(H):
        raise RuntimeError("no more of this")
    from libensemble.alloc_funcs.give_sim_work_first import give_sim_work_first

    return give_sim_work_first(W, H, sim_specs, gen_specs, alloc_specs, persis_info, libE_info)


def test_an_error_on_the_manager_leaves_them_too(comms, capfd):
    with pytest.raises(LoggedException, match="no more of this"):
        run(comms, alloc={"alloc_f": stubborn_alloc})
    assert len(np.load("libE_history_at_abort_0.npy")) == 4
    text = Path("ensemble.log").read_text()
    assert "Traceback (most recent call last):" in text
    assert "RuntimeError: no more of this" in text
    assert "stubborn_alloc" in capfd.readouterr().err


def test_what_cannot_be_pickled_does_not_hide_the_error(comms, capfd):
    with pytest.raises(LoggedException, match="no result for x = 2"):
        run(comms, 1, sim_f=user.sim_that_fails_at_two, persis_info={"watch": lambda: 0})


def test_the_error_is_logged_with_worker_message_and_traceback(comms, capfd):
    with pytest.raises(LoggedException) as raised:
        run(comms, 1, sim_f=user.sim_that_fails_at_two)
    assert raised.value.args[:2] == ("Received error message from worker 1", "ArithmeticError: no result for x = 2")
    assert "ensemble.log" in raised.value.args[2]
    for text in (Path("ensemble.log").read_text(), capfd.readouterr().err):
        assert "worker 1" in text
        assert "ArithmeticError: no result for x = 2" in text
        assert "in sim_that_fails_at_two" in text


def test_the_hint_names_the_log_that_is_in_use(comms, capfd):
    logger.set_filename("mine.log")
    with pytest.raises(LoggedException, match=r"mine\.log"):
        run(comms, 1, sim_f=user.sim_that_fails_at_two)


def test_the_statistics_are_readable_while_the_run_goes_on(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from tests.fakes.ensembles import run\n"
        "from tests.fakes import functions_of_logs as user\n"
        "run('threads', 1, sim_f=user.sim_with_status, sim={'user': {'status': 35, 'takes': 0.4}}, sim_max=60)\n"
    )
    root = str(Path(__file__).resolve().parents[2])
    process = subprocess.Popen([sys.executable, str(script)], env={**os.environ, "PYTHONPATH": root})
    try:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not (Path("libE_stats.txt").exists() and calls()):
            time.sleep(0.05)
        assert any("sim_id     0:" in line for line in calls()) or len(calls()) == 1
        assert process.poll() is None
    finally:
        process.terminate()
        process.wait()
