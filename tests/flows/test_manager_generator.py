"""The generator as a thread of the manager (worker 0), and workers set apart for generators."""

import multiprocessing
import os
import threading
import time

import pytest

from libensemble.alloc_funcs.start_only_persistent import only_persistent_gens
from libensemble.errors import LoggedException
from tests.fakes import conversations, manager_generators, persistent_functions
from tests.fakes.ensembles import run

PERSISTENT = {"alloc_f": only_persistent_gens, "user": {}}


def on_manager(comms, gen_f, nworkers=2, *, user=None, alloc=None, **stated):
    """Run with a persistent generator on the manager."""
    gen = {"in": [], "persis_in": ["x", "f"], "user": {"batch": 4, **(user or {})}, **stated.pop("gen", {})}
    return run(comms, nworkers, gen_f=gen_f, gen=gen, alloc=alloc or PERSISTENT, gen_on_manager=True, **stated)


@pytest.fixture
def watch():
    """Note, all the time, what the directory of the process is."""
    seen, stop = set(), threading.Event()

    def look():
        while not stop.is_set():
            seen.add(os.getcwd())
            time.sleep(0.001)

    thread = threading.Thread(target=look)
    thread.start()
    yield seen
    stop.set()
    thread.join()


def test_the_generator_is_worker_0_and_all_others_simulate(comms):
    H, persis_info, flag = on_manager(comms, persistent_functions.ping_pong, 2, sim_max=12)
    assert flag == 0 and H["sim_ended"][:12].all()
    assert (H["gen_worker"] == 0).all()
    assert set(H["sim_worker"][:12]) <= {1, 2}
    assert "notes" in persis_info[0]


def test_both_workers_are_used_although_there_is_a_generator():
    sim = {"user": {"seconds": 0.05}}
    from tests.fakes.slow_functions import takes_long

    H, _, _ = on_manager("local", persistent_functions.ping_pong, 2, sim_f=takes_long, sim=sim, sim_max=4)
    assert set(H["sim_worker"][:4]) == {1, 2}


def test_objects_are_the_callers_own(comms):
    target = manager_generators.Cannot()
    H, persis_info, _ = on_manager(comms, manager_generators.tells_an_object, user={"object": target}, sim_max=8)
    assert target.told == H["f"][:4].tolist()
    assert target.threads == {"libE worker 0"}
    assert persis_info[0]["worker"] == 0


@pytest.mark.slow
def test_objects_of_the_generator_need_not_leave_the_manager(monkeypatch):
    target = manager_generators.Cannot()  # could not be pickled
    before = multiprocessing.get_start_method()
    multiprocessing.set_start_method("spawn", force=True)
    try:
        on_manager("local", manager_generators.tells_an_object, user={"object": target}, sim_max=8)
    finally:
        multiprocessing.set_start_method(before, force=True)
    assert len(target.told) == 4


def test_the_callers_own_persis_info_is_updated(comms):
    mine = {0: {"kept": True}}
    _, persis_info, _ = on_manager(comms, persistent_functions.ping_pong, persis_info=mine, sim_max=4)
    assert persis_info[0] is mine[0] and mine[0]["kept"] and "notes" in mine[0]


def test_a_generator_that_is_called_again_and_again_runs_there_too(comms):
    target = manager_generators.Cannot()
    H, persis_info, flag = run(
        comms,
        2,
        gen_f=manager_generators.counts_in_an_object,
        gen={"in": [], "user": {"object": target, "batch": 4}},
        gen_on_manager=True,
        sim_max=10,
    )
    assert flag == 0 and H["sim_ended"].sum() == 10
    assert set(target.told) == {0} and persis_info[0]["calls"] == len(target.told)


def test_W_has_a_row_for_it(comms):
    _, persis_info, _ = run(comms, 3, alloc={"alloc_f": manager_generators.shows_W}, gen_on_manager=True)
    assert persis_info["W"] == {
        "length": 4,
        "ids": [0, 1, 2, 3],
        "by_id": [0, 1, 2, 3],
        "gen_worker": [True, False, False, False],
        "zero": [False] * 4,
        "for_gens": [0],
        "for_sims": [1, 2, 3],
        "gen_on_manager": True,
    }


def test_its_lines_are_the_managers(comms, tmp_path):
    on_manager(comms, persistent_functions.ping_pong, sim_max=4)
    lines = (tmp_path / "libE_stats.txt").read_text().splitlines()
    (gen,) = [line for line in lines if "gen Time:" in line]
    assert gen.startswith("Manager     : Gen no     1:")


def test_it_may_take_its_time_to_end(comms):
    target = manager_generators.Cannot()
    user = {"object": target, "lingers": 0.3}
    _, persis_info, flag = on_manager(comms, manager_generators.tells_an_object, user=user, sim_max=4, worker_timeout=1)
    assert flag == 0 and persis_info[0]["worker"] == 0
    assert not [thread for thread in threading.enumerate() if thread.name == "libE worker 0"]


def test_one_that_does_not_listen_does_not_hold_up_the_end(comms):
    H, _, flag = on_manager(
        comms,
        persistent_functions.is_deaf,
        user={"deaf_for": 0.9},
        exit_criteria={"wallclock_max": 0.3},
        worker_timeout=0,
    )
    assert flag == 2 and H["sim_ended"].all()
    (left,) = [thread for thread in threading.enumerate() if thread.name == "libE worker 0"]
    assert left.daemon
    left.join(10)


def test_its_errors_end_the_run(comms, capfd):
    with pytest.raises(LoggedException, match="worker 0.*OwnError: code 7"):
        on_manager(comms, conversations.generator_fails, user={"do": "own error"})
    assert "in inner_cause" in capfd.readouterr().err
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("libE worker")]


def test_final_gen_send_reaches_it(comms):
    H, persis_info, _ = on_manager(comms, persistent_functions.ping_pong, sim_max=8, final_gen_send=True)
    assert persis_info[0]["notes"][-2]["rows"] == [4, 5, 6, 7]
    assert H["gen_informed"][:8].all()


# ---- directories


def test_a_generator_that_changes_directory_moves_nobody_else(comms, watch, tmp_path):
    H, _, _ = on_manager(comms, manager_generators.wanders, sim_max=8)
    assert os.getcwd() == str(tmp_path) and watch == {str(tmp_path)}
    assert (tmp_path / "elsewhere" / "was_here").read_text() == str(tmp_path / "elsewhere")
    assert not list((tmp_path / "elsewhere").glob("libE*"))


def test_a_generator_has_its_directory_and_the_process_stays(comms, watch, tmp_path):
    H, _, _ = on_manager(comms, manager_generators.wanders, sim_max=8, gen_dirs_make=True, sim_dirs_make=True)
    assert os.getcwd() == str(tmp_path) and watch == {str(tmp_path)}
    assert (tmp_path / "ensemble" / "gen0001" / "elsewhere" / "was_here").exists()
    assert (tmp_path / "ensemble" / "sim0003").is_dir()


def test_a_workflow_directory_does_not_move_the_process(comms, watch, tmp_path):
    on_manager(comms, manager_generators.wanders, sim_max=8, workflow_dir_path="flow")
    assert os.getcwd() == str(tmp_path) and watch == {str(tmp_path)}
    assert (tmp_path / "flow" / "elsewhere" / "was_here").exists()
    assert (tmp_path / "flow" / "ensemble.log").exists()


# ---- generator workers


def test_workers_set_apart_run_generators_and_nothing_else(comms):
    H, _, flag = run(comms, 3, gen_workers=[2], sim_max=12)
    assert flag == 0
    assert set(H["gen_worker"]) == {2} and set(H["sim_worker"][:12]) == {1, 3}


def test_several_generators_on_workers_set_apart(comms):
    H, persis_info, flag = run(
        comms,
        4,
        gen_f=persistent_functions.ping_pong,
        gen={"in": [], "persis_in": ["f"], "user": {"batch": 4}},
        alloc={"alloc_f": only_persistent_gens, "user": {"num_active_gens": 2}},
        gen_workers=[1, 4],
        sim_max=16,
    )
    assert flag == 0
    assert set(H["gen_worker"]) == {1, 4} and set(H["sim_worker"][:16]) == {2, 3}
    assert {wid for wid, own in persis_info.items() if isinstance(own, dict)} == {1, 4}


def test_W_shows_who_is_set_apart(comms):
    _, persis_info, _ = run(comms, 3, alloc={"alloc_f": manager_generators.shows_W}, gen_workers=[3])
    shown = persis_info["W"]
    assert shown["gen_worker"] == [False, False, True]
    assert shown["for_gens"] == [3] and shown["for_sims"] == [1, 2]
    assert shown["ids"] == shown["by_id"] == [1, 2, 3] and shown["gen_on_manager"] is False
