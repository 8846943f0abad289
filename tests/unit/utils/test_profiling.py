"""Rules of profiling: a file for pstats, also after an error; never two profilers at once."""

import cProfile
import pstats

import pytest

from libensemble.utils.profiling import profiled


def busy():
    return sum(number for number in range(100))


def test_what_was_done_is_in_the_file(tmp_path):
    with profiled(tmp_path / "out.prof") as is_profiling:
        busy()
    assert is_profiling
    assert any(name == "busy" for _, _, name in pstats.Stats(str(tmp_path / "out.prof")).stats)


def test_an_error_does_not_lose_it(tmp_path):
    with pytest.raises(ZeroDivisionError), profiled(tmp_path / "out.prof"):
        raise ZeroDivisionError
    assert (tmp_path / "out.prof").exists()


def test_a_script_that_is_profiled_already_stays_so(tmp_path, caplog, monkeypatch):
    import logging

    monkeypatch.setattr(logging.getLogger("libensemble"), "propagate", True)
    outer = cProfile.Profile()
    try:
        outer.enable()
    except ValueError:
        pytest.skip("this test run is being profiled itself")
    try:
        with profiled(tmp_path / "out.prof") as is_profiling:
            busy()
        after = busy()
    finally:
        outer.disable()
    assert not is_profiling
    assert after
    assert not (tmp_path / "out.prof").exists()
    assert "out.prof is not written" in caplog.text
    outer.dump_stats(tmp_path / "outer.prof")
    calls = {name: facts[0] for (_, _, name), facts in pstats.Stats(str(tmp_path / "outer.prof")).stats.items()}
    assert calls["busy"] == 2
