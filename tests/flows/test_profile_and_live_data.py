"""Watching a run from inside: live data objects, and profiles of manager and workers."""

import os
import pstats
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from libensemble.errors import LoggedException
from libensemble.history import History
from libensemble.tools.live_data.live_data import LiveData
from tests.fakes import user_functions
from tests.fakes.ensembles import run

ROOT = Path(__file__).resolve().parents[2]


class Watcher(LiveData):
    """Remembers what it was shown."""

    def __init__(self):
        self.updates, self.ends, self.threads, self.histories = [], [], set(), set()

    def live_update(self, hist):
        self.threads.add(threading.current_thread())
        self.histories.add(type(hist))
        self.updates.append((hist.index, int(hist.H["sim_ended"][: hist.index].sum()), float(hist.H["f"].max())))

    def finalize(self, hist):
        self.ends.append((hist.index, int(hist.sim_ended_count)))


# -- Live data


def test_live_data_hears_of_points_and_of_results(comms):
    watcher = Watcher()
    H, _, _ = run(comms, 2, sim_max=8, live_data=watcher)
    assert (4, 0) in {update[:2] for update in watcher.updates}, "the generator's points, before any result"
    counts = [update[:2] for update in watcher.updates]
    assert counts == sorted(counts)
    assert watcher.updates[-1][1] == 8
    assert len(counts) >= 4
    assert watcher.updates[-1][2] == H["f"].max()


def test_it_is_shown_the_history_in_the_managers_thread(comms):
    watcher = Watcher()
    run(comms, live_data=watcher, gen_on_manager=True)
    assert watcher.histories == {History}
    assert watcher.threads == {threading.current_thread()}


def test_finalize_is_called_once_at_the_end(comms):
    watcher = Watcher()
    H, _, _ = run(comms, live_data=watcher)
    assert watcher.ends == [(len(H), int(H["sim_ended"].sum()))]


class OnlyUpdates(LiveData):
    """Leaves `finalize` as it is."""

    def __init__(self):
        self.calls = 0

    def live_update(self, hist):
        self.calls += 1


def test_finalize_need_not_be_written(comms):
    watcher = OnlyUpdates()
    run(comms, live_data=watcher)
    assert watcher.calls


class Lookalike:
    """Has the two methods, but is no LiveData; and cannot be pickled."""

    def __init__(self):
        self.rows, self.lock = 0, threading.Lock()

    def live_update(self, hist):
        self.rows = hist.index

    def finalize(self, hist):
        self.rows = -hist.index


def test_any_object_with_the_methods_will_do(comms):
    watcher = Lookalike()
    H, _, _ = run(comms, live_data=watcher)
    assert watcher.rows == -len(H)


@pytest.mark.slow
def test_it_stays_on_the_manager_when_workers_are_spawned(monkeypatch):
    import multiprocessing

    context = multiprocessing.get_context("spawn")
    monkeypatch.setattr(multiprocessing, "get_context", lambda *_: context)
    watcher = Lookalike()
    H, _, _ = run("local", live_data=watcher)
    assert watcher.rows == -len(H)


class Faulty(LiveData):
    """Raises at the first result."""

    def live_update(self, hist):
        if hist.H["sim_ended"].any():
            raise RuntimeError("the picture cannot be drawn")


def test_an_error_in_it_is_told_with_its_place(comms, capfd):
    with pytest.raises(LoggedException, match="the picture cannot be drawn"):
        run(comms, live_data=Faulty())
    assert "in live_update" in capfd.readouterr().err
    assert any(name.startswith("libE_history_at_abort_") for name in os.listdir())


def two_dimensional_points(H, persis_info, gen_specs):
    """A batch of points in [-1, 1]^2."""
    out = np.zeros(60, dtype=gen_specs["out"])
    out["x"] = np.linspace(-1, 1, 120).reshape(60, 2)
    return out


def sum_of_squares(H, persis_info, sim_specs):
    """f = |x|^2."""
    out = np.zeros(len(H), dtype=sim_specs["out"])
    out["f"] = (H["x"] ** 2).sum(axis=1)
    return out


@pytest.mark.parametrize("plot_type", ["2d", pytest.param("3d", marks=pytest.mark.slow)])
def test_plot2n_draws_the_points_of_a_run(comms, plot_type, monkeypatch):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from libensemble.tools.live_data.plot2n import Plot2N

    plot = Plot2N(plot_type, func=lambda x: x[0] ** 2 + x[1] ** 2, bounds=((-1, 1), (-1, 1)))
    try:
        run(
            comms,
            sim_f=sum_of_squares,
            gen_f=two_dimensional_points,
            gen={"out": [("x", float, (2,))]},
            sim_max=60,
            live_data=plot,
        )
        evaluated = plot.figure.axes[0].lines[0]
        assert len(evaluated.get_xdata()) == 60
        plot.figure.savefig("points.png")
        assert os.path.getsize("points.png") > 1000
    finally:
        plt.close(plot.figure)


# -- Profiles


def functions_in(path):
    return {name for _, _, name in pstats.Stats(str(path)).stats}


def test_manager_and_worker_processes_write_profiles_where_the_run_was_launched():
    run("local", 2, profile=True, sim_max=20)
    assert sorted(name for name in os.listdir() if name.endswith(".prof")) == [
        "manager.prof",
        "worker_1.prof",
        "worker_2.prof",
    ]
    assert "double" in functions_in("worker_1.prof") | functions_in("worker_2.prof")
    assert "orders" in functions_in("manager.prof")


def test_profiles_lie_in_the_workflow_directory_if_there_is_one(comms):
    run(comms, profile=True, workflow_dir_path="flow")
    assert os.listdir() == ["flow"]
    assert "manager.prof" in os.listdir("flow")
    assert ("worker_2.prof" in os.listdir("flow")) == (comms == "local")


@pytest.mark.parametrize("on_manager", [False, True])
def test_where_workers_share_the_managers_process_its_profile_is_the_only_one(on_manager):
    H, _, flag = run("threads", profile=True, gen_on_manager=on_manager)
    assert flag == 0
    assert [name for name in os.listdir() if name.endswith(".prof")] == ["manager.prof"]


def test_with_the_generator_on_the_manager_workers_have_their_profiles():
    run("local", profile=True, gen_on_manager=True)
    assert {"manager.prof", "worker_1.prof", "worker_2.prof"} <= set(os.listdir())


def test_without_the_option_there_are_none(comms):
    run(comms)
    assert not [name for name in os.listdir() if name.endswith(".prof")]


def fails(H):
    raise ArithmeticError("no result")


def test_a_failed_run_has_its_profiles_too(capfd):
    with pytest.raises(LoggedException):
        run("local", 1, sim_f=fails, profile=True)
    assert {"manager.prof", "worker_1.prof"} <= set(os.listdir())


def test_a_script_that_is_profiled_from_outside_runs_all_the_same(comms, own_folder):
    script = own_folder / "script.py"
    script.write_text(
        "from tests.fakes.ensembles import run\n"
        "if __name__ == '__main__':\n"
        f"    H, _, flag = run({comms!r}, profile=True)\n"
        "    assert flag == 0 and H['sim_ended'].all()\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "cProfile", "-o", "outer.prof", str(script)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "libE" in functions_in("outer.prof")
    assert "manager.prof is not written" in Path("ensemble.log").read_text()


def test_results_do_not_depend_on_being_watched(comms):
    plain, _, _ = run(comms, gen_f=user_functions.count_up)
    watched, _, _ = run(comms, gen_f=user_functions.count_up, profile=True, live_data=Watcher())
    assert plain["x"].tolist() == watched["x"].tolist()
    assert plain["f"].tolist() == watched["f"].tolist()
