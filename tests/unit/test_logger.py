"""Rules of libensemble.logger: names of levels, defaults, when settings count."""

import logging

import pytest

from libensemble import logger
from libensemble.logger import LogConfig


@pytest.fixture(autouse=True)
def own_settings(monkeypatch):
    """Settings of this test alone, on a logger of its own name."""
    monkeypatch.setattr(LogConfig, "config", LogConfig("libensemble"))
    return LogConfig.config


def test_defaults():
    config = LogConfig.config
    assert (logger.get_level(), logger.get_stderr_level()) == (20, 35)
    assert (config.filename, config.stat_filename) == ("ensemble.log", "libE_stats.txt")
    assert (config.name, config.stats_name) == ("libensemble", "libensemble.calc stats")
    assert config.logger_set is False


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("DEBUG", 10),
        ("debug", 10),
        ("Info", 20),
        ("MANAGER_WARNING", 35),
        ("vdebug", 5),
        ("ERROR", 40),
        ("nonsense", 10),
    ],
)
def test_levels_are_named_in_any_case_and_unknown_names_mean_debug(name, number):
    logger.set_level(name)
    assert logger.get_level() == number


@pytest.mark.parametrize(("name", "number"), [("error", 40), ("MANAGER_WARNING", 35), ("nonsense", 30)])
def test_unknown_stderr_level_means_warning(name, number):
    logger.set_stderr_level(name)
    assert logger.get_stderr_level() == number


def test_logging_knows_the_extra_levels():
    assert (logging.MANAGER_WARNING, logging.VDEBUG) == (35, 5)
    assert logging.getLevelName(35) == "MANAGER_WARNING"
    records = []
    someone = logging.getLogger("tests.extra levels")
    someone.setLevel(1)
    someone.addFilter(lambda record: records.append(record) or False)
    someone.manager_warning("watch %s", "out")
    someone.vdebug("detail")
    assert [(record.levelname, record.getMessage()) for record in records] == [
        ("MANAGER_WARNING", "watch out"),
        ("VDEBUG", "detail"),
    ]


def test_extra_levels_are_skipped_below_the_level():
    records = []
    someone = logging.getLogger("tests.extra levels, quiet")
    someone.setLevel("CRITICAL")
    someone.addFilter(lambda record: records.append(record) or False)
    someone.manager_warning("no")
    someone.vdebug("no")
    assert records == []


def test_directory_is_made_and_takes_both_files(tmp_path):
    LogConfig.config.filename = "other/mine.log"
    logger.set_directory(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    assert LogConfig.config.filename == str(tmp_path / "a" / "b" / "mine.log")
    assert LogConfig.config.stat_filename == str(tmp_path / "a" / "b" / "libE_stats.txt")


def test_names_stay_while_the_log_is_open(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("libensemble"), "propagate", True)
    LogConfig.config.logger_set = True
    logger.set_filename("late.log")
    logger.set_directory(tmp_path / "late")
    assert LogConfig.config.filename == "ensemble.log"
    assert not (tmp_path / "late").exists()
    assert ["the log is open" in record.getMessage() for record in caplog.records] == [True, True]


def test_filename_before_the_run():
    logger.set_filename("my.log")
    assert LogConfig.config.filename == "my.log"
