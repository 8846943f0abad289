"""Cores of a node come from the environment, this node, or one process on a compute node."""

import os
import sys

import pytest

from libensemble.resources import node_resources
from libensemble.resources.env_resources import EnvResources
from libensemble.resources.node_resources import get_cpu_cores, get_sub_node_resources


@pytest.fixture
def node(monkeypatch):
    """A node with 8 physical and 16 logical cores, 2 GPUs, and no limits."""
    monkeypatch.setattr(node_resources.psutil, "cpu_count", lambda logical=True: 16 if logical else 8)
    monkeypatch.setattr(node_resources, "get_num_gpus", lambda: 2)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)
    for name in node_resources._RANK_VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_this_node_is_looked_at(node):
    assert get_sub_node_resources() == (8, 16, 2)
    assert get_cpu_cores() == 8
    assert get_cpu_cores(hyperthreads=True) == 16


def test_unknown_physical_cores_are_taken_as_logical_and_never_none(node, monkeypatch):
    monkeypatch.setattr(node_resources.psutil, "cpu_count", lambda logical=True: 6 if logical else None)
    assert get_sub_node_resources() == (6, 6, 2)
    monkeypatch.setattr(node_resources.psutil, "cpu_count", lambda logical=True: None)
    assert get_sub_node_resources()[:2] == (1, 1)


def test_a_lone_node_has_the_cores_that_this_process_may_use(node, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)
    assert get_sub_node_resources() == (4, 4, 2)
    monkeypatch.setenv("SLURM_NODELIST", "n1")
    assert get_sub_node_resources(env_resources=EnvResources()) == (8, 16, 2)


def test_the_affinity_of_a_rank_is_not_the_nodes(node, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0}, raising=False)
    monkeypatch.setenv("OMPI_COMM_WORLD_RANK", "0")
    assert get_sub_node_resources() == (8, 16, 2)


def test_gpus_are_not_looked_for_unless_wanted(node, monkeypatch):
    monkeypatch.setattr(node_resources, "get_num_gpus", lambda: pytest.fail("GPUs were looked for"))
    assert get_sub_node_resources(gpus_too=False) == (8, 16, 0)


@pytest.mark.parametrize(
    "variable, text, cores",
    [
        ("LSB_HOSTS", "batch1 " + "c01 " * 4 + "c02 " * 4, (4, 4)),
        ("LSB_HOSTS", "c01 c01 c02", (1, 1)),
        ("LSB_MCPU_HOSTS", "batch1 1 c01 42 c02 42", (42, 42)),
        ("LSB_MCPU_HOSTS", "batch1 1", None),
        ("LSB_HOSTS", "", None),
    ],
)
def test_lsf_states_cores(variable, text, cores, monkeypatch, node):
    monkeypatch.setenv(variable, text)
    env = EnvResources()
    assert node_resources._get_cpu_resources_from_env(env) == cores
    assert get_sub_node_resources(env_resources=env)[:2] == (cores or (8, 16))


def test_without_a_scheduler_the_environment_states_nothing():
    assert node_resources._get_cpu_resources_from_env() is None
    assert node_resources._get_cpu_resources_from_env(EnvResources()) is None


def test_slurm_states_gpus_of_a_node(node, monkeypatch):
    monkeypatch.setenv("SLURM_NODELIST", "n1")
    monkeypatch.setenv("SLURM_GPUS_ON_NODE", "4")
    assert get_sub_node_resources(env_resources=EnvResources()) == (8, 16, 4)


def test_a_compute_node_is_asked_with_one_process(node, program, tmp_path):
    program("srun", f'echo "$@" > {tmp_path}/said; echo 32 64 None')
    assert get_sub_node_resources("srun --overlap", remote_mode=True) == (32, 64, 2)
    said = (tmp_path / "said").read_text().split()
    assert said == ["--overlap", "-n", "1", sys.executable, "-m", "libensemble.resources.node_resources"]


@pytest.mark.parametrize("text", ["exit 1", "echo 16 32", ""])
def test_a_failed_probe_falls_back_to_this_node_with_a_warning(text, node, program, caplog):
    program("srun", text)
    assert get_sub_node_resources("srun", remote_mode=True) == (8, 16, 2)
    assert "this node is looked at" in caplog.text


def test_a_missing_launcher_falls_back_to_this_node(node, caplog):
    assert get_sub_node_resources("no-such-launcher", remote_mode=True) == (8, 16, 2)
    assert "no-such-launcher" in caplog.text


def test_gpus_alone_are_not_worth_a_probe(node, monkeypatch, program):
    program("jsrun", "echo 1 1 6")
    monkeypatch.setenv("LSB_MCPU_HOSTS", "c01 42")
    assert get_sub_node_resources("jsrun", remote_mode=True, env_resources=EnvResources()) == (42, 42, 0)


@pytest.mark.parametrize(
    "values, complete, cpus, gpus",
    [
        ([None, 8, 9], False, False, True),
        ([7, 8, None], False, True, False),
        ([7, 8, 9], True, True, True),
        ([7, 8], True, True, True),
    ],
)
def test_what_is_missing_is_known(values, complete, cpus, gpus):
    assert node_resources._complete_set(values) is complete
    assert node_resources._cpu_info_complete(values) is cpus
    assert node_resources._gpu_info_complete(values) is gpus


@pytest.mark.parametrize(
    "values, text, expected",
    [
        ([None, None, None], "16 32 4", [16, 32, 4]),
        ([None, 8, 2], "16 32 4", [16, 32, 2]),
        ([7, 8, None], "16 32 4 more words", [7, 8, 4]),
        ([None, None, None], "16 32 None", [16, 32, None]),
    ],
)
def test_missing_values_are_filled_cores_together_and_gpus_by_themselves(values, text, expected):
    assert node_resources._update_from_str(values, text) == expected
    assert values == expected


def test_too_few_words_are_refused():
    with pytest.raises(ValueError, match="16 32"):
        node_resources._update_from_str([None, None, None], "16 32")


def test_as_a_script_it_prints_one_line(node, capsys):
    node_resources._print_local_resources()
    assert capsys.readouterr().out == "8 16 2\n"
