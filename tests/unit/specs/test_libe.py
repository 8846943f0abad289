"""Comms, effects of one option on others, and paths in LibeSpecs."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from libensemble.resources.platforms import Platform
from libensemble.specs import LibeSpecs


@pytest.fixture(autouse=True)
def no_mpi_environment(monkeypatch, tmp_path):
    monkeypatch.delenv("OMPI_COMM_WORLD_SIZE", raising=False)
    monkeypatch.delenv("PMI_SIZE", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("nworkers", [0, 1, 4])
def test_a_number_of_workers_means_local_comms(nworkers):
    assert LibeSpecs(nworkers=nworkers).comms == "local"


@pytest.mark.parametrize("variable", ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"])
def test_an_mpi_launch_means_mpi_comms(monkeypatch, variable):
    monkeypatch.setenv(variable, "1")
    assert LibeSpecs(nworkers=4).comms == "local"
    monkeypatch.setenv(variable, "8")
    assert LibeSpecs(nworkers=4).comms == "mpi"
    assert LibeSpecs(nworkers=4, comms="threads").comms == "threads"


def test_comms_are_inferred_at_construction_only():
    specs = LibeSpecs()
    specs.nworkers = 4
    assert specs.comms == "mpi"


@pytest.mark.parametrize("wrong", ["local_threading", "ssh", None, 3, ""])
def test_other_comms_are_refused(wrong):
    with pytest.raises(ValidationError, match="comms"):
        LibeSpecs(comms=wrong)


@pytest.mark.parametrize("comms", ["local", "threads", "tcp"])
def test_fewer_than_no_workers_are_refused(comms):
    with pytest.raises(ValidationError, match="nworkers=-1"):
        LibeSpecs(comms=comms, nworkers=-1)


def test_tcp_needs_workers_and_has_no_resource_manager():
    with pytest.raises(ValidationError, match="workers"):
        LibeSpecs(comms="tcp")
    specs = LibeSpecs(comms="tcp", workers=["a", "b"], disable_resource_manager=False)
    assert specs.disable_resource_manager is True


@pytest.mark.parametrize("option", ["save_every_k_sims", "save_every_k_gens"])
def test_saving_on_the_way_means_saving_at_the_end(option):
    assert LibeSpecs(**{option: 5}, save_H_on_completion=False).save_H_on_completion is True
    specs = LibeSpecs()
    setattr(specs, option, 3)
    assert specs.save_H_on_completion is True


def test_a_workflow_dir_is_made_up_when_none_is_stated(tmp_path):
    first, second = LibeSpecs(use_workflow_dir=True), LibeSpecs(use_workflow_dir=True)
    assert first.workflow_dir_path.parent == tmp_path
    assert first.workflow_dir_path.name.startswith("workflow_") and len(first.workflow_dir_path.name) == 15
    assert first.workflow_dir_path != second.workflow_dir_path
    kept = first.workflow_dir_path
    first.safe_mode = True
    assert first.workflow_dir_path == kept


def test_a_stated_workflow_dir_is_used_and_absolute(tmp_path):
    specs = LibeSpecs(workflow_dir_path="runs/one", use_workflow_dir=False)
    assert specs.use_workflow_dir is True and specs.workflow_dir_path == tmp_path / "runs" / "one"
    assert LibeSpecs().workflow_dir_path == "." and LibeSpecs().use_workflow_dir is False


@pytest.mark.parametrize("kind", ["sim", "gen"])
def test_an_input_dir_exists_and_makes_directories(tmp_path, kind):
    (tmp_path / "inputs").mkdir()
    specs = LibeSpecs(**{f"{kind}_input_dir": "inputs", f"{kind}_dirs_make": False})
    assert specs[f"{kind}_input_dir"] == tmp_path / "inputs" and specs[f"{kind}_dirs_make"] is True
    assert LibeSpecs(**{f"{kind}_input_dir": "."})[f"{kind}_input_dir"] == tmp_path
    for wrong in ("missing", Path(".")):
        with pytest.raises(ValidationError, match=f"{kind}_input_dir"):
            LibeSpecs(**{f"{kind}_input_dir": wrong})


@pytest.mark.parametrize("act", ["copy", "symlink"])
@pytest.mark.parametrize("kind", ["sim", "gen"])
def test_files_to_copy_or_link_exist_and_become_absolute(tmp_path, kind, act):
    option = f"{kind}_dir_{act}_files"
    (tmp_path / "data.txt").touch()
    assert LibeSpecs(**{option: ["data.txt", tmp_path]})[option] == [tmp_path / "data.txt", tmp_path]
    with pytest.raises(ValidationError, match="no file"):
        LibeSpecs(**{option: ["missing.txt"]})
    with pytest.raises(ValidationError, match="list"):
        LibeSpecs(**{option: "data.txt"})


def test_a_platform_may_be_described_by_a_dict():
    specs = LibeSpecs(platform_specs={"mpi_runner": "srun", "gpus_per_node": 4})
    assert isinstance(specs.platform_specs, Platform) and specs.platform_specs.gpus_per_node == 4
    assert LibeSpecs(platform_specs=specs.platform_specs).platform_specs is specs.platform_specs
    assert LibeSpecs(platform_specs=None).platform_specs == {}
    for wrong in ({"mpi_runer": "srun"}, {"mpi_runner": "carrier pigeon"}, "srun"):
        with pytest.raises(ValidationError, match="platform_specs"):
            LibeSpecs(platform_specs=wrong)


@pytest.mark.parametrize(
    ("option", "good", "wrong"),
    [
        ("stats_fmt", {"task_timing": True, "task_datetime": True, "show_resource_sets": True}, "task_timings"),
        ("scheduler_opts", {"split2fit": False, "match_slots": True}, "match_slot"),
        ("resource_info", {"cores_on_node": (16, 64), "nodelist_env_pbs": "MY_NODES"}, "cores_per_node"),
    ],
)
def test_options_that_are_dicts_have_known_keys(option, good, wrong):
    assert LibeSpecs(**{option: good})[option] == good
    with pytest.raises(ValidationError, match="Did you mean"):
        LibeSpecs(**{option: {wrong: 1}})


def test_the_authkey_is_long_and_stays_the_same_in_one_interpreter():
    key = LibeSpecs().authkey
    assert key.startswith("libE_auth_") and len(key) >= 10 + 32
    assert LibeSpecs().authkey == key
