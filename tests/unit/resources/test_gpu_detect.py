"""GPUs are counted by the first tool that finds some, and as far as masks leave them visible."""

import pytest

from libensemble.resources import gpu_detect
from libensemble.resources.env_resources import EnvResources
from libensemble.resources.gpu_detect import get_gpus_from_env, get_num_gpus, set_mask, visible_ids

TOOLS = [
    ("nvidia-smi", "echo 0; echo 1; echo 2; echo trouble >&2", 3),
    ("rocm-smi", """echo '{"card0": {}, "card1": {}}'""", 2),
    ("amd-smi", """echo '[{"gpu": 0}, {"gpu": 1}]'""", 2),
    ("xpu-smi", """echo '{"device_list": [{}, {}, {}, {}]}'""", 4),
    ("zeinfo", "echo 'Number of devices            6' >&2", 6),
]


def answers(monkeypatch, **methods):
    made = [lambda value=value: value for value in methods.values()]
    for method, name in zip(made, methods):
        method.__name__ = name
    monkeypatch.setattr(gpu_detect, "METHODS", made)


@pytest.fixture
def no_packages(monkeypatch):
    monkeypatch.setattr(gpu_detect.importlib.util, "find_spec", lambda name: None)


@pytest.mark.parametrize("name, text, count", TOOLS)
def test_each_tool_is_understood(name, text, count, program, no_packages):
    program(name, text)
    assert get_num_gpus() == count


@pytest.mark.parametrize("text", ["exit 9", "echo '{not json'", "echo"])
def test_a_failing_tool_says_nothing(text, program, no_packages):
    program("rocm-smi", text)
    assert get_num_gpus() is None


def test_no_process_is_started_where_no_tool_is(program, no_packages, monkeypatch):
    monkeypatch.setattr(gpu_detect.subprocess, "run", lambda *args, **kwargs: pytest.fail("a process was started"))
    assert get_num_gpus() is None


@pytest.mark.parametrize(
    "said, expected",
    [
        ({"a": None, "b": None}, None),
        ({"a": 0, "b": None}, 0),
        ({"a": 0, "b": 4}, 4),
        ({"a": None, "b": 2, "c": 6}, 2),
    ],
)
def test_zero_from_one_method_does_not_end_the_search(said, expected, monkeypatch):
    answers(monkeypatch, **said)
    assert get_num_gpus() == expected


def test_a_method_that_raises_is_passed_over(monkeypatch):
    def broken():
        raise RuntimeError("no driver")

    monkeypatch.setattr(gpu_detect, "METHODS", [broken, lambda: 2])
    assert get_num_gpus() == 2


def test_all_methods_can_be_asked(monkeypatch, capsys):
    answers(monkeypatch, first=2, second=None)
    assert get_num_gpus(testall=True) == 2
    assert capsys.readouterr().out == "first: 2\nsecond: None\n"


@pytest.mark.parametrize("mask, count", [("0,2", 2), ("", 3), ("0,1,2,3,4", 3), ("GPU-a1b2", 1)])
def test_a_mask_limits_what_is_counted(mask, count, program, no_packages, monkeypatch):
    program(*TOOLS[0][:2])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", mask)
    assert get_num_gpus() == count


def test_tiles_of_one_gpu_count_once(program, no_packages, monkeypatch):
    program(*TOOLS[4][:2])
    monkeypatch.setenv("ZE_AFFINITY_MASK", "0.0,0.1,1.0")
    assert get_num_gpus() == 2


def test_a_mask_that_was_set_here_is_seen_through(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    set_mask("CUDA_VISIBLE_DEVICES", "3")
    assert visible_ids() == ["2", "3"]
    set_mask("CUDA_VISIBLE_DEVICES", "2")
    assert visible_ids() == ["2", "3"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")  # the user changes their mind
    assert visible_ids() == ["1"]


def test_a_mask_set_where_there_was_none_hides_nothing_from_a_later_run():
    set_mask("CUDA_VISIBLE_DEVICES", "0")
    assert visible_ids() is None


@pytest.mark.parametrize("text, expected", [("4", 4), ("0", 0), ("", None), ("gpu:4", None)])
def test_slurm_states_gpus(text, expected, monkeypatch):
    monkeypatch.setenv("SLURM_GPUS_ON_NODE", text)
    assert get_gpus_from_env(EnvResources()) is None
    monkeypatch.setenv("SLURM_NODELIST", "n1")
    assert get_gpus_from_env(EnvResources()) == expected
