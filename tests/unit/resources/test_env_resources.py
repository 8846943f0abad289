"""Node lists are read as each scheduler writes them."""

import pickle

import pytest

from libensemble.resources.env_resources import EnvResources

SLURM = [
    ("n[8-11]", "n8 n9 n10 n11"),
    ("n[08-11]", "n08 n09 n10 n11"),
    ("a[1-2],b[3-4]", "a1 a2 b3 b4"),
    ("n[1-2]-ib0", "n1-ib0 n2-ib0"),
    ("knl-[7-5,9].x", "knl-5.x knl-6.x knl-7.x knl-9.x"),
    ("n[0010-8]", "n0008 n0009 n0010"),
    ("n2,n1", "n1 n2"),
    ("n[1-2]x[1-2]", "n1x1 n1x2 n2x1 n2x2"),
    ("n[1, 3] , n10", "n1 n3 n10"),
    (" n1 n2\n", "n1 n2"),
    ("n1,n1", "n1"),
    ("", ""),
]


@pytest.mark.parametrize("text, expected", SLURM)
def test_slurm_lists_are_expanded_in_the_order_of_nodes(text, expected, monkeypatch):
    monkeypatch.setenv("SLURM_NODELIST", text)
    assert EnvResources.get_slurm_nodelist("SLURM_NODELIST") == expected.split()


@pytest.mark.parametrize("text", ["n[a-b]", "n[1-2", "n1-2]", "n[]"])
def test_a_malformed_slurm_list_is_refused(text, monkeypatch):
    monkeypatch.setenv("SLURM_NODELIST", text)
    with pytest.raises(ValueError, match=r"n\[|\]|''|'a-b'"):
        EnvResources.get_slurm_nodelist("SLURM_NODELIST")


@pytest.mark.parametrize("text, expected", [("8-11,4", "4 8 9 10 11"), ("3-1", "1 2 3"), ("2,2", "2 2"), ("", "")])
def test_cobalt_lists_are_numbers_in_order(text, expected, monkeypatch):
    monkeypatch.setenv("COBALT_PARTNAME", text)
    assert EnvResources.get_cobalt_nodelist("COBALT_PARTNAME") == expected.split()


def test_pbs_lists_come_from_a_file_each_host_once(tmp_path, monkeypatch):
    file = tmp_path / "nodes"
    file.write_text("# made by the scheduler\nnode02.site.gov\n\nnode02.site.gov\nnode01\n  \n")
    monkeypatch.setenv("PBS_NODEFILE", str(file))
    assert EnvResources().scheduler == "PBS"
    assert EnvResources().get_nodelist() == ["node02", "node01"]


def test_an_unreadable_pbs_file_gives_no_nodes(monkeypatch):
    monkeypatch.setenv("PBS_NODEFILE", "/no/such/file")
    assert EnvResources().get_nodelist() == []


def test_lsf_lists_leave_out_batch_nodes(monkeypatch):
    monkeypatch.setenv("LSB_HOSTS", "batch5 c02 c02 c01 c01")
    assert EnvResources().get_nodelist() == ["c02", "c01"]
    monkeypatch.setenv("LSB_HOSTS", "")
    monkeypatch.setenv("LSB_MCPU_HOSTS", "batch5 1 c02 42 c01 42")
    assert EnvResources().scheduler == "LSF_shortform"
    assert EnvResources().get_nodelist() == ["c02", "c01"]


def test_the_first_scheduler_with_a_variable_that_is_not_empty_is_taken(monkeypatch):
    assert EnvResources().scheduler is None
    assert EnvResources().get_nodelist() == []
    monkeypatch.setenv("LSB_HOSTS", "c01")
    monkeypatch.setenv("SLURM_NODELIST", "")
    assert EnvResources().scheduler == "LSF"
    monkeypatch.setenv("COBALT_PARTNAME", "1")
    assert EnvResources().scheduler == "Cobalt"
    monkeypatch.setenv("SLURM_NODELIST", "n1")
    assert EnvResources().scheduler == "Slurm"


@pytest.mark.parametrize(
    "argument, scheduler",
    [
        ("nodelist_env_slurm", "Slurm"),
        ("nodelist_env_cobalt", "Cobalt"),
        ("nodelist_env_pbs", "PBS"),
        ("nodelist_env_lsf", "LSF"),
        ("nodelist_env_lsf_shortform", "LSF_shortform"),
    ],
)
def test_other_variable_names_can_be_given(argument, scheduler, monkeypatch):
    monkeypatch.setenv("MY_NODES", "1")
    env = EnvResources(**{argument: "MY_NODES"})
    assert env.scheduler == scheduler
    assert env.nodelists[scheduler] == "MY_NODES"


def test_newer_variables_are_read_where_the_usual_ones_are_missing(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_NODELIST", "n[1-2]")
    assert EnvResources().get_nodelist() == ["n1", "n2"]
    monkeypatch.delenv("SLURM_JOB_NODELIST")
    file = tmp_path / "nodes"
    file.write_text("cc001\ncc002\n")
    monkeypatch.setenv("COBALT_NODEFILE", str(file))
    assert EnvResources().scheduler == "Cobalt"
    assert EnvResources().get_nodelist() == ["cc001", "cc002"]


def test_short_names_are_as_the_scheduler_writes_them(monkeypatch):
    assert EnvResources().shortnames(["nid00012", "a.site"]) == ["nid00012", "a.site"]
    monkeypatch.setenv("COBALT_PARTNAME", "1")
    assert EnvResources().shortnames(["nid00012", "nid00100"]) == ["12", "100"]
    monkeypatch.setenv("SLURM_NODELIST", "n1")
    assert EnvResources().shortnames(["a.site.gov", "b"]) == ["a", "b"]


def test_it_travels_to_spawned_workers(monkeypatch):
    monkeypatch.setenv("SLURM_NODELIST", "n[1-2]")
    assert pickle.loads(pickle.dumps(EnvResources())).get_nodelist() == ["n1", "n2"]
