"""What SimSpecs, GenSpecs, AllocSpecs and ExitCriteria take, refuse and fill in."""

from functools import partial

import numpy as np
import pytest
from pydantic import ValidationError

from libensemble.alloc_funcs.give_sim_work_first import give_sim_work_first
from libensemble.sim_funcs.gest_api_wrapper import gest_api_sim
from libensemble.specs import (
    AllocSpecs,
    ExitCriteria,
    GenSpecs,
    SimSpecs,
    input_fields,
    output_data,
    persistent_input_fields,
)

VOCS = {"variables": {"a": [0, 1]}, "objectives": {"y": "MINIMIZE"}}


def plain(H):
    return H


@input_fields(["x"])
@persistent_input_fields(["x", "f"])
@output_data([("f", float), ["g", int]])
def decorated(H):
    """Says what it does."""
    return H


class Callable:
    def __call__(self, H):
        return H


@pytest.mark.parametrize("function", [plain, Callable(), partial(plain), "math.sqrt", None])
def test_a_user_function_is_callable_or_the_name_of_a_callable(function):
    assert SimSpecs(sim_f=function).sim_f is (function if function != "math.sqrt" else __import__("math").sqrt)


@pytest.mark.parametrize("wrong", [3, "math.pi", "math.no_such", "no_such_module.f", "plainword", ""])
@pytest.mark.parametrize(("model", "key"), [(SimSpecs, "sim_f"), (GenSpecs, "gen_f"), (AllocSpecs, "alloc_f")])
def test_what_cannot_be_called_is_refused_at_construction(model, key, wrong):
    with pytest.raises(ValidationError, match=key):
        model(**{key: wrong})


def test_outputs_are_tuples_that_numpy_understands():
    spec = SimSpecs(out=[["f", float], ("g", "U7", [2]), ("h", object, (2, 3))])
    assert spec.outputs == [("f", float), ("g", "U7", (2,)), ("h", object, (2, 3))]
    assert np.dtype(spec.outputs)["h"].shape == (2, 3)


@pytest.mark.parametrize("wrong", [[("f",)], [("f", "no type")], ["f"], "f", [("f", float), ("f", int)], [(1, float)]])
def test_other_outputs_are_refused(wrong):
    with pytest.raises(ValidationError, match="out"):
        GenSpecs(outputs=wrong)


def test_the_same_field_twice_is_one_field():
    assert GenSpecs(outputs=[("f", float), ("f", "float64")]).outputs


def test_decorators_fill_empty_fields_and_explicit_ones_win():
    spec = SimSpecs(sim_f=decorated, inputs=["own"])
    assert spec.inputs == ["own"]
    assert spec.persis_in == ["x", "f"]
    assert spec.outputs == [("f", float), ("g", int)]
    assert GenSpecs(gen_f=partial(decorated)).inputs == ["x"]


def test_another_function_brings_its_own_fields():
    @output_data([("other", int)])
    def other(H):
        return H

    spec = SimSpecs(sim_f=decorated, persis_in=["mine"])
    spec.sim_f = other
    assert spec.outputs == [("other", int)] and spec.inputs == [] and spec.persis_in == ["mine"]


def test_a_copy_does_not_share_what_was_filled_in():
    spec = SimSpecs(sim_f=decorated)
    copied = spec.model_copy()
    copied.inputs = ["mine"]
    spec.sim_f = plain
    assert spec.inputs == [] and copied.inputs == ["mine"]


def test_a_simulator_is_run_by_the_wrapper_and_needs_vocs():
    assert SimSpecs(simulator=plain, vocs=VOCS).sim_f is gest_api_sim
    assert SimSpecs(simulator=plain, sim_f=decorated).sim_f is decorated
    with pytest.raises(ValidationError, match="vocs"):
        SimSpecs(simulator=plain)


def test_an_alloc_function_has_a_default():
    assert AllocSpecs().alloc_f is give_sim_work_first
    assert AllocSpecs(alloc_f=None).alloc_f is give_sim_work_first
    assert "alloc_f" not in AllocSpecs().model_fields_set


def test_alloc_user_keeps_its_default_unless_stated():
    assert AllocSpecs(alloc_f=plain).user == {"num_active_gens": 1}
    assert AllocSpecs(alloc_f=plain, user={}).user == {}


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"sim_max": "10"}, {"sim_max": 10}),
        ({"sim_max": 10.0}, {"sim_max": 10}),
        ({"sim_max": np.int64(5)}, {"sim_max": 5}),
        ({"stop_val": ["f", 1]}, {"stop_val": ("f", 1.0)}),
        ({"wallclock_max": 3}, {"wallclock_max": 3.0}),
    ],
)
def test_values_are_coerced(given, kept):
    assert dict(ExitCriteria(**given)) == kept


@pytest.mark.parametrize("wrong", [{"sim_max": 10.5}, {"stop_val": "f"}, {"stop_val": ("f", "low")}])
def test_values_that_cannot_be_coerced_are_refused(wrong):
    with pytest.raises(ValidationError):
        ExitCriteria(**wrong)


def test_decorators_return_the_function_and_describe_it():
    assert decorated.__name__ == "decorated" and decorated([1]) == [1]
    assert "Says what it does." in decorated.__doc__ and "['x', 'f']" in decorated.__doc__
