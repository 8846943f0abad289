"""Tools and utilities as scripts call them: arguments and their defaults, and what comes of using them together."""

import inspect
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import libensemble.tools
from libensemble import Ensemble
from libensemble.history import History
from libensemble.message_numbers import EVAL_GEN_TAG, EVAL_SIM_TAG
from libensemble.tools import add_unique_random_streams, check_npy_file_exists, save_libE_output
from libensemble.utils.lookup import lookup
from tests.fakes import user_functions
from tests.fakes.ensembles import run, specs

ROOT = Path(__file__).resolve().parents[2]

SIGNATURES = {
    "libensemble.tools.add_unique_random_streams": "persis_info, nstreams, seed=''",
    "libensemble.tools.save_libE_output": (
        "H, persis_info, basename, nworkers, dest_path=None, mess='Run completed', append_attrs=True"
    ),
    "libensemble.tools.check_npy_file_exists": "filename, basename=False, max_wait=3",
    "libensemble.tools.eprint": "*args, **kwargs",
    "libensemble.tools.test_support.check_mpi_runner": "task, exp, print_setting=False",
    "libensemble.tools.test_support.check_gpu_setting": (
        "task, assert_setting=True, print_setting=False, resources=None, desc=''"
    ),
    "libensemble.logger.set_level": "level",
    "libensemble.logger.set_filename": "filename",
    "libensemble.logger.set_directory": "dirname",
    "libensemble.logger.set_stderr_level": "level",
    "libensemble.logger.get_level": "",
    "libensemble.logger.get_stderr_level": "",
    "libensemble.comms.logs.manager_logging_config": "specs",
    "libensemble.utils.misc.extract_H_ranges": "Work",
    "libensemble.utils.misc.list_dicts_to_np": "list_dicts, dtype=None, mapping",
    "libensemble.utils.misc.np_to_list_dicts": "array, mapping",
    "libensemble.utils.misc.map_numpy_array": "array, mapping",
    "libensemble.utils.misc.unmap_numpy_array": "array, mapping",
    "libensemble.utils.loc_stack.LocationStack.register_loc": (
        "self, key, dirname, prefix=None, copy_files, symlink_files, ignore_FileExists=False, allow_overwrite=False"
    ),
    "libensemble.utils.loc_stack.LocationStack.push_loc": "self, key",
    "libensemble.utils.loc_stack.LocationStack.push": "self, dirname",
    "libensemble.utils.loc_stack.LocationStack.loc": "self, key",
    "libensemble.utils.loc_stack.LocationStack.dir": "self, dirname",
    "libensemble.utils.launcher.form_command": "cmd_template, specs",
    "libensemble.utils.launcher.process_is_stopped": "process, timeout",
    "libensemble.utils.launcher.wait": "process, timeout=None",
    "libensemble.utils.launcher.wait_and_kill": "process, timeout",
    "libensemble.utils.launcher.cancel": "process, timeout=0",
    "libensemble.utils.output_directory.EnsembleDirectory": "libE_specs, loc_stack=None",
    "libensemble.utils.output_directory.EnsembleDirectory.prep_calc_dir": "self, Work, calc_iter, workerID, calc_type",
    "libensemble.tools.live_data.plot2n.Plot2N": "plot_type='2d', func, bounds",
    "libensemble.history.History": "alloc_specs, sim_specs, gen_specs, exit_criteria, H0=None",
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_functions_take_the_documented_arguments(name):
    """In this order, with the defaults that the table shows; what else they take may be left out."""
    found = list(inspect.signature(lookup(name)).parameters.values())
    stated = SIGNATURES[name].split(", ") if SIGNATURES[name] else []
    for parameter, text in zip(found, stated, strict=False):
        kind = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        shown = f"{parameter.name}={parameter.default!r}" if "=" in text else f"{kind}{parameter.name}"
        assert shown == text
    assert len(found) >= len(stated)
    assert all(parameter.default is not parameter.empty for parameter in found[len(stated) :])


# -- Random streams and a run


def test_streams_reach_user_functions_on_their_worker(comms):
    persis_info = add_unique_random_streams({}, 3)
    expected = {i: np.random.default_rng(i).random() for i in range(3)}
    _, out, _ = run(comms, 2, gen_f=draw, persis_info=persis_info, sim_max=4)
    drawn = {wid: info["drawn"] for wid, info in out.items() if isinstance(info, dict) and "drawn" in info}
    assert drawn
    assert all(drawn[wid] == expected[wid] for wid in drawn)


def draw(H, persis_info, gen_specs):
    """Remember the stream's first number."""
    persis_info.setdefault("drawn", persis_info["rand_stream"].random())
    return user_functions.count_up(H, persis_info, gen_specs), persis_info


# -- Saving what a run returned


def test_what_was_saved_can_be_found_and_loaded_again(comms, own_folder, capsys):
    H, persis_info, _ = run(comms, 2, persis_info=add_unique_random_streams({}, 3))
    path = save_libE_output(H, persis_info, str(own_folder / "else" / "test_run_things.py"), 2)
    assert Path(path).name == "run_things_history_length=8_evals=8_workers=2.npy"
    assert check_npy_file_exists(path)
    assert check_npy_file_exists("run_things.py", basename=True)
    again = np.load(path)
    assert again.dtype == H.dtype
    assert again["f"].tolist() == H["f"].tolist()
    with open("run_things_persis_info_length=8_evals=8_workers=2.pickle", "rb") as file:
        assert sorted(pickle.load(file), key=str) == sorted(persis_info, key=str)
    shown = capsys.readouterr().err.splitlines()
    assert "Run completed" in shown[0]
    assert path in shown[1]


def test_a_saved_history_starts_the_next_run(comms):
    H, _, _ = run(comms)
    path = save_libE_output(H, {}, "first", 2, append_attrs=False)
    again, _, _ = run(comms, H0=np.load(path), sim_max=4)
    assert again["f"][:8].tolist() == H["f"].tolist()
    assert again["sim_ended"].sum() == 12


def test_an_ensemble_saves_under_the_same_names(comms):
    ensemble = Ensemble(**specs(comms))
    ensemble.run()
    ensemble.save_output(__file__)
    ensemble.save_output("again", append_attrs=False)
    names = {name for name in os.listdir() if name.endswith((".npy", ".pickle"))}
    assert names == {
        "tools_names_history_length=8_evals=8_workers=2.npy",
        "tools_names_persis_info_length=8_evals=8_workers=2.pickle",
        "again.npy",
        "again.pickle",
    }


# -- The debugger


def test_the_debugger_can_be_used_in_a_forked_worker(own_folder):
    script = own_folder / "script.py"
    script.write_text(
        "from libensemble.tools import ForkablePdb\n"
        "from tests.fakes.ensembles import run\n"
        "from tests.fakes.user_functions import double\n"
        "def sim(H, persis_info, sim_specs):\n"
        "    secret = 'seen ' + str(H['x'][0] + 41)\n"
        "    ForkablePdb(nosigint=True).set_trace()\n"
        "    return double(H, persis_info, sim_specs)\n"
        "H, _, flag = run('local', 1, sim_f=sim, sim_max=1, gen={'user': {'batch': 1}})\n"
        "print('over', flag, H['f'][0])\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)],
        input="p secret\nc\n",
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "seen 41.0" in done.stdout, done.stdout + done.stderr
    assert "over 0 0.0" in done.stdout


# -- Parts that scripts of an advanced kind put together by themselves


def test_an_ensemble_directory_is_used_step_by_step(own_folder):
    from libensemble.utils.output_directory import EnsembleDirectory

    directory = EnsembleDirectory({"sim_dirs_make": True, "ensemble_copy_back": True})
    directory.make_copyback()
    assert os.path.isdir("ensemble_back")
    assert directory.use_calc_dirs(EVAL_SIM_TAG)
    Work = {"libE_info": {"H_rows": np.array([3])}, "tag": EVAL_SIM_TAG}
    stack, key = directory.prep_calc_dir(Work, {EVAL_SIM_TAG: 1, EVAL_GEN_TAG: 0}, 1, EVAL_SIM_TAG)
    with stack.loc(key):
        assert os.getcwd() == str(own_folder / "ensemble" / "sim0003")
        Path("out").write_text("")
    directory.copy_back()
    assert os.path.exists("ensemble_back/sim0003/out")


@pytest.mark.parametrize("make", ["Runner", "Runner.from_specs"])
def test_a_runner_calls_a_function_with_what_it_takes(make):
    from libensemble.utils.runners import Runner

    def two_arguments(H, persis_info):
        return H["x"].sum(), persis_info

    runner = eval(make, {"Runner": Runner})({"sim_f": two_arguments, "user": {}})
    calc_in = np.array([(1.0,), (2.0,)], dtype=[("x", float)])
    assert runner.run(calc_in, {"persis_info": {"a": 1}, "libE_info": {}}) == (3.0, {"a": 1})
    runner.shutdown()


def test_timers_write_themselves():
    from libensemble.utils.timer import TaskTimer, Timer

    date = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}"
    with Timer() as timer, TaskTimer() as task:
        pass
    assert re.fullmatch(rf"Time: 0\.\d{{3}} Start: {date} End: {date}", str(timer))
    assert re.fullmatch(rf"0\.\d{{3}} Tstart: {date} Tend: {date}", str(task))
    assert re.fullmatch(r"0\.\d{3}", task.summary())
    assert timer.tstart <= timer.tend
    assert not timer.timing


def test_a_history_can_be_made_and_filled_by_hand():
    history = History({}, {"out": [("f", float)]}, {"out": [("x", float)]}, {"sim_max": 0}, [])
    assert len(history.H) == 0
    assert (history.index, history.using_H0, history.grow_count) == (0, False, 0)
    D = np.array([(1.0,), (2.0,)], dtype=[("x", float)])
    history.update_history_x_in(1, D, 0.0)
    assert history.trim_H()["sim_id"].tolist() == [0, 1]
    history.update_history_x_out(np.array([0]), 2)
    info = {"H_rows": np.array([0])}
    out = np.array([(5.0,)], dtype=[("f", float)])
    history.update_history_f({"libE_info": info, "calc_out": out}, False)
    history.update_history_to_gen(np.array([0]))
    row = history.H[0]
    assert (row["f"], row["sim_ended"], row["sim_worker"], row["gen_informed"]) == (5.0, True, 2, True)
    assert (history.sim_started_count, history.sim_ended_count, history.gen_informed_count) == (1, 1, 1)
    length = len(history.H)
    history.grow_H(3)
    assert len(history.H) == length + 3
    assert history.grow_count >= 1


def test_rows_of_a_work_order_are_written_as_ranges():
    from libensemble.utils.misc import extract_H_ranges

    assert extract_H_ranges({"libE_info": {"H_rows": np.array([0, 1, 2, 5, 7, 8])}}) == "0-2_5_7-8"
    assert extract_H_ranges({"libE_info": {"H_rows": []}}) == ""


def test_the_worker_table_counts_from_one_unless_there_is_one_more():
    from libensemble.utils.misc import _WorkerIndexer

    W = np.zeros(3, dtype=[("worker_id", int), ("active", int)])
    W["worker_id"] = [1, 2, 3]
    assert _WorkerIndexer(W)[1]["worker_id"] == 1
    W["worker_id"] = [0, 1, 2]
    assert _WorkerIndexer(W, True)[1]["worker_id"] == 1
    table = _WorkerIndexer(W, additional_worker=True)
    table[2]["active"] = EVAL_SIM_TAG
    assert W["active"].tolist() == [0, 0, EVAL_SIM_TAG]
    assert table["worker_id"].tolist() == [0, 1, 2]


def test_scripts_may_branch_on_the_version_of_pydantic():
    from libensemble.utils.misc import pydanticV1, pydanticV2

    assert (pydanticV1, pydanticV2) == (False, True)


def test_parse_args_is_function_and_module(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["script.py", "--comms", "threads", "--nworkers", "3", "--mine"])
    nworkers, is_manager, libE_specs, extra = libensemble.tools.parse_args()
    assert (nworkers, is_manager, extra) == (3, True, ["--mine"])
    assert libE_specs["comms"] == "threads"
    from libensemble.tools.parse_args import mpi_init

    assert callable(mpi_init)
