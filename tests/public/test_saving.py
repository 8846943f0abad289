"""What a run leaves on disk: histories every so often and at the end, and what is dumped when it fails."""

import os
import pickle
import re
import threading
from pathlib import Path

import numpy as np
import pytest

from libensemble.alloc_funcs.give_sim_work_first import give_sim_work_first
from libensemble.history import History
from libensemble.manager import LoggedException
from tests.fakes import troublesome_functions as trouble
from tests.fakes import user_functions
from tests.fakes.ensembles import run


def names(folder="."):
    """The files of a folder, without the logs."""
    return sorted(set(os.listdir(folder)) - {"ensemble.log", "libE_stats.txt"})


class Watcher:
    """Live data that notes which files there are after each batch, and that each of them is whole."""

    def __init__(self):
        self.seen = {}  # name -> number of ended rows in it
        self.partial = set()

    def live_update(self, history):
        for name in names():
            if name.endswith(".npy") and not name.startswith("."):
                try:
                    H = np.load(name)
                except FileNotFoundError:
                    continue  # the next one took its place just now
                self.seen[name] = int(H["sim_ended"].sum())
            else:
                self.partial.add(name)

    def finalize(self, history):
        pass


# ---- every so often


def test_every_k_sims_the_newest_history_takes_the_place_of_the_last(comms):
    watcher = Watcher()
    H, _, _ = run(
        comms, 1, sim_f=user_functions.double_after_a_moment, sim_max=11, save_every_k_sims=3, live_data=watcher
    )
    assert names() == ["libE_history_after_sim_11.npy"]
    assert np.array_equal(np.load("libE_history_after_sim_11.npy"), H)
    numbers = sorted(int(re.fullmatch(r"libE_history_after_sim_(\d+)\.npy", name)[1]) for name in watcher.seen)
    assert numbers and set(numbers) <= {3, 6, 9}
    assert all(ended >= int(name.split("_")[-1][:-4]) for name, ended in watcher.seen.items())
    assert all(name.startswith(".") for name in watcher.partial), "only hidden files may be incomplete"


def test_every_k_gens_counts_rows_that_were_generated(comms):
    watcher = Watcher()
    run(comms, 1, sim_f=user_functions.double_after_a_moment, sim_max=9, save_every_k_gens=5, live_data=watcher)
    assert names() == ["libE_history_after_gen_12.npy"]
    assert "libE_history_after_gen_5.npy" in watcher.seen
    assert set(watcher.seen) <= {"libE_history_after_gen_5.npy", "libE_history_after_gen_10.npy"}


def test_both_kinds_are_kept_side_by_side(comms):
    run(comms, save_every_k_sims=3, save_every_k_gens=4)
    assert names() == ["libE_history_after_gen_8.npy", "libE_history_after_sim_8.npy"]


def test_nothing_is_saved_unasked(comms):
    run(comms)
    assert names() == []


def test_at_the_end_the_exact_number_of_simulations_is_in_the_name(comms):
    H, _, _ = run(comms, sim_max=7, save_H_on_completion=True)
    assert names() == ["libE_history_after_sim_7.npy"]
    saved = np.load("libE_history_after_sim_7.npy")
    assert len(saved) == len(H) == 8 and saved.dtype == H.dtype


def test_saving_every_so_often_implies_saving_at_the_end():
    run("threads", sim_max=5, save_every_k_sims=100, save_H_on_completion=False)
    assert names() == ["libE_history_after_sim_5.npy"]


def test_a_run_out_of_time_saves_as_well(comms):
    _, _, flag = run(
        comms, sim_f=user_functions.double_slowly, exit_criteria={"wallclock_max": 0.1}, save_H_on_completion=True
    )
    assert flag == 2 and names() == ["libE_history_after_sim_0.npy"]


def test_prefix_and_date_are_in_the_name(comms):
    run(comms, H_file_prefix="mine", save_H_with_date=True, save_every_k_sims=2)
    (name,) = names()
    assert re.fullmatch(r"mine_\d{4}-\d\d-\d\d_\d\d:\d\d:\d\d\.\d{3}_after_sim_8\.npy", name)


def test_files_lie_in_the_workflow_dir_wherever_user_functions_go(comms, tmp_path):
    (tmp_path / "elsewhere").mkdir()

    def wander(*args):
        os.chdir(tmp_path / "elsewhere")
        return give_sim_work_first(*args)

    run(comms, workflow_dir_path="a/b", save_H_on_completion=True)
    assert "libE_history_after_sim_8.npy" in names(tmp_path / "a/b") and names(tmp_path) == ["a", "elsewhere"]
    run(comms, save_every_k_sims=2, alloc={"alloc_f": wander})
    assert names(tmp_path) == ["a", "elsewhere", "libE_history_after_sim_8.npy"]
    os.chdir(tmp_path)
    with pytest.raises(LoggedException):
        run(comms, sim_f=trouble.raise_value_error, alloc={"alloc_f": wander})
    assert "libE_history_at_abort_0.npy" in names(tmp_path) and names(tmp_path / "elsewhere") == []


# ---- the files of other runs


def test_files_of_other_runs_are_not_deleted(comms):
    for number in (3, 400):
        Path(f"libE_history_after_sim_{number}.npy").write_bytes(b"another run's")
    run(comms, save_every_k_sims=2)
    assert names() == [f"libE_history_after_sim_{number}.npy" for number in (3, 400, 8)]
    assert Path("libE_history_after_sim_3.npy").read_bytes() == b"another run's"


def test_going_on_from_a_saved_history_leaves_it_where_it_is(comms):
    run(comms, save_every_k_sims=4)
    before = Path("libE_history_after_sim_8.npy").read_bytes()
    H0 = np.load("libE_history_after_sim_8.npy")
    watcher = Watcher()
    H, _, _ = run(
        comms,
        1,
        H0=H0,
        sim_f=user_functions.double_after_a_moment,
        sim_max=9,
        save_every_k_sims=4,
        save_every_k_gens=4,
        live_data=watcher,
    )
    assert Path("libE_history_after_sim_8.npy").read_bytes() == before
    assert names() == [f"libE_history_after_{last}.npy" for last in ("gen_20", "sim_17", "sim_8")]
    written = set(watcher.seen) - {"libE_history_after_sim_8.npy"}
    new = ("sim_12", "sim_16", "gen_12", "gen_16", "gen_20")
    assert written and written <= {f"libE_history_after_{last}.npy" for last in new}
    assert np.array_equal(np.load("libE_history_after_sim_17.npy"), H)


def test_two_runs_with_dates_keep_their_files_apart():
    for _ in range(2):
        run("threads", save_H_with_date=True, save_every_k_sims=2)
    assert len(names()) == 2


# ---- what cannot be written


def test_a_name_that_cannot_be_used_costs_the_file_not_the_run(comms, capfd):
    Path("taken").write_text("a file, not a directory")
    H, _, flag = run(comms, H_file_prefix="taken/history", save_every_k_sims=2)
    assert (len(H), flag) == (8, 0)
    assert "could not be saved" in capfd.readouterr().err


def test_saving_does_not_hold_up_the_run(monkeypatch):
    written, go_on = [], threading.Event()

    def slow_write(file, H):
        assert threading.current_thread() is not threading.main_thread() or go_on.is_set()
        go_on.wait(10)
        written.append(len(H))
        file.write(b"x")

    def open_the_gate(*args):
        if args[-1]["sim_ended_count"] >= 10:
            go_on.set()  # the first file is still waiting to be written
        return give_sim_work_first(*args)

    monkeypatch.setattr("libensemble.store.run_folder.np.save", slow_write)
    H, _, _ = run("threads", save_every_k_sims=2, sim_max=16, alloc={"alloc_f": open_the_gate})
    assert len(H) == 16 and written[0] <= 8 and written[-1] == 16


# ---- a failed run


def test_a_failed_run_leaves_its_history_and_persis_info(comms):
    with pytest.raises(LoggedException) as caught:
        run(comms, 1, sim_f=trouble.raise_after_three, persis_info={"mine": {"a": 1}, 1: {"calls": 0}})
    assert names() == ["libE_history_at_abort_3.npy", "libE_persis_info_at_abort_3.pickle"]
    assert "libE_history_at_abort_3.npy" in caught.value.args[-1]
    H = np.load("libE_history_at_abort_3.npy")
    assert H["sim_ended"].tolist() == [True, True, True, False] and H["sim_started"].all()
    persis_info = pickle.loads(Path("libE_persis_info_at_abort_3.pickle").read_bytes())
    assert persis_info["mine"] == {"a": 1} and persis_info[1] == {"calls": 0}


def test_the_dump_has_the_persis_info_that_the_allocation_function_made():
    def alloc(*args):
        persis_info = {**args[5], "round": args[5].get("round", 0) + 1}
        return give_sim_work_first(*args)[0], persis_info

    with pytest.raises(LoggedException):
        run("threads", 1, sim_f=trouble.raise_after_three, alloc={"alloc_f": alloc})
    assert pickle.loads(Path("libE_persis_info_at_abort_3.pickle").read_bytes())["round"] > 3


def test_an_error_in_the_allocation_function_is_dumped_as_well(comms):
    def alloc(*args):
        if args[-1]["sim_ended_count"] == 2:
            raise RuntimeError("no policy")
        return give_sim_work_first(*args)

    with pytest.raises(LoggedException):
        run(comms, 1, alloc={"alloc_f": alloc})
    assert names() == ["libE_history_at_abort_2.npy", "libE_persis_info_at_abort_2.pickle"]


def test_the_dump_lies_in_the_workflow_dir_and_counts_h0(comms):
    H0 = np.zeros(2, dtype=[("x", float)])
    with pytest.raises(LoggedException):
        run(comms, 1, sim_f=trouble.raise_after_three, workflow_dir_path="work", H0=H0)
    assert "libE_history_at_abort_3.npy" in names("work"), "two rows of H0, and x = 2"


def test_the_dump_can_be_declined(comms):
    with pytest.raises(LoggedException) as caught:
        run(comms, sim_f=trouble.raise_value_error, save_H_and_persis_on_abort=False)
    assert names() == [] and "at_abort" not in str(caught.value.args)


def test_persis_info_that_cannot_be_pickled_does_not_cost_the_history(capfd):
    with pytest.raises(LoggedException):
        run("threads", sim_f=trouble.raise_value_error, persis_info={"lock": threading.Lock()})
    assert names() == ["libE_history_at_abort_0.npy"]
    assert "persis_info could not be saved" in capfd.readouterr().err


def test_a_history_that_cannot_be_saved_does_not_hide_the_first_error(monkeypatch, capfd):
    def no_space(*args):
        raise OSError("no space left on device")

    monkeypatch.setattr("libensemble.store.run_folder.np.save", no_space)
    with pytest.raises(LoggedException, match="the model diverged"):
        run("threads", sim_f=trouble.raise_value_error)
    assert "no space left" in capfd.readouterr().err
    assert names() == ["libE_persis_info_at_abort_0.pickle"]


def test_a_checkpoint_stays_beside_the_dump(comms):
    with pytest.raises(LoggedException):
        run(comms, 1, sim_f=trouble.raise_after_three, save_every_k_sims=2)
    assert "libE_history_at_abort_3.npy" in names()
    H = np.load("libE_history_after_sim_2.npy")
    assert H["sim_ended"].sum() >= 2


# ---- a history by itself, as other packages make one


def test_a_history_may_be_made_empty_and_be_grown_by_hand():
    history = History({}, {"out": [("f", float)]}, {"out": [("x", float)]}, {"sim_max": 0}, [])
    assert len(history.H) == 0 and history.index == 0 and not history.using_H0
    history.grow_H(3)
    assert len(history.H) == 3 and history.H["sim_id"].tolist() == [-1, -1, -1] and len(history.trim_H()) == 0
    H, _, _ = run("threads", H0=History({}, {}, {}, {"sim_max": 0}, []).H)
    assert len(H) == 8
