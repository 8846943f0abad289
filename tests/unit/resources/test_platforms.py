"""Platforms: values are checked everywhere, and what the user states never erases what is known."""

import pytest
from pydantic import ValidationError

from libensemble.errors import ResourcesException
from libensemble.resources import platforms
from libensemble.resources.platforms import (
    Known_platforms,
    Platform,
    PlatformException,
    get_platform,
    known_envs,
    known_system_detect,
)

COMMON = {"scheduler_match_slots": True}
KNOWN = {
    "aurora": {
        "mpi_runner": "mpich",
        "runner_name": "mpiexec",
        "cores_per_node": 104,
        "logical_cores_per_node": 208,
        "gpus_per_node": 6,
        "tiles_per_gpu": 2,
        "gpu_setting_type": "env",
        "gpu_setting_name": "ZE_AFFINITY_MASK",
    },
    "generic_rocm": {"mpi_runner": "mpich", "gpu_setting_type": "env", "gpu_setting_name": "ROCR_VISIBLE_DEVICES"},
    "frontier": {
        "mpi_runner": "srun",
        "cores_per_node": 64,
        "logical_cores_per_node": 128,
        "gpus_per_node": 8,
        "gpu_setting_type": "runner_default",
        "gpu_env_fallback": "ROCR_VISIBLE_DEVICES",
        "scheduler_match_slots": False,
    },
    "lumi": {"mpi_runner": "srun", "cores_per_node": 64, "logical_cores_per_node": 128},
    "lumi_g": {
        "mpi_runner": "srun",
        "cores_per_node": 64,
        "logical_cores_per_node": 128,
        "gpus_per_node": 8,
        "gpu_setting_type": "env",
        "gpu_setting_name": "ROCR_VISIBLE_DEVICES",
    },
    "perlmutter": {"mpi_runner": "srun"},
    "perlmutter_c": {
        "mpi_runner": "srun",
        "cores_per_node": 128,
        "logical_cores_per_node": 256,
        "gpus_per_node": 0,
    },
    "perlmutter_g": {
        "mpi_runner": "srun",
        "cores_per_node": 64,
        "logical_cores_per_node": 128,
        "gpus_per_node": 4,
        "gpu_setting_type": "runner_default",
        "gpu_env_fallback": "CUDA_VISIBLE_DEVICES",
        "scheduler_match_slots": False,
    },
    "polaris": {
        "mpi_runner": "mpich",
        "runner_name": "mpiexec",
        "cores_per_node": 32,
        "logical_cores_per_node": 64,
        "gpus_per_node": 4,
        "gpu_setting_type": "runner_default",
        "gpu_env_fallback": "CUDA_VISIBLE_DEVICES",
    },
    "summit": {
        "mpi_runner": "jsrun",
        "cores_per_node": 42,
        "logical_cores_per_node": 168,
        "gpus_per_node": 6,
        "gpu_setting_type": "option_gpus_per_task",
        "gpu_setting_name": "-g",
        "scheduler_match_slots": False,
    },
}


@pytest.mark.parametrize("name", KNOWN)
def test_a_platform_is_known_by_its_name_or_its_object_or_the_environment(name, monkeypatch):
    expected = {**COMMON, **KNOWN[name]}
    assert get_platform({"platform": name}) == expected
    assert get_platform({"platform_specs": getattr(Known_platforms(), name)}) == expected
    monkeypatch.setenv("LIBE_PLATFORM", name)
    assert get_platform({}) == expected


def test_the_names_are_those_that_are_documented():
    assert set(Known_platforms.model_fields) == set(KNOWN)


def test_an_unknown_name_is_refused_and_the_known_ones_are_named():
    with pytest.raises(PlatformException, match=r"'perlmuter'.*perlmutter_g"):
        get_platform({"platform": "perlmuter"})
    assert issubclass(PlatformException, ResourcesException)


def test_nothing_is_known_of_an_ordinary_machine():
    assert get_platform({}) == {}
    assert get_platform({"platform": "", "platform_specs": {}}) == {}


@pytest.mark.parametrize(
    "specs",
    [{"gpus_per_node": 2}, Platform(gpus_per_node=2), {"gpus_per_node": 2, "cores_per_node": None}],
    ids=["dict", "object", "dict with None"],
)
def test_partial_specs_change_only_the_stated_fields_of_a_named_platform(specs):
    found = get_platform({"platform": "perlmutter_g", "platform_specs": specs})
    assert found == {**KNOWN["perlmutter_g"], "gpus_per_node": 2}


def test_fields_that_a_class_states_count_as_stated():
    found = get_platform({"platform": "frontier", "platform_specs": platforms.LumiGPU()})
    assert found["scheduler_match_slots"] is True
    assert found["gpu_setting_type"] == "env"
    assert found["gpu_env_fallback"] == "ROCR_VISIBLE_DEVICES"


def test_the_specs_name_stands_over_the_environment(monkeypatch):
    monkeypatch.setenv("LIBE_PLATFORM", "summit")
    assert get_platform({"platform": "lumi"})["mpi_runner"] == "srun"


@pytest.mark.parametrize(
    "wrong",
    [
        {"mpi_runner": "mpirun"},
        {"gpu_setting_type": "variable"},
        {"cores_per_node": 16, "logical_cores_per_node": 24},
        {"gpus_per_nodes": 4},
        {"cores_per_node": 0},
    ],
)
def test_wrong_values_are_refused_in_objects_subclasses_and_dicts(wrong):
    for make in (Platform, platforms.Frontier):
        with pytest.raises(ValidationError):
            make(**wrong)
    with pytest.raises(ValidationError):
        get_platform({"platform_specs": wrong})


def test_a_value_that_contradicts_the_named_platform_is_refused():
    with pytest.raises(ValidationError, match="not a multiple"):
        get_platform({"platform": "summit", "platform_specs": {"logical_cores_per_node": 64}})


def test_a_refused_assignment_leaves_the_platform_as_it_was():
    platform = Platform(cores_per_node=4, logical_cores_per_node=8)
    with pytest.raises(ValidationError):
        platform.cores_per_node = 3
    assert platform.cores_per_node == 4
    platform.gpus_per_node = 0
    assert platform.gpus_per_node == 0


@pytest.mark.parametrize("runner", ["mpich", "openmpi", "aprun", "srun", "jsrun", "msmpi", "flux", "custom"])
def test_every_runner_can_be_named(runner):
    assert Platform(mpi_runner=runner).mpi_runner == runner


@pytest.mark.parametrize(
    "environment, expected",
    [
        ({"NERSC_HOST": "perlmutter", "SLURM_JOB_PARTITION": "gpu_ss11"}, "perlmutter_g"),
        ({"NERSC_HOST": "perlmutter", "SLURM_JOB_PARTITION": "regular_milan"}, "perlmutter_c"),
        ({"NERSC_HOST": "perlmutter"}, "perlmutter"),
        ({"NERSC_HOST": "cori"}, None),
        ({"SLURM_CLUSTER_NAME": "lumi", "SLURM_JOB_PARTITION": "standard-g"}, "lumi_g"),
        ({"SLURM_CLUSTER_NAME": "lumi", "SLURM_JOB_PARTITION": "standard"}, "lumi"),
        ({"SLURM_CLUSTER_NAME": "lumi"}, "lumi"),
        ({}, None),
    ],
)
def test_platforms_are_told_by_their_variables(environment, expected, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert known_envs() == expected


def test_a_missing_partition_is_told_to_the_user(monkeypatch, caplog):
    monkeypatch.setenv("NERSC_HOST", "perlmutter")
    known_envs()
    assert [record.levelno for record in caplog.records] == [35]
    assert "SLURM_JOB_PARTITION" in caplog.text


@pytest.mark.parametrize(
    "domain, expected",
    [
        ("frontier.olcf.ornl.gov", "frontier"),
        ("hostmgmt.cm.aurora.alcf.anl.gov", "aurora"),
        ("hsn.cm.polaris.alcf.anl.gov", "polaris"),
        ("summit.olcf.ornl.gov", "summit"),
        ("home.arpa", None),
    ],
)
def test_platforms_are_told_by_their_domain(domain, expected, monkeypatch):
    assert known_system_detect(f"echo {domain}") == expected
    monkeypatch.setattr(platforms.socket, "gethostname", lambda: f"login1.{domain}")
    assert known_system_detect() == expected


@pytest.mark.parametrize("command", ["no-such-command -d", "false", "'unclosed"])
def test_a_failing_command_falls_back_to_the_variables(command, monkeypatch):
    monkeypatch.setenv("SLURM_CLUSTER_NAME", "lumi")
    assert known_system_detect(command) == "lumi"


def test_no_command_runs_on_a_machine_without_a_batch_system(monkeypatch, program):
    monkeypatch.setattr(platforms.subprocess, "run", lambda *args, **kwargs: pytest.fail("a process was started"))
    assert get_platform({}) == {}


def test_the_domain_is_asked_for_where_there_is_a_batch_system(monkeypatch, program):
    program("sbatch", "")
    program("hostname", "echo frontier.olcf.ornl.gov; echo noise >&2")
    monkeypatch.setattr(platforms.socket, "gethostname", lambda: "frontier00001")
    assert known_system_detect() == "frontier"
