"""Rules of the two log files: format, prefix, levels, what is written where and that it is written once."""

import logging
import os
import re
import sys
import threading

import pytest

from libensemble.comms import logs
from libensemble.comms.logs import LogConfig, manager_logging_config, relay, worker_logging_config, write_stats
from libensemble.comms.messages import LogLine
from libensemble.errors import DirectoryError

LOG_LINE = re.compile(r"\[(\d+)\]  (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}) (\S+) \((\w+)\): (.*)")
DATE = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}"


class Post:
    """A comm that keeps what is sent; each letter can be pickled, as a real one must be."""

    def __init__(self):
        self.sent = []

    def send(self, message):
        self.sent.append(message)


@pytest.fixture(autouse=True)
def run_directory(tmp_path, monkeypatch):
    """A directory and settings of this test alone; logs are closed at the end whatever happens."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(LogConfig, "config", LogConfig("libensemble"))
    root, stats = logging.getLogger("libensemble"), logging.getLogger("libensemble.calc stats")
    before = [(one, one.level, one.propagate, list(one.handlers)) for one in (root, stats)]
    prefix = logs.worker_prefix.get()
    yield tmp_path
    logs._open.close()
    logs.bind_worker(prefix)
    for one, level, propagate, handlers in before:
        one.setLevel(level)
        one.propagate = propagate
        one.handlers[:] = handlers


def log_lines(path="ensemble.log"):
    with open(path) as file:
        return [match.groups() if (match := LOG_LINE.fullmatch(line.rstrip("\n"))) else line for line in file]


def stats_lines(path="libE_stats.txt"):
    with open(path) as file:
        return file.read().splitlines()


def test_line_format():
    close = manager_logging_config()
    logging.getLogger("libensemble.manager").info("hello %s", "you")
    close()
    (worker, _, name, level, text) = log_lines()[-1]
    assert (worker, name, level, text) == ("0", "libensemble.manager", "INFO", "hello you")


def test_logs_are_appended():
    for word in ("first", "second"):
        close = manager_logging_config()
        logging.getLogger("libensemble").info(word)
        close()
    assert [line[4] for line in log_lines()] == ["first", "second"]
    assert len(stats_lines()) == 4


def test_statistics_begin_and_end_with_the_run():
    manager_logging_config()()
    start, end = stats_lines()
    assert re.fullmatch(rf"Manager     : Starting ensemble at: {DATE}", start)
    assert re.fullmatch(rf"Manager     : Exiting ensemble at: {DATE} Time Taken: \d+\.\d{{1,3}}", end)


def test_statistics_lines_name_the_worker():
    close = manager_logging_config()
    write_stats(2, "two")
    write_stats(12345, "many")
    write_stats(0, "generator on the manager")
    close()
    assert stats_lines()[1:-1] == ["Worker     2: two", "Worker 12345: many", "Manager     : generator on the manager"]


def test_statistics_do_not_depend_on_the_log_level():
    LogConfig.config.set_level("CRITICAL")
    close = manager_logging_config()
    write_stats(1, "still here")
    logging.getLogger("libensemble.calc stats").debug("by hand")
    close()
    assert stats_lines()[1:-1] == ["Worker     1: still here", "Manager     : by hand"]
    assert log_lines() == []


def test_flush_brings_lines_to_the_file():
    manager_logging_config()
    logs.flush_stats()
    write_stats(1, "soon")
    logs.flush_stats()
    assert stats_lines()[-1] == "Worker     1: soon"


def test_without_open_logs_statistics_are_dropped():
    write_stats(1, "nowhere")
    logs.flush_stats()
    assert os.listdir() == []


def test_nothing_is_written_twice(capfd):
    close = manager_logging_config()
    inner = manager_logging_config()  # a run inside a run opens nothing, closes nothing
    inner()
    logging.getLogger("libensemble.x").error("once")
    close()
    close()
    assert [line[4] for line in log_lines()] == ["once"]
    assert capfd.readouterr().err.count("once") == 1
    assert sum("Exiting" in line for line in stats_lines()) == 1


def test_stderr_shows_records_from_its_level_on(capsys):
    close = manager_logging_config()
    somewhere = logging.getLogger("libensemble.x")
    somewhere.warning("quiet")
    somewhere.manager_warning("loud")
    LogConfig.config.set_stderr_level("WARNING")
    somewhere.warning("now loud, too")
    close()
    shown = capsys.readouterr().err.splitlines()
    assert [LOG_LINE.fullmatch(line).group(4, 5) for line in shown] == [
        ("MANAGER_WARNING", "loud"),
        ("WARNING", "now loud, too"),
    ]


def test_level_can_change_during_the_run():
    close = manager_logging_config()
    somewhere = logging.getLogger("libensemble.x")
    somewhere.debug("no")
    LogConfig.config.set_level("DEBUG")
    somewhere.debug("yes")
    close()
    assert [line[4] for line in log_lines()] == ["yes"]


def test_disabled_files_leave_no_file_and_still_show_errors(capsys, monkeypatch):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    close = manager_logging_config({"disable_log_files": True})
    write_stats(1, "nowhere")
    logging.getLogger("libensemble.x").warning("quiet")
    logging.getLogger("libensemble.x").error("loud")
    close()
    assert os.listdir() == []
    shown = capsys.readouterr().err
    assert "loud" in shown
    assert "quiet" not in shown


def test_disabled_files_leave_records_to_the_users_own_logging(capfd, caplog):
    close = manager_logging_config({"disable_log_files": True})
    logging.getLogger("libensemble.x").error("for the root logger")
    close()
    assert [record.getMessage() for record in caplog.records] == ["for the root logger"]
    assert "for the root logger" in capfd.readouterr().err  # caplog's handler does not write to the terminal


def test_disabled_files_show_nothing_twice(capsys, monkeypatch):
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [*root.handlers, logging.StreamHandler(sys.stderr)])
    close = manager_logging_config({"disable_log_files": True})
    logging.getLogger("libensemble.x").error("once")
    close()
    assert capsys.readouterr().err.count("once") == 1


def test_workflow_directory_holds_the_logs_of_its_run_only(tmp_path):
    workflow = tmp_path / "deep" / "flow"
    manager_logging_config({"use_workflow_dir": True, "workflow_dir_path": str(workflow)})()
    assert sorted(os.listdir(workflow)) == ["ensemble.log", "libE_stats.txt"]
    manager_logging_config({"use_workflow_dir": False, "workflow_dir_path": "."})()
    assert (tmp_path / "ensemble.log").exists()
    assert len(stats_lines(workflow / "libE_stats.txt")) == 2


def test_assigned_names_count():
    LogConfig.config.stat_filename = "stats.txt"
    LogConfig.config.filename = "logs/run.log"
    manager_logging_config()()
    assert len(stats_lines("stats.txt")) == 2
    assert os.path.exists("logs/run.log")


def test_files_that_cannot_be_opened_are_a_clear_error(tmp_path):
    (tmp_path / "ensemble.log").mkdir()
    with pytest.raises(DirectoryError, match=r"ensemble\.log.*disable_log_files"):
        manager_logging_config()
    assert LogConfig.config.logger_set is False


def test_settings_of_the_logger_return_after_the_run():
    root = logging.getLogger("libensemble")
    before = (root.level, root.propagate, list(root.handlers))
    manager_logging_config()()
    assert (root.level, root.propagate, list(root.handlers)) == before


class Stubborn:
    def __str__(self):
        raise RuntimeError("no text of me")


@pytest.mark.parametrize(
    ("message", "arguments"), [("%d points", ("many",)), ("%s %s", ("one",)), ("%s", (Stubborn(),)), (Stubborn(), ())]
)
def test_records_that_cannot_be_formatted_are_still_one_record(message, arguments):
    close = manager_logging_config()
    logging.getLogger("libensemble.x").info(message, *arguments)
    logging.getLogger("libensemble.x").info("next")
    close()
    assert len(log_lines()) == 2
    assert "cannot be shown" in log_lines()[0][4]


def test_text_of_any_kind_can_be_written():
    close = manager_logging_config()
    logging.getLogger("libensemble.x").info("broken \udce4 text")
    write_stats(1, "broken \udce4 text")
    close()
    assert log_lines()[0][4] == "broken \\udce4 text"
    assert stats_lines()[1] == "Worker     1: broken \\udce4 text"


def test_records_of_a_worker_process_arrive_under_its_number():
    post = Post()
    worker_logging_config(post, 3)
    try:
        raise ValueError("boom")
    except ValueError:
        logging.getLogger("libensemble.worker.loop").exception("it went %s", "wrong")
    (line,) = post.sent
    assert isinstance(line, LogLine)
    assert line.text.startswith("it went wrong\nTraceback")

    logs.bind_worker(0)
    close = manager_logging_config()
    relay(3, line)
    close()
    first, *rest = log_lines()
    assert (first[0], first[2], first[3], first[4]) == ("3", "libensemble.worker.loop", "ERROR", "it went wrong")
    assert rest[-1] == "ValueError: boom\n"


def test_relayed_records_keep_their_time():
    close = manager_logging_config()
    relay(1, LogLine(logging.INFO, "libensemble.x", 1_700_000_000.25, "long ago"))
    close()
    assert log_lines()[0][1].endswith(",250")


def test_workers_send_from_the_log_level_on():
    LogConfig.config.set_level("INFO")
    post = Post()
    worker_logging_config(post, 1, level=logging.WARNING)
    logging.getLogger("libensemble.x").info("no")
    logging.getLogger("libensemble.x").warning("yes")
    assert [line.text for line in post.sent] == ["yes"]


def test_relay_drops_what_the_manager_does_not_want():
    LogConfig.config.set_level("WARNING")
    close = manager_logging_config()
    relay(1, LogLine(logging.INFO, "libensemble.x", 0.0, "no"))
    close()
    assert log_lines() == []


def test_statistics_logged_by_hand_on_a_worker_reach_the_file():
    post = Post()
    worker_logging_config(post, 4, level=logging.CRITICAL)
    logging.getLogger("libensemble.calc stats").info("a line of one's own")
    close = manager_logging_config()
    relay(4, post.sent[0])
    close()
    assert stats_lines()[1] == "Worker     4: a line of one's own"


def test_configuring_a_worker_twice_sends_each_record_once():
    first, second = Post(), Post()
    worker_logging_config(first, 1)
    worker_logging_config(second, 2)
    logging.getLogger("libensemble.x").info("here")
    assert (len(first.sent), len(second.sent)) == (0, 1)


def test_a_comm_that_fails_does_not_end_the_worker(monkeypatch):
    class Gone:
        def send(self, message):
            raise BrokenPipeError("gone")

    monkeypatch.setattr(logging, "raiseExceptions", False)
    worker_logging_config(Gone(), 1)
    logging.getLogger("libensemble.x").info("into the void")


def test_records_of_worker_threads_carry_their_number():
    close = manager_logging_config()

    def work(number):
        logs.bind_worker(number)
        logging.getLogger("libensemble.x").info("from %d", number)

    threads = [threading.Thread(target=work, args=(number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    logging.getLogger("libensemble.x").info("from %d", 0)
    close()
    assert sorted((line[0], line[4]) for line in log_lines()) == [("0", "from 0"), ("1", "from 1"), ("2", "from 2")]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_does_not_write_what_waits_in_the_parent():
    close = manager_logging_config()
    write_stats(1, "once")
    child = os.fork()
    if child == 0:
        logs.flush_stats()
        worker_logging_config(Post(), 1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    close()
    assert stats_lines().count("Worker     1: once") == 1


def test_a_full_disk_costs_lines_not_the_run(monkeypatch):
    close = manager_logging_config()

    def full(*_):
        raise OSError(28, "No space left on device")

    write_stats(1, "lost")
    with monkeypatch.context() as patch:
        patch.setattr(logs.os, "write", full)
        logs.flush_stats()
    write_stats(1, "kept")
    close()
    assert any("No space left" in line[4] for line in log_lines())
    assert "Worker     1: kept" in stats_lines()


@pytest.mark.parametrize(
    ("seconds", "end"), [(1_700_000_000.0, ".000"), (1_700_000_000.0994, ".099"), (1_700_000_000.9996, ".000")]
)
def test_dates_are_rounded_to_milliseconds(seconds, end):
    text = logs.date_text(seconds)
    assert re.fullmatch(DATE, text)
    assert text.endswith(end)


def test_dates_count_up_over_the_second():
    before, after = logs.date_text(1_700_000_000.0), logs.date_text(1_700_000_000.9996)
    assert int(after[17:19]) == (int(before[17:19]) + 1) % 60
