"""Rules of libensemble.tools: random streams, saved results, waiting for files, and which names are where."""

import os
import pickle
import re
import subprocess
import sys

import numpy as np
import pytest

import libensemble.tools
from libensemble.tools import add_unique_random_streams, check_npy_file_exists, eprint, save_libE_output, tools


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def H():
    history = np.zeros(5, dtype=[("sim_id", int), ("sim_ended", bool), ("x", float, 2)])
    history["sim_ended"][:3] = True
    return history


# -- Random streams


def test_streams_are_numbered_and_seeded_with_their_number():
    persis_info = add_unique_random_streams({}, 3)
    assert sorted(persis_info) == [0, 1, 2]
    assert [persis_info[i]["worker_num"] for i in range(3)] == [0, 1, 2]
    assert persis_info[2]["rand_stream"].random() == np.random.default_rng(2).random()


def test_entries_are_updated_not_replaced():
    mine = {"keep": 1}
    persis_info = {1: mine, "other": 2}
    assert add_unique_random_streams(persis_info, 2) is persis_info
    assert persis_info[1] is mine
    assert sorted(mine) == ["keep", "rand_stream", "worker_num"]
    assert persis_info["other"] == 2


def test_a_number_seeds_all_streams_alike():
    persis_info = add_unique_random_streams({}, 2, seed=7)
    assert persis_info[0]["rand_stream"].random() == persis_info[1]["rand_stream"].random()


def test_none_seeds_every_stream_afresh():
    persis_info = add_unique_random_streams({}, 2, seed=None)
    assert persis_info[0]["rand_stream"].random() != persis_info[1]["rand_stream"].random()


def test_other_seeds_are_refused():
    with pytest.raises(ValueError, match="'lucky'"):
        add_unique_random_streams({}, 2, seed="lucky")


# -- Saving


def test_names_tell_what_is_in_the_files(H, here):
    path = save_libE_output(H, {"a": 1}, "/some/where/test_my_run.py", 4)
    assert path == str(here / "my_run_history_length=5_evals=3_workers=4.npy")
    assert np.array_equal(np.load(path), H)
    with open("my_run_persis_info_length=5_evals=3_workers=4.pickle", "rb") as file:
        assert pickle.load(file) == {"a": 1}


@pytest.mark.parametrize(
    ("basename", "short"),
    [("run.py", "run"), ("a/b/run_test_thing.py", "thing"), ("test_", "test_"), ("libE_history", "libE_history")],
)
def test_short_names(H, here, basename, short):
    assert save_libE_output(H, {}, basename, 1, append_attrs=False) == str(here / f"{short}.npy")
    assert sorted(os.listdir(here)) == [f"{short}.npy", f"{short}.pickle"]


def test_destination_is_made(H, here):
    assert save_libE_output(H, {}, "run", 1, dest_path=here / "deep" / "er").startswith(str(here / "deep" / "er"))


def test_notice_goes_to_stderr_in_two_lines(H, capsys):
    path = save_libE_output(H, {}, "run", 1, mess="All is well")
    shown = capsys.readouterr()
    assert shown.out == ""
    first, second = shown.err.splitlines()
    assert first == "All is well"
    assert path in second


def test_an_empty_history_can_be_saved(here):
    assert "length=0_evals=0" in save_libE_output(np.zeros(0, dtype=[("x", float)]), {}, "run", 1)


def test_objects_in_the_history_are_saved(here):
    H = np.zeros(1, dtype=[("sim_ended", bool), ("thing", object)])
    H["thing"][0] = {"any": "thing"}
    assert np.load(save_libE_output(H, {}, "run", 1), allow_pickle=True)["thing"][0] == {"any": "thing"}


def test_what_cannot_be_pickled_spares_the_history_and_earlier_files(H, here):
    save_libE_output(H, {"good": 1}, "run", 1, append_attrs=False)
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        save_libE_output(H, {"bad": lambda: 0}, "run", 1, append_attrs=False)
    assert sorted(os.listdir(here)) == ["run.npy", "run.pickle"]
    with open("run.pickle", "rb") as file:
        assert pickle.load(file) == {"good": 1}


# -- Waiting for files


def test_a_file_that_is_there_is_found(H, here):
    path = save_libE_output(H, {}, "run.py", 1)
    assert check_npy_file_exists(path, max_wait=0)
    assert check_npy_file_exists("else/where/run.py", basename=True, max_wait=0)


def test_a_file_that_is_not_there_is_waited_for_no_longer_than_asked(here, monkeypatch):
    waits = []
    monkeypatch.setattr(tools.time, "sleep", waits.append)
    monkeypatch.setattr(tools.time, "monotonic", iter([0.0, 0.1, 0.2, 1.0]).__next__)
    assert not check_npy_file_exists("never.npy", max_wait=1)
    assert waits == [0.1, 0.1]


def test_only_histories_count(here):
    (here / "run.pickle").write_bytes(b"")
    (here / "run.npy").mkdir()
    assert not check_npy_file_exists("run.npy", max_wait=0)
    assert not check_npy_file_exists("other", basename=True, max_wait=0)


def test_eprint_prints_to_stderr(capsys):
    eprint("a", 1, sep="-")
    assert capsys.readouterr().err == "a-1\n"


# -- Names


def test_all_names_can_be_loaded():
    assert set(libensemble.tools.__all__) >= {
        "add_unique_random_streams",
        "check_npy_file_exists",
        "eprint",
        "ForkablePdb",
        "parse_args",
        "save_libE_output",
        "PersistentSupport",
        "AllocSupport",
    }
    for name in libensemble.tools.__all__:
        assert callable(getattr(libensemble.tools, name)), name
        assert name in dir(libensemble.tools)


def test_the_full_module_has_the_functions_too():
    for name in ("add_unique_random_streams", "ForkablePdb", "parse_args", "save_libE_output"):
        assert getattr(tools, name) is getattr(libensemble.tools, name)


def test_parse_args_is_the_function_though_a_module_has_that_name():
    from libensemble.tools.parse_args import mpi_init, parse_args

    assert callable(mpi_init)
    assert libensemble.tools.parse_args is parse_args


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = libensemble.tools.nonsense


def test_modules_are_reachable_as_attributes_after_a_plain_import():
    code = "import libensemble.tools as t; print(t.fields_keys.__name__, t.parse_args.__name__, t.live_data.__name__)"
    shown = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    ).stdout
    assert shown.split() == ["libensemble.tools.fields_keys", "parse_args", "libensemble.tools.live_data"]


def test_the_package_loads_its_modules_only_when_used():
    code = "import sys, libensemble.tools; print([m for m in sys.modules if m.startswith('libensemble.tools.')])"
    shown = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    ).stdout
    assert shown.strip() == "[]"


def test_field_keys():
    from libensemble.tools import fields_keys

    assert len(fields_keys.libE_fields) == 13
    assert len(fields_keys.protected_libE_fields) == 11
    assert fields_keys.libE_spec_calc_dir_misc == ["ensemble_copy_back", "use_worker_dirs"]
    assert fields_keys.libE_spec_sim_dir_keys == [
        "sim_dirs_make",
        "sim_dir_copy_files",
        "sim_dir_symlink_files",
        "sim_input_dir",
    ]
    assert [
        re.sub("^gen", "sim", key) for key in fields_keys.libE_spec_gen_dir_keys
    ] == fields_keys.libE_spec_sim_dir_keys


def test_functions_before_persistent_support():
    from libensemble.message_numbers import EVAL_GEN_TAG, PERSIS_STOP
    from libensemble.tools.gen_support import get_mgr_worker_msg, send_mgr_worker_msg

    class Comm:
        sent, back = [], []

        def send(self, tag, payload):
            self.sent.append((tag, payload["calc_out"]))

        def recv(self):
            return PERSIS_STOP, 20

        def push_to_buffer(self, *message):
            self.back.append(message)

    comm = Comm()
    send_mgr_worker_msg(comm, "points")
    assert comm.sent == [(EVAL_GEN_TAG, "points")]
    assert get_mgr_worker_msg(comm)[0] == PERSIS_STOP


def test_arguments_of_a_run_are_checked_by_the_decorator():
    from pydantic import ValidationError

    from libensemble.utils.pydantic_bindings import libE_wrapper

    @libE_wrapper
    def run(sim_specs, gen_specs, exit_criteria):
        return exit_criteria

    def some(H):
        return H

    good = {"sim_f": some, "in": ["x"], "out": [("f", float)]}, {"gen_f": some, "out": [("x", float)]}
    assert run(*good, exit_criteria={"sim_max": 3}) == {"sim_max": 3}
    with pytest.raises(ValidationError):
        run(*good, exit_criteria={"sim_maximum": 3})


@pytest.mark.parametrize(
    ("old", "name", "home"),
    [
        ("libensemble.utils.output_directory", "EnsembleDirectory", "libensemble.worker.directories"),
        ("libensemble.utils.runners", "Runner", "libensemble.worker.runners"),
        ("libensemble.utils.validators", "comms_name", "libensemble.specs.checks"),
        ("libensemble.utils.pydantic_bindings", "SimSpecs", "libensemble.specs.models"),
    ],
)
def test_old_paths_show_the_same_objects(old, name, home):
    import importlib

    assert getattr(importlib.import_module(old), name) is getattr(importlib.import_module(home), name)


def test_the_debugger_reads_the_terminal_and_gives_stdin_back(monkeypatch):
    import pdb

    seen = []
    monkeypatch.setattr(pdb.Pdb, "interaction", lambda self, *args: seen.append((sys.stdin.name, args)))
    before = sys.stdin
    libensemble.tools.ForkablePdb().interaction("frame", None)
    assert seen == [("/dev/stdin", ("frame", None))]
    assert sys.stdin is before
