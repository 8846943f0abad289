"""Points ask for resources within the limits that the user sets, with the draws that are documented."""

from types import SimpleNamespace

import numpy as np
import numpy.testing as npt
import pytest

from libensemble.gen_funcs import persistent_sampling_var_resources as sampling
from libensemble.message_numbers import FINISHED_PERSISTENT_GEN_TAG
from tests.fakes.mailbox_pair import ScriptedMailbox, evaluating

LB, UB = np.array([-3.0, 2.0]), np.array([1.0, 5.0])
X = ("x", float, (2,))


def run(function, fields, rounds=2, libE_info=None, **user):
    mailbox = ScriptedMailbox(evaluating(lambda points: np.zeros(len(points)), rounds=rounds))
    stream = np.random.default_rng(7)
    specs = {"out": [X, *fields], "user": {"initial_batch_size": 40, "lb": LB, "ub": UB, **user}}
    final, _, tag = function(None, {"rand_stream": stream}, specs, {"comm": mailbox, **(libE_info or {})})
    assert final is None and tag == FINISHED_PERSISTENT_GEN_TAG
    return mailbox.sent


def test_resource_sets_are_drawn_after_the_points(capsys):
    [first, _] = run(sampling.uniform_sample, [("resource_sets", int)], max_resource_sets=3)
    expected = np.random.default_rng(7)
    npt.assert_array_equal(first["x"], expected.uniform(LB, UB, (40, 2)))
    npt.assert_array_equal(first["resource_sets"], expected.integers(1, 4, 40))
    assert "resource_sets" in capsys.readouterr().out


def test_gpus_grow_with_the_first_variable():
    [first, _] = run(sampling.uniform_sample_with_var_gpus, [("num_gpus", int)], max_gpus=4)
    npt.assert_array_equal(first["num_gpus"], np.floor((first["x"][:, 0] + 3) / 4 * 4) + 1)
    assert set(first["num_gpus"]) == {1, 2, 3, 4}


def test_processes_and_gpus_are_equal():
    [first, _] = run(sampling.uniform_sample_with_procs_gpus, [("num_procs", int), ("num_gpus", int)], max_procs=3)
    assert set(first["num_procs"]) == {1, 2, 3}
    npt.assert_array_equal(first["num_procs"], first["num_gpus"])


def test_priority_counts_only_after_the_first_batch():
    fields = [("resource_sets", int), ("priority", float)]
    [first, second] = run(sampling.uniform_sample_with_var_priorities, fields, max_resource_sets=3)
    assert set(first["resource_sets"]) == {1} and set(first["priority"]) == {1}
    assert set(second["resource_sets"]) == {1, 2, 3}
    npt.assert_array_equal(second["priority"], 10 * second["resource_sets"])


@pytest.mark.parametrize("with_type", [True, False])
def test_some_points_use_gpus_and_say_so(with_type):
    fields = [("num_procs", int), ("num_gpus", int)] + ([("app_type", "U10")] if with_type else [])
    [first, _] = run(sampling.uniform_sample_diff_simulations, fields, max_procs=3)
    uses_gpus = first["num_gpus"] > 0
    assert 0 < uses_gpus.sum() < 40
    npt.assert_array_equal(first["num_gpus"][uses_gpus], first["num_procs"][uses_gpus])
    if with_type:
        assert set(first["app_type"][uses_gpus]) == {"gpu_app"} and set(first["app_type"][~uses_gpus]) == {"cpu_app"}


def test_the_generator_runs_an_application_before_each_batch(monkeypatch):
    submitted, checked = [], []

    def submit(**arguments):
        submitted.append(arguments)
        return SimpleNamespace(wait=lambda: submitted.append("waited"))

    monkeypatch.setattr(sampling, "check_gpu_setting", lambda task, **_: checked.append(task))
    fields = [("num_procs", int), ("num_gpus", int)]
    info = {"executor": SimpleNamespace(submit=submit)}
    run(sampling.uniform_sample_with_sim_gen_resources, fields, libE_info=info, max_procs=2)
    assert len(checked) == 2 and submitted.count("waited") == 2
    assert submitted[0]["app_name"] == "six_hump_camel" and submitted[0]["app_args"] == "-0.99 -0.19"
    submitted.clear()
    run(sampling.uniform_sample_with_sim_gen_resources, fields, libE_info=info, max_procs=2, dry_run=True)
    assert submitted[0]["dry_run"] is True and "waited" not in submitted
