"""Rules that all spec models share: keys, None, assignment, access by key."""

import pickle

import pytest
from pydantic import ValidationError

from libensemble.specs import ExitCriteria, GenSpecs, LibeSpecs, SimSpecs


def evaluate(H):
    return H


@pytest.mark.parametrize(
    ("model", "wrong", "advice"),
    [
        (SimSpecs, "simf", "'sim_f'"),
        (GenSpecs, "persistin", "'persis_in'"),
        (LibeSpecs, "save_every_k_sim", "'save_every_k_sims'"),
        (LibeSpecs, "savemode", "'safe_mode'"),
        (ExitCriteria, "max_sim", "'sim_max'"),
        (SimSpecs, "num_steps", "'user'"),
    ],
)
def test_an_unknown_key_is_refused_with_advice(model, wrong, advice):
    with pytest.raises(ValidationError, match=wrong) as error:
        model(**{wrong: 1})
    assert advice in str(error.value)


@pytest.mark.parametrize(
    ("model", "removed", "replacement"),
    [
        (LibeSpecs, "final_fields", "final_gen_send"),
        (SimSpecs, "function", "sim_f"),
        (GenSpecs, "function", "gen_f"),
        (GenSpecs, "persistent_inputs", "persis_in"),
    ],
)
def test_a_removed_key_is_refused_with_its_replacement(model, removed, replacement):
    with pytest.raises(ValidationError, match=replacement):
        model(**{removed: ["x"]})


def test_every_unknown_key_is_named_at_once():
    with pytest.raises(ValidationError) as error:
        LibeSpecs(nworker=1, worker_timeouts=2)
    assert error.value.error_count() == 2


def test_both_spellings_mean_one_field():
    assert SimSpecs(**{"in": ["x"]}).inputs == SimSpecs(inputs=["x"]).inputs == ["x"]
    with pytest.raises(ValidationError, match="one option"):
        SimSpecs(**{"in": ["x"], "inputs": ["x"]})


@pytest.mark.parametrize("option", ["inputs", "persis_in", "outputs"])
def test_none_for_a_list_is_the_empty_list(option):
    assert getattr(GenSpecs(**{option: None}), option) == []
    spec = GenSpecs(**{option: ["a"] if option != "outputs" else [("a", float)]})
    setattr(spec, option, None)
    assert getattr(spec, option) == []


def test_none_counts_as_not_stated():
    specs = LibeSpecs(nworkers=None, safe_mode=None)
    assert specs.comms == "mpi" and specs.safe_mode is False
    assert specs.stated() == {}


def test_assignment_is_checked_like_construction():
    spec = SimSpecs(inputs=("a", "b"))
    assert spec.inputs == ["a", "b"]
    with pytest.raises(ValidationError):
        spec.inputs = "ab"
    with pytest.raises(ValidationError, match="Did you mean"):
        spec.input = ["a"]
    with pytest.raises(ValidationError, match="spelled 'outputs'"):
        spec.out = [("f", float)]


def test_a_refused_assignment_leaves_the_spec_as_it_was():
    specs = LibeSpecs(nworkers=4)
    with pytest.raises(ValidationError):
        specs.nworkers = -3
    with pytest.raises(ValidationError):
        specs.comms = "smoke signals"
    assert specs.nworkers == 4 and specs.comms == "local"


def test_user_is_a_copy_that_holds_the_same_values():
    inner = {"deep": [1]}
    user = {"inner": inner}
    spec = SimSpecs(sim_f=evaluate, user=user)
    user["later"] = 1
    assert "later" not in spec.user
    assert spec.user["inner"] is inner


def test_access_by_key_takes_both_spellings():
    spec = SimSpecs(sim_f=evaluate, inputs=["x"])
    assert spec["in"] is spec["inputs"] is spec.inputs
    spec["out"] = [["f", float]]
    assert spec.outputs == [("f", float)]
    with pytest.raises(KeyError, match="Did you mean 'user'"):
        spec["usr"]


def test_none_counts_as_absent_by_key():
    criteria = ExitCriteria(sim_max=10)
    assert "sim_max" in criteria and "gen_max" not in criteria and "nonsense" not in criteria
    assert criteria.get("gen_max", 7) == 7 and criteria.get("sim_max") == 10 and criteria.get("nonsense") is None
    assert criteria.keys() == ["sim_max"] and dict(criteria) == {"sim_max": 10} == dict(criteria.items())
    assert criteria["gen_max"] is None


def test_update_sets_all_or_nothing():
    specs = LibeSpecs(nworkers=4)
    with pytest.raises(ValidationError):
        specs.update(safe_mode=True, nworkers="many")
    assert specs.safe_mode is False
    specs.update({"safe_mode": True}, nworkers=2)
    assert specs.safe_mode is True and specs.nworkers == 2 and specs.comms == "local"


def test_update_keeps_what_was_put_into_a_dict():
    spec = GenSpecs()
    spec["user"].update(lb=[0])
    spec.update(batch_size=3)
    assert spec.user == {"lb": [0]} and spec.batch_size == 3


def test_final_fields_is_translated_when_set_by_key():
    specs = LibeSpecs(nworkers=1)
    with pytest.warns(DeprecationWarning, match="final_gen_send"):
        specs["final_fields"] = ["x"]
    assert specs.final_gen_send is True


def test_defaults_are_not_shared():
    first, second = GenSpecs(), GenSpecs()
    first.user["a"] = 1
    first.inputs.append("x")
    assert second.user == {} and second.inputs == []


@pytest.mark.parametrize(
    "spec", [SimSpecs(sim_f=evaluate, out=[("f", float)]), LibeSpecs(nworkers=2), ExitCriteria(stop_val=("f", 1))]
)
def test_pickling_keeps_class_and_content(spec):
    again = pickle.loads(pickle.dumps(spec))
    assert type(again) is type(spec) and again == spec
    assert again.model_fields_set == spec.model_fields_set
