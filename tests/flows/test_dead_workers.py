"""A worker process that dies, however and whenever it does, is noticed at once and named; the run ends in order."""

import multiprocessing
import os
import signal
import sys
import threading
import time
import types

import numpy as np
import psutil
import pytest

from libensemble.alloc_funcs.start_only_persistent import only_persistent_gens
from libensemble.errors import LoggedException
from libensemble.executors import Executor
from libensemble.utils.current import current
from tests.fakes import conversations, deadly_functions, persistent_functions
from tests.fakes.ensembles import run

PATIENCE = deadly_functions.PATIENCE

HOW = [
    ("exit", "exit code 7"),
    ("leave", "exit code 0"),
    ("kill", "exit code -9 (SIGKILL)"),
    ("crash", "exit code -11 (SIGSEGV)"),
    ("abort", "exit code -6 (SIGABRT)"),
]


@pytest.fixture(autouse=True)
def in_order():
    """A run that fails ends long before what it waited for would have, and leaves nothing running."""
    threads, begun = set(threading.enumerate()), time.monotonic()
    me = psutil.Process()
    before = {child.pid for child in me.children(recursive=True)}
    yield
    assert time.monotonic() - begun < PATIENCE / 2
    left = [child for child in me.children(recursive=True) if child.pid not in before]
    assert [child for child in left if "multiprocessing" not in " ".join(child.cmdline())] == []
    assert set(threading.enumerate()) <= threads


@pytest.fixture
def start_method(request):
    """Use one of the start methods of multiprocessing."""
    before = multiprocessing.get_start_method()
    multiprocessing.set_start_method(request.param, force=True)
    yield request.param
    multiprocessing.set_start_method(before, force=True)


def dying(**stated):
    """Run an ensemble of which a worker dies; return the exception's text."""
    with pytest.raises(LoggedException) as caught:
        run("local", stated.pop("nworkers", 2), **stated)
    return str(caught.value)


@pytest.mark.parametrize(("how", "named"), HOW)
def test_a_worker_that_dies_in_a_simulation_is_named_with_its_exit_code(how, named, capfd, tmp_path):
    text = dying(sim_f=deadly_functions.dies, sim={"user": {"how": how, "at": 5}}, sim_max=20)
    assert "worker 1 died" in text or "worker 2 died" in text
    assert named in text
    assert named in capfd.readouterr().err
    assert named in (tmp_path / "ensemble.log").read_text()


def test_the_last_words_of_a_crash_say_where_it_was(capfd):
    dying(sim_f=deadly_functions.dies, sim={"user": {"how": "crash", "at": 1}})
    shown = capfd.readouterr().err
    assert "Segmentation fault" in shown and "in die" in shown and "in dies" in shown


def test_results_that_had_come_are_saved(tmp_path):
    text = dying(sim_f=deadly_functions.dies, sim={"user": {"how": "exit", "at": 5}}, nworkers=1, sim_max=20)
    (file,) = tmp_path.glob("libE_history_at_abort_*.npy")
    H = np.load(file)
    assert file.name in text
    assert H["sim_ended"].sum() == 5 and (H["f"][:5] == 1).all()
    assert H["sim_started"][5] and not H["sim_ended"][5]
    assert list(tmp_path.glob("libE_persis_info_at_abort_*.pickle"))


def test_nobody_waits_for_what_the_others_do():
    dying(
        sim_f=deadly_functions.dies,
        sim={"user": {"how": "kill", "at": 0, "long": [1, 2]}},
        nworkers=3,
        worker_timeout=0,
    )


@pytest.mark.parametrize("how", ["exit", "crash"])
def test_a_worker_that_dies_in_a_generator(how):
    text = dying(gen_f=deadly_functions.generator_dies, gen={"in": [], "user": {"how": how}}, sim_max=50)
    assert "died" in text


@pytest.mark.parametrize("on_manager", [False, True])
def test_persistent_functions_elsewhere_are_told(on_manager):
    text = dying(
        gen_f=persistent_functions.ping_pong,
        gen={"in": [], "persis_in": ["f"], "user": {}},
        alloc={"alloc_f": only_persistent_gens},
        sim_f=deadly_functions.dies,
        sim={"user": {"how": "exit", "at": 6}},
        gen_on_manager=on_manager,
        nworkers=3,
        sim_max=50,
    )
    assert "exit code 7" in text


def test_a_worker_that_dies_in_a_persistent_generator():
    text = dying(
        gen_f=deadly_functions.persistent_generator_dies,
        gen={"in": [], "persis_in": ["f"], "user": {"how": "exit"}},
        alloc={"alloc_f": only_persistent_gens},
        sim_max=50,
    )
    assert "worker 1 died" in text and "exit code 7" in text


def test_a_worker_that_dies_after_the_exit_criterion_was_met():
    text = dying(
        sim_f=deadly_functions.dies,
        sim={"user": {"how": "exit", "at": 1}},
        gen={"user": {"batch": 2}},
        exit_criteria={"gen_max": 2},
        H0=unstarted(2),
    )
    assert "exit code 7" in text


def unstarted(count):
    H0 = np.zeros(count, dtype=[("x", float), ("sim_id", int), ("sim_started", bool), ("sim_ended", bool)])
    H0["sim_id"] = np.arange(count)
    return H0


def test_an_idle_worker_that_is_killed_from_outside_is_noticed(tmp_path):
    """Worker 1 works on row 0 for ever; worker 2 has nothing to do any more when it is killed."""
    killed = []

    def kill():
        until = time.monotonic() + PATIENCE
        while not killed and time.monotonic() < until:
            time.sleep(0.02)
            files = list(tmp_path.glob("worker_2_*"))
            if files and len(list(tmp_path.glob("worker_1_*"))):
                time.sleep(0.1)
                killed.append(int(files[0].name.rsplit("_", 1)[1]))
                os.kill(killed[0], signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    text = dying(
        sim_f=deadly_functions.writes_its_process_id,
        H0=unstarted(2),
        gen_f=None,
        worker_timeout=0,
        alloc={"alloc_f": gives_what_is_there},
        sim_max=10,
    )
    thread.join()
    assert f"worker 2 died: process {killed[0]} ended with exit code -9" in text


def gives_what_is_there(*args):
    from libensemble.alloc_funcs.give_pregenerated_work import give_pregenerated_sim_work

    Work, persis_info, *_ = give_pregenerated_sim_work(*args)
    return Work, persis_info


gives_what_is_there.__name__ = "give_pregenerated_sim_work"  # what the specs know to need no generator


@pytest.mark.parametrize("how", ["kill", "leave"])
def test_applications_of_a_dead_worker_are_ended(how):
    before = current.executor
    try:
        Executor().register_app(full_path="/bin/sleep", app_name="sleep")
        dying(sim_f=deadly_functions.leaves_a_child, sim={"user": {"how": how}}, worker_timeout=0)
    finally:
        current.executor = before
    until = time.monotonic() + PATIENCE / 4
    while sleepers := [one for one in psutil.process_iter(["cmdline"]) if one.info["cmdline"] == ["/bin/sleep", "600"]]:
        assert time.monotonic() < until, sleepers
        time.sleep(0.02)


def test_another_run_may_follow():
    dying(sim_f=deadly_functions.dies, sim={"user": {"how": "kill", "at": 2}})
    H, _, flag = run("local", 2)
    assert flag == 0 and (H["f"][:8] == 2 * H["x"][:8]).all()


# ---- at start-up


@pytest.mark.slow
@pytest.mark.parametrize("start_method", ["spawn", "forkserver"], indirect=True)
def test_a_worker_that_dies_as_it_starts(start_method):
    text = dying(sim={"user": {"object": deadly_functions.DiesWhenUnpacked()}})
    assert "died" in text and "exit code 9" in text


@pytest.mark.slow
@pytest.mark.parametrize("start_method", ["spawn", "forkserver"], indirect=True)
def test_a_worker_that_cannot_unpack_its_specs_says_why(start_method, capfd):
    text = dying(sim={"user": {"object": deadly_functions.FailsWhenUnpacked()}})
    assert "ImportError: no module named user_code" in text
    assert "in missing_module" in capfd.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("start_method", ["spawn", "forkserver"], indirect=True)
@pytest.mark.parametrize(("how", "named"), HOW[:4])
def test_deaths_are_noticed_with_every_start_method(start_method, how, named):
    assert named in dying(sim_f=deadly_functions.dies, sim={"user": {"how": how, "at": 1}})


def test_an_executor_that_cannot_be_given_to_a_worker(comms, capfd):
    before = current.executor
    try:
        deadly_functions.FailsForWorkers()
        with pytest.raises(LoggedException, match="RuntimeError: no licence for worker"):
            run(comms, 2)
    finally:
        current.executor = before
    assert "in set_worker_info" in capfd.readouterr().err


@pytest.mark.parametrize("initialised", [True, False])
def test_forking_a_process_in_which_mpi_runs_is_warned_of(initialised, monkeypatch, capfd):
    module = types.ModuleType("mpi4py.MPI")
    module.Is_initialized = lambda: initialised
    monkeypatch.setitem(sys.modules, "mpi4py.MPI", module)
    run("local", 1)
    assert ("MPI is initialised in this process" in capfd.readouterr().err) == initialised


# ---- options that mean nothing here


@pytest.mark.parametrize("abort_on_exception", [True, False])
def test_an_error_is_raised_whatever_abort_on_exception_says(comms, abort_on_exception):
    with pytest.raises(LoggedException, match="OwnError"):
        run(
            comms,
            2,
            sim_f=conversations.fails,
            sim={"user": {"do": "own error", "at": 1}},
            abort_on_exception=abort_on_exception,
        )
