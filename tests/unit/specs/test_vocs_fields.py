"""Fields that a VOCS names, in SimSpecs and GenSpecs."""

import numpy as np
import pytest
from gest_api.vocs import VOCS
from pydantic import ValidationError

from libensemble.specs import GenSpecs, SimSpecs, input_fields, output_data

FULL = VOCS(
    variables={"x": [0, 1], "y": [0, 2]},
    constants={"c": 1.5},
    objectives={"obj": "MINIMIZE"},
    observables={"seen": (float, (3,))},
    constraints={"limit": ["LESS_THAN", 1]},
)


class Suggests:
    returns_id = False

    def suggest(self, num_points):
        return []


class SuggestsWithIds(Suggests):
    returns_id = True


def plain(H):
    return H


def test_a_simulator_gets_inputs_and_returns_outputs():
    spec = SimSpecs(sim_f=plain, vocs=FULL)
    assert spec.inputs == ["x", "y", "c"]
    assert spec.outputs == [("obj", float), ("seen", float, (3,)), ("limit", float)]


def test_a_generator_function_gets_no_inputs():
    spec = GenSpecs(gen_f=plain, vocs=FULL)
    assert spec.inputs == []
    assert spec.persis_in == ["x", "y", "c", "obj", "seen", "limit"]
    assert spec.outputs == [("x", float), ("y", float), ("c", float)]


def test_a_generator_object_gets_inputs_for_a_starting_history():
    spec = GenSpecs(generator=Suggests(), vocs=FULL)
    assert spec.inputs == spec.persis_in == ["x", "y", "c", "obj", "seen", "limit"]
    assert spec.inputs is not spec.persis_in


def test_a_generator_that_gives_ids_gets_them_back_but_not_at_the_start():
    spec = GenSpecs(generator=SuggestsWithIds(), vocs=FULL)
    assert spec.outputs[-1] == ("_id", int) and spec.persis_in[-1] == "_id" and "_id" not in spec.inputs
    spec.batch_size = 4
    assert spec.persis_in.count("_id") == 1 and len(spec.outputs) == 4


def test_explicit_fields_win():
    spec = GenSpecs(generator=Suggests(), vocs=FULL, outputs=[("mine", int)], persis_in=["mine"], inputs=["other"])
    assert (spec.outputs, spec.persis_in, spec.inputs) == ([("mine", int)], ["mine"], ["other"])


def test_a_vocs_stated_in_the_specs_beats_decorators_on_the_function():
    @input_fields(["vector"])
    @output_data([("vector", float, (2,))])
    def decorated(H):
        return H

    assert SimSpecs(sim_f=decorated, vocs=FULL).inputs == ["x", "y", "c"]
    generator = GenSpecs(gen_f=decorated, vocs=FULL)
    assert generator.outputs == [("x", float), ("y", float), ("c", float)] and generator.inputs == ["vector"]


@pytest.mark.parametrize(
    ("values", "dtype"), [({"task_1", "task_22"}, "U7"), ({1, 2, 3}, int), ({0.5, 1.5}, float), ({True, False}, bool)]
)
def test_a_discrete_variable_has_the_type_of_its_values(values, dtype):
    assert GenSpecs(gen_f=plain, vocs=VOCS(variables={"v": values})).outputs == [("v", dtype)]


def test_a_discrete_variable_of_mixed_types_is_refused_by_name():
    with pytest.raises(ValidationError, match="'task'"):
        GenSpecs(gen_f=plain, vocs=VOCS(variables={"task": {"a", 2}}))


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (0.5, ("k", float)),
        (3, ("k", int)),
        (True, ("k", bool)),
        ("abc", ("k", "U3")),
        ([1.0, 2.0], ("k", "f8", (2,))),
        (np.float32(1), ("k", "f4")),
        ({"any": "thing"}, ("k", object)),
        (None, ("k", object)),
    ],
)
def test_a_constant_has_the_type_of_its_value(value, field):
    entry = {"type": "Constant", "value": value}
    assert GenSpecs(gen_f=plain, vocs={"variables": {"x": [0, 1]}, "constants": {"k": entry}}).outputs[1] == field


@pytest.mark.parametrize(
    ("dtype", "field"),
    [
        (int, ("o", int)),
        ("U9", ("o", "U9")),
        ((int, (2, 2)), ("o", int, (2, 2))),
        (("f4", (2,)), ("o", "f4", (2,))),
        ((2, 3), ("o", float, (2, 3))),
    ],
)
def test_a_declared_dtype_is_used(dtype, field):
    assert SimSpecs(sim_f=plain, vocs=VOCS(variables={"x": [0, 1]}, observables={"o": dtype})).outputs == [field]


def test_the_dict_form_becomes_the_object_and_is_left_alone():
    dumped = FULL.model_dump()
    spec = SimSpecs(sim_f=plain, vocs=dumped)
    assert spec.outputs == SimSpecs(sim_f=plain, vocs=FULL).outputs
    assert dumped["variables"]["x"]["type"] == "ContinuousVariable"
    assert isinstance(spec.vocs, VOCS)


def test_any_object_with_the_mappings_will_do():
    class Problem:
        variables = {"x": [0, 1], "d": {1, 2}}
        objectives = {"f": "MINIMIZE"}

    assert GenSpecs(gen_f=plain, vocs=Problem()).outputs == [("x", float), ("d", int)]
    assert SimSpecs(sim_f=plain, vocs=Problem()).outputs == [("f", float)]


def test_assigning_another_vocs_finds_the_fields_anew():
    spec = SimSpecs(sim_f=plain, vocs=FULL)
    spec.vocs = VOCS(variables={"z": [0, 1]}, objectives={"f": "MINIMIZE"})
    assert spec.inputs == ["z"] and spec.outputs == [("f", float)]


def test_a_generators_own_outputs_are_used_when_nothing_else_is_known():
    class Array(Suggests):
        gen_specs = {"out": [("x", float, (2,))]}

    assert GenSpecs(generator=Array()).outputs == [("x", float, (2,))]


def test_a_foreign_generator_without_any_facts_is_accepted_for_now():
    assert GenSpecs(generator=Suggests()).outputs == []


def test_the_generator_object_is_kept_as_it_is():
    generator = Suggests()
    spec = GenSpecs(generator=generator, vocs=FULL)
    spec.update(batch_size=2)
    assert spec.generator is generator
