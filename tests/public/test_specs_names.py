"""Names, defaults and dict shapes of the specs that scripts rely on."""

import importlib
from pathlib import Path

import numpy as np
import pytest

from libensemble import specs
from libensemble.specs import AllocSpecs, ExitCriteria, GenSpecs, LibeSpecs, SimSpecs
from libensemble.utils.misc import specs_dump

DEFAULTS_OF_LIBE_SPECS = {
    "comms": "mpi",
    "nworkers": 0,
    "gen_on_manager": False,
    "mpi_comm": None,
    "dry_run": False,
    "abort_on_exception": True,
    "worker_timeout": 1,
    "kill_canceled_sims": False,
    "gen_workers": [],
    "safe_mode": False,
    "disable_log_files": False,
    "profile": False,
    "stats_fmt": {},
    "live_data": None,
    "use_workflow_dir": False,
    "workflow_dir_path": ".",
    "reuse_output_dir": False,
    "ensemble_dir_path": Path("ensemble"),
    "ensemble_copy_back": False,
    "use_worker_dirs": False,
    "sim_dirs_make": False,
    "gen_dirs_make": False,
    "sim_dir_copy_files": [],
    "gen_dir_copy_files": [],
    "sim_dir_symlink_files": [],
    "gen_dir_symlink_files": [],
    "sim_input_dir": None,
    "gen_input_dir": None,
    "calc_dir_id_width": 4,
    "save_every_k_sims": 0,
    "save_every_k_gens": 0,
    "save_H_and_persis_on_abort": True,
    "save_H_on_completion": False,
    "save_H_with_date": False,
    "H_file_prefix": "libE_history",
    "use_persis_return_gen": False,
    "use_persis_return_sim": False,
    "final_gen_send": False,
    "workers": [],
    "ip": None,
    "port": 0,
    "workerID": None,
    "worker_cmd": [],
    "platform": "",
    "platform_specs": {},
    "disable_resource_manager": False,
    "num_resource_sets": 0,
    "gen_num_procs": 0,
    "gen_num_gpus": 0,
    "gpus_per_group": None,
    "use_tiles_as_gpus": False,
    "enforce_worker_core_bounds": False,
    "dedicated_mode": False,
    "zero_resource_workers": [],
    "resource_info": {},
    "scheduler_opts": {},
}


def simulate(H):
    return H


def test_names_that_scripts_import():
    for name in ("SimSpecs", "GenSpecs", "AllocSpecs", "ExitCriteria", "LibeSpecs", "_EnsembleSpecs"):
        assert isinstance(getattr(specs, name), type) and name in specs.__all__
    for name in ("input_fields", "persistent_input_fields", "output_data"):
        assert callable(getattr(specs, name))
    assert callable(importlib.import_module("libensemble.tools.parse_args").mpi_init)


def test_libE_specs_have_57_options_with_these_defaults():
    dump = specs_dump(LibeSpecs())
    assert dump.pop("authkey").startswith("libE_auth_")
    assert dump == DEFAULTS_OF_LIBE_SPECS
    assert len(LibeSpecs.model_fields) == 57


def test_what_a_simulation_function_sees():
    user = {"data": np.arange(3), "nested": {"a": (1, 2)}}
    dump = specs_dump(SimSpecs(sim_f=simulate, inputs=["x"], outputs=[("f", float)], user=user), by_alias=True)
    assert dump.pop("user") == user
    assert dump == {
        "sim_f": simulate,
        "simulator": None,
        "in": ["x"],
        "persis_in": [],
        "out": [("f", float)],
        "globus_compute_endpoint": "",
        "threaded": False,
        "on_error": "abort",
        "max_retries": 0,
        "vocs": None,
    }


def test_what_a_generator_function_sees():
    assert specs_dump(GenSpecs(gen_f=simulate), by_alias=True) == {
        "gen_f": simulate,
        "generator": None,
        "in": [],
        "persis_in": [],
        "out": [],
        "globus_compute_endpoint": "",
        "initial_batch_size": 0,
        "batch_size": 0,
        "threaded": False,
        "user": {},
        "vocs": None,
    }


def test_what_an_allocation_function_sees():
    assert specs_dump(AllocSpecs(alloc_f=simulate), by_alias=True) == {
        "alloc_f": simulate,
        "user": {"num_active_gens": 1},
        "out": [],
    }


def test_exit_criteria_hold_only_what_is_stated():
    assert specs_dump(ExitCriteria(sim_max=3, stop_val=("f", 0)), exclude_none=True) == {
        "sim_max": 3,
        "stop_val": ("f", 0.0),
    }


def test_objects_in_user_arrive_as_themselves():
    class Thing:
        pass

    thing = Thing()
    inner = SimSpecs()
    user = specs_dump(GenSpecs(gen_f=simulate, user={"thing": thing, "model": inner}), by_alias=True)["user"]
    assert user["thing"] is thing and user["model"] is inner


def test_in_and_out_may_be_keyword_arguments_mixed_with_long_names():
    spec = SimSpecs(sim_f=simulate, inputs=["x"], out=[("f", float)])
    assert spec.inputs == ["x"] and spec.outputs == [("f", float)]


@pytest.mark.parametrize("field", [("parameters", object, (8,)), ("name", "<U40"), ("f", float, 3), ("g", "float32")])
def test_fields_of_community_scripts_are_accepted(field):
    assert SimSpecs(sim_f=simulate, out=[field]).outputs == [field]
