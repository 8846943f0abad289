"""When a run ends and how: exit criteria, time limits that nobody can hold up, cancelled and killed simulations."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from libensemble.alloc_funcs.start_only_persistent import only_persistent_gens
from libensemble.errors import LoggedException
from libensemble.executors import Executor
from libensemble.message_numbers import MAN_SIGNAL_FINISH, MAN_SIGNAL_KILL, STOP_TAG
from libensemble.utils.current import current
from tests.fakes import persistent_functions, slow_functions
from tests.fakes.ensembles import run

ROOT = Path(__file__).parents[2]


def reasons(folder):
    """Return what the log says about why the run ended."""
    return [
        line.split(": ", 1)[1] for line in (folder / "ensemble.log").read_text().splitlines() if "Exit test" in line
    ]


def done_rows(f, **others):
    """Return rows for H0 that have been evaluated, with these values of f."""
    H0 = np.zeros(
        len(f),
        dtype=[
            ("x", float),
            ("f", float),
            ("sim_id", int),
            ("sim_started", bool),
            ("sim_ended", bool),
            ("gen_informed", bool),
        ],
    )
    H0["f"], H0["sim_id"], H0["sim_started"], H0["sim_ended"] = f, np.arange(len(f)), True, True
    for name, values in others.items():
        H0[name] = values
    return H0


# ---- exit criteria


def test_sim_max_is_kept_exactly_with_single_rows(comms, tmp_path):
    H, _, flag = run(comms, 3, sim_max=7)
    assert flag == 0 and H["sim_ended"].sum() == H["sim_started"].sum() == 7
    assert len(H) == 8  # the batches were of four: what was not evaluated stays
    assert len(reasons(tmp_path)) == 1 and "sim_max" in reasons(tmp_path)[0]


def test_rows_given_together_may_pass_sim_max(comms):
    H, _, flag = run(comms, 2, alloc={"alloc_f": slow_functions.rows_together}, gen={"user": {"batch": 9}}, sim_max=4)
    assert flag == 0 and H["sim_ended"].sum() == 6


def test_sim_max_zero_evaluates_nothing(comms):
    H, _, flag = run(comms, 2, sim_max=0)
    assert flag == 0 and len(H) == 0


def test_sim_max_counts_new_rows_only(comms):
    H, _, flag = run(comms, 2, H0=done_rows([5, 5, 5]), sim_max=4)
    assert flag == 0 and H["sim_ended"].sum() == 7
    assert (H["f"][:3] == 5).all()


def test_rows_of_H0_that_have_not_run_are_new_work(comms):
    H0 = done_rows([5, 5, 5], sim_started=[True, False, False], sim_ended=[True, False, False])
    H, _, flag = run(comms, 2, H0=H0, sim_max=2)
    assert flag == 0 and H["sim_ended"].tolist() == [True, True, True]
    assert H["f"].tolist() == [5, 0, 0]


@pytest.mark.parametrize("informed", [True, False])
def test_gen_max_counts_new_rows_whether_or_not_a_generator_knows_the_old_ones(comms, informed, tmp_path):
    H, _, flag = run(comms, 2, H0=done_rows([5, 5, 5], gen_informed=informed), exit_criteria={"gen_max": 8})
    assert flag == 0 and len(H) == 11
    assert "gen_max" in reasons(tmp_path)[0]


def test_stop_val_is_reached_at_or_below_the_value(comms, tmp_path):
    H, _, flag = run(comms, 1, sim_f=descends, exit_criteria={"stop_val": ("f", -6.0)})
    assert flag == 0 and np.nanmin(H["f"][H["sim_ended"]]) == -6
    assert "stop_val" in reasons(tmp_path)[0]


def descends(H, persis_info, sim_specs):
    """Return f = -2 x, but NaN for x = 1."""
    H_o = np.zeros(len(H), dtype=sim_specs["out"])
    H_o["f"] = np.where(H["x"] == 1, np.nan, -2 * H["x"])
    return H_o


def test_rows_of_H0_count_for_stop_val(comms):
    H, _, flag = run(comms, 1, H0=done_rows([5, -7]), exit_criteria={"stop_val": ("f", -6.0)})
    assert flag == 0 and len(H) == 2


def test_rows_of_H0_that_have_not_ended_do_not_count_for_stop_val(comms):
    H0 = done_rows([-9], sim_started=False, sim_ended=False)
    H, _, _ = run(comms, 1, sim_f=descends, H0=H0, exit_criteria={"stop_val": ("f", -6.0)})
    assert len(H) > 1


def test_stop_val_may_look_at_a_field_of_objects_or_of_vectors(comms):
    for out in ([("f", object)], [("f", float, (2,))]):
        H, _, flag = run(
            comms, 1, sim_f=falls, sim={"out": out}, exit_criteria={"stop_val": ("f", -6.0), "sim_max": 50}
        )
        assert flag == 0 and H["sim_ended"].sum() < 50


def falls(H, persis_info, sim_specs):
    """Return f = -2 x, also where f is an object or has two elements."""
    H_o = np.zeros(len(H), dtype=sim_specs["out"])
    for j, x in enumerate(H["x"]):
        H_o["f"][j] = -2.0 * float(x)
    return H_o


def test_a_generator_may_write_the_value_that_stops_the_run(comms):
    gen = {"out": [("x", float), ("f", float), ("sim_id", int)], "user": {}}
    H, _, flag = run(
        comms,
        2,
        gen_f=writes_f,
        gen={**gen, "persis_in": ["f"]},
        alloc={"alloc_f": only_persistent_gens},
        sim_f=falls,
        sim={"out": [("g", float), ("f", float)]},
        exit_criteria={"stop_val": ("f", -100.0), "sim_max": 40},
    )
    assert flag == 0 and H["sim_ended"].sum() == 2


def writes_f(H, persis_info, gen_specs, libE_info):
    """Propose two points, and write a small value into the first once it is back."""
    from libensemble.message_numbers import EVAL_GEN_TAG, FINISHED_PERSISTENT_GEN_TAG
    from libensemble.tools.persistent_support import PersistentSupport

    support = PersistentSupport(libE_info, EVAL_GEN_TAG)
    H_o = np.zeros(2, dtype=gen_specs["out"])
    H_o["sim_id"], first = [0, 1], 0
    tag, _, _ = support.send_recv(H_o)
    while tag not in persistent_functions.STOPS:
        H_o["sim_id"], H_o["f"] = [first, first + 2], [-200 if first == 0 else 0, 0]
        first += 1
        tag, _, _ = support.send_recv(H_o)
    return None, persis_info, FINISHED_PERSISTENT_GEN_TAG


ALL_HOLD = {"wallclock_max": 0.0, "sim_max": 0, "gen_max": 0, "stop_val": ("f", 1000.0)}


@pytest.mark.parametrize("first", range(4))
def test_criteria_are_tested_in_a_fixed_order_and_the_first_is_named_once(tmp_path, first):
    names = list(ALL_HOLD)[first:]
    _, _, flag = run("threads", 1, H0=done_rows([5]), exit_criteria={name: ALL_HOLD[name] for name in names})
    assert flag == 0
    (reason,) = reasons(tmp_path)
    assert names[0] in reason


def test_simulations_that_run_when_a_criterion_is_met_are_awaited(comms):
    sim = {"user": {"long": [1], "seconds": 0.15}}
    H, _, flag = run(comms, 2, sim_f=slow_functions.takes_long, sim=sim, exit_criteria={"stop_val": ("f", 1.0)})
    assert flag == 0 and H["sim_ended"][1] and (H["sim_ended"] == H["sim_started"]).all()


def test_a_run_without_exit_criteria_is_warned_of(comms):
    with pytest.warns(UserWarning, match="No exit criterion"):
        H, _, flag = run(
            comms,
            2,
            gen_f=persistent_functions.returns_after,
            gen={"in": [], "persis_in": ["f"], "user": {"batch": 2, "receives": 1}},
            alloc={"alloc_f": only_persistent_gens},
            exit_criteria={},
        )
    assert flag == 0 and H["sim_ended"].all()


def test_no_work_while_all_are_idle_is_an_error(comms):
    with pytest.raises(LoggedException, match="gives no work although all workers are idle"):
        run(comms, 2, alloc={"alloc_f": gives_nothing})


def gives_nothing(W, H, sim_specs, gen_specs, alloc_specs, persis_info, libE_info):
    return {}, persis_info


def test_gen_orders_behind_the_last_simulation_are_not_sent(comms):
    H, _, flag = run(comms, 3, alloc={"alloc_f": gives_sims_and_a_gen}, gen={"user": {"batch": 2}}, sim_max=2)
    assert flag == 0 and len(H) == 2


def gives_sims_and_a_gen(W, H, sim_specs, gen_specs, alloc_specs, persis_info, libE_info):
    """Give the two rows there are, and the generator another call behind them."""
    from libensemble.tools.alloc_support import AllocSupport

    support = AllocSupport(W, False, persis_info, libE_info)
    Work = {}
    if not len(H) and not support.test_any_gen():
        Work[1] = support.gen_work(1, [], [], {})
    elif (rows := support.next_points(H, 2)) and len(support.avail_worker_ids()) == 3:
        Work[3] = support.sim_work(3, H, ["x"], rows[:1], {})
        Work[2] = support.sim_work(2, H, ["x"], rows[1:], {})
        Work[1] = support.gen_work(1, [], [], {})
    return Work, persis_info


# ---- time


@pytest.fixture
def left_behind():
    """Return a function that names what a run left behind: threads (all daemons) and processes that still run."""
    threads = set(threading.enumerate())
    me = psutil.Process()
    processes = {child.pid for child in me.children(recursive=True)}

    def find():
        new = [thread for thread in threading.enumerate() if thread not in threads]
        assert all(thread.daemon for thread in new)
        return [thread.name for thread in new], [
            child.name()
            for child in me.children(recursive=True)
            if child.pid not in processes and child.status() != psutil.STATUS_ZOMBIE
        ]

    yield find
    for thread in threading.enumerate():
        if thread not in threads:
            thread.join(10)


def test_running_out_of_time_abandons_what_runs(comms, capfd, left_behind):
    sim = {"user": {"long": [0], "seconds": 1.5}}
    criteria = {"wallclock_max": 0.3}
    H, _, flag = run(comms, 2, sim_f=slow_functions.takes_long, sim=sim, exit_criteria=criteria, worker_timeout=0)
    assert flag == 2
    wait_for(lambda: left_behind() == ((["libE worker 1"], []) if comms == "threads" else ([], [])))
    assert H["sim_started"][0] and not H["sim_ended"][0]
    assert H["sim_ended"].sum() >= 3
    assert "Out of time" in capfd.readouterr().err


def test_a_persistent_function_that_does_not_listen_is_ended_when_time_is_up(comms, left_behind):
    H, _, flag = run(
        comms,
        2,
        gen_f=persistent_functions.is_deaf,
        gen={"in": [], "persis_in": ["f"], "user": {"batch": 4, "deaf_for": 1.5}},
        alloc={"alloc_f": only_persistent_gens},
        exit_criteria={"wallclock_max": 0.3},
        worker_timeout=0,
    )
    assert flag == 2
    wait_for(lambda: left_behind() == ((["libE worker 1"], []) if comms == "threads" else ([], [])))
    assert H["sim_ended"].all() and len(H) == 4


def test_a_persistent_function_that_is_slow_to_listen_is_waited_for(comms):
    H, _, flag = run(
        comms,
        2,
        gen_f=persistent_functions.is_deaf,
        gen={"in": [], "persis_in": ["f"], "user": {"batch": 4, "deaf_for": 0.4}},
        alloc={"alloc_f": only_persistent_gens},
        exit_criteria={"wallclock_max": 0.2},
        worker_timeout=5,
    )
    assert flag == 2 and H["sim_ended"].all()


def test_a_process_that_ignores_sigterm_is_ended_all_the_same(left_behind):
    sim = {"user": {"seconds": 30}}
    H, _, flag = run(
        "local",
        2,
        sim_f=slow_functions.cannot_be_terminated,
        sim=sim,
        exit_criteria={"wallclock_max": 0.3},
        worker_timeout=0,
    )
    assert flag == 2 and not H["sim_ended"].any()
    assert left_behind() == ([], [])


def test_what_a_left_behind_thread_says_later_harms_nobody(capfd, left_behind):
    sim = {"user": {"seconds": 0.5}}
    _, _, flag = run(
        "threads", 2, sim_f=slow_functions.takes_long, sim=sim, exit_criteria={"wallclock_max": 0.1}, worker_timeout=0
    )
    assert flag == 2 and len(left_behind()[0]) == 2
    H, _, flag = run("threads", 2, sim_max=8)  # another run, while they are still there
    assert flag == 0 and (H["f"][:8] == 2 * H["x"][:8]).all()
    wait_for(lambda: left_behind() == ([], []))
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("kind", ["threads", "local"])
def test_waiting_costs_no_cpu_and_few_allocation_calls(kind):
    sim = {"user": {"seconds": 0.5}}
    cpu = time.process_time()
    _, persis_info, _ = run(
        kind,
        2,
        sim_f=sleeps,
        sim=sim,
        alloc={"alloc_f": slow_functions.counts_its_calls},
        gen={"user": {"batch": 2}},
        sim_max=2,
    )
    assert persis_info["calls"] < 40  # one per batch of letters and twenty a second, not thousands
    assert time.process_time() - cpu < 0.25


def sleeps(H, persis_info, sim_specs):
    time.sleep(sim_specs["user"]["seconds"])
    return np.zeros(len(H), dtype=sim_specs["out"])


def test_the_first_rows_go_to_the_workers_in_order(comms):
    H, _, _ = run(comms, 4, sim_f=slow_functions.takes_long, sim={"user": {"seconds": 0.05}}, sim_max=4)
    assert H["sim_worker"][:4].tolist() == [1, 2, 3, 4]


# ---- cancel and kill


def cancel(comms, how="put back", kills=True, *, seconds=5, cancel=(0,), workers=3, sim_max=8, gen_f=None, **stated):
    """Run a generator that cancels running rows; return H and persis_info."""
    user = {"long": list(cancel), "how": how, "seconds": seconds}
    H, persis_info, flag = run(
        comms,
        workers,
        sim_f=slow_functions.listens,
        sim={"user": user},
        gen_f=gen_f or slow_functions.cancels_running,
        gen={"in": [], "persis_in": ["sim_id", "f"], "user": {"batch": 4, "cancel": list(cancel)}},
        alloc={"alloc_f": only_persistent_gens, "user": {"async_return": True, "active_recv_gen": True}},
        kill_canceled_sims=kills,
        sim_max=sim_max,
        **stated,
    )
    assert flag == 0
    return H, persis_info


@pytest.mark.parametrize("how", ["put back", "taken"])
def test_a_running_simulation_that_is_cancelled_hears_of_it(comms, how, tmp_path):
    H, persis_info = cancel(comms, how)
    assert H["cancel_requested"][0] and H["kill_sent"][0]
    assert H["f"][0] == MAN_SIGNAL_KILL and H["sim_ended"][0]  # its result is recorded
    assert H["gen_informed"][0] and 0 in persis_info[1]["told"]  # and told
    assert H["kill_sent"].sum() == H["cancel_requested"].sum() == 1
    assert (H["f"][1:8] == 1).all()  # nobody else heard anything
    stats = (tmp_path / "libE_stats.txt").read_text()
    assert "Status: Manager killed task" in stats


def test_a_kill_signal_nobody_reads_is_dropped_before_the_next_call(comms):
    H, _ = cancel(comms, "unread", sim_max=20)
    assert H["kill_sent"][0] and H["f"][0] == 0
    assert (H["f"][1:20] == 1).all() and H["sim_ended"][:20].all()
    assert H["sim_worker"][0] in H["sim_worker"][4:20]  # its worker goes on


def test_the_executor_sees_the_kill(comms):
    before = current.executor
    try:
        Executor()
        H, _ = cancel(comms, "executor")
    finally:
        current.executor = before
    assert H["f"][0] == MAN_SIGNAL_KILL and (H["f"][1:8] == 1).all()


def test_ignoring_the_kill_is_allowed(comms):
    H, _ = cancel(comms, "ignored", seconds=0.2)
    assert H["kill_sent"][0] and H["sim_ended"][0]


def test_by_default_running_simulations_are_left_alone(comms):
    H, _ = cancel(comms, kills=False, seconds=0.15)
    assert H["cancel_requested"][0] and not H["kill_sent"].any()
    assert H["sim_ended"][0] and H["f"][0] == 0


def test_cancelling_what_has_ended_changes_only_the_flag(comms):
    out = [("x", float), ("priority", float)]
    H, _, _ = run(
        comms,
        2,
        gen_f=cancels_the_ended,
        gen={"in": [], "persis_in": ["f"], "user": {"batch": 2}, "out": out},
        alloc={"alloc_f": only_persistent_gens},
        kill_canceled_sims=True,
        sim_max=4,
    )
    assert H["cancel_requested"][:2].all() and not H["kill_sent"].any()
    assert H["sim_ended"][:4].all() and (H["f"][:4] == 2 * H["x"][:4]).all()


def cancels_the_ended(H, persis_info, gen_specs, libE_info):
    """Cancel each batch once it is back."""
    from libensemble.message_numbers import EVAL_GEN_TAG, FINISHED_PERSISTENT_GEN_TAG
    from libensemble.tools.persistent_support import PersistentSupport

    support = PersistentSupport(libE_info, EVAL_GEN_TAG)
    tag, rows = None, 0
    while tag not in persistent_functions.STOPS:
        tag, _, _ = support.send_recv(persistent_functions.batch(gen_specs, first=rows))
        support.request_cancel_sim_ids(range(rows, rows + 2))
        rows += 2
    return None, persis_info, FINISHED_PERSISTENT_GEN_TAG


def test_rows_cancelled_as_a_generator_returns_are_killed_too(comms):
    H, _ = cancel(comms, cancel=(1, 2), gen_f=slow_functions.cancels_and_returns, workers=4, sim_max=50)
    assert H["kill_sent"][1:3].all() and (H["f"][1:3] == MAN_SIGNAL_KILL).all()


def test_rows_cancelled_after_an_exit_criterion_was_met_are_killed_too(comms):
    criteria = {"stop_val": ("f", 1.0)}
    H, _ = cancel(comms, cancel=(1, 2), gen_f=slow_functions.cancels_and_returns, workers=4, exit_criteria=criteria)
    assert H["kill_sent"][1:3].all() and (H["f"][1:3] == MAN_SIGNAL_KILL).all()


def test_cancel_sims_time_cancels_and_kills_what_runs_too_long(comms):
    H, _, flag = run(
        comms,
        2,
        sim_f=slow_functions.listens,
        sim={"user": {"long": [1]}},
        alloc={"user": {"num_active_gens": 1, "cancel_sims_time": 0.1}},
        kill_canceled_sims=True,
        sim_max=6,
    )
    assert flag == 0 and H["cancel_requested"].sum() == 1
    assert H["f"][1] == MAN_SIGNAL_KILL and H["kill_sent"][1]


def test_an_allocation_function_may_cancel_by_writing_into_H(comms):
    H, _, flag = run(
        comms,
        2,
        sim_f=slow_functions.listens,
        sim={"user": {"long": []}},
        alloc={"alloc_f": cancels_odd_rows},
        sim_max=6,
    )
    assert flag == 0
    assert not H["sim_started"][1::2].any() and H["sim_ended"].sum() == 6


def cancels_odd_rows(W, H, *rest):
    from libensemble.alloc_funcs.give_sim_work_first import give_sim_work_first

    H["cancel_requested"][1::2] = True
    return give_sim_work_first(W, H, *rest)


def test_who_listens_hears_of_the_end_of_a_run_that_fails(comms, tmp_path, left_behind):
    with pytest.raises(LoggedException, match="while another listens"):
        run(comms, 2, sim_f=slow_functions.fails_while_another_listens, sim_max=2, worker_timeout=5)
    assert (tmp_path / f"heard_{STOP_TAG}_{MAN_SIGNAL_FINISH}").exists()
    assert left_behind() == ([], [])


# ---- Ctrl-C

SCRIPT = """
import sys, time
from libensemble import Ensemble
from libensemble.executors import Executor
import numpy as np

def sim(H, persis_info, sim_specs, libE_info):
    task = libE_info["executor"].submit(app_name="sleep", app_args="600")
    open(f"started_{libE_info['workerID']}_{task.process.pid}", "w").close()
    task.wait()
    return np.zeros(len(H), dtype=sim_specs["out"])

def gen(H, persis_info, gen_specs):
    return np.zeros(2, dtype=gen_specs["out"])

if __name__ == "__main__":
    executor = Executor()
    executor.register_app(full_path="/bin/sleep", app_name="sleep")
    from libensemble.libE import libE
    libE({"sim_f": sim, "in": ["x"], "out": [("f", float)]}, {"gen_f": gen, "out": [("x", float)]},
         {"sim_max": 2}, libE_specs={"comms": sys.argv[1], "nworkers": 2, "worker_timeout": 1})
"""


def test_an_interrupt_ends_the_run_with_all_its_applications_and_saves_the_history(comms, tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "script.py", comms], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    )
    try:
        wait_for(lambda: len(list(tmp_path.glob("started_*"))) == 2)
        applications = [psutil.Process(int(path.name.rsplit("_", 1)[1])) for path in tmp_path.glob("started_*")]
        workers = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        _, shown = process.communicate(timeout=15)
    finally:
        process.kill()
    assert process.returncode != 0 and "KeyboardInterrupt" in shown
    _, alive = psutil.wait_procs(applications + workers, timeout=5)
    for one in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    assert not alive
    assert list(tmp_path.glob("libE_history_at_abort_*.npy"))


def wait_for(condition):
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.parametrize("kind", ["local", "threads"])
def test_applications_of_abandoned_simulations_are_ended(kind):
    before = current.executor
    try:
        executor = Executor()
        executor.register_app(full_path="/bin/sleep", app_name="sleep")
        executor.wait_time = 1
        _, _, flag = run(kind, 2, sim_f=launches, exit_criteria={"wallclock_max": 0.5}, worker_timeout=0)
    finally:
        current.executor = before
    assert flag == 2
    wait_for(lambda: not [child for child in psutil.Process().children(recursive=True) if is_running_sleep(child)])


def launches(H, persis_info, sim_specs, libE_info):
    """Launch an application that outlives the run, and wait for it."""
    task = libE_info["executor"].submit(app_name="sleep", app_args="600")
    task.wait()
    return np.zeros(len(H), dtype=sim_specs["out"])


def is_running_sleep(process):
    with contextlib.suppress(psutil.Error):
        return process.name() == "sleep" and process.status() != psutil.STATUS_ZOMBIE
    return False
