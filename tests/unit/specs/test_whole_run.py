"""Rules between the specs of one run, and defaults that depend on more than one of them."""

import warnings
from collections import UserDict
from functools import partial

import numpy as np
import pytest
from gest_api.vocs import VOCS
from pydantic import ValidationError

from libensemble.alloc_funcs.give_pregenerated_work import give_pregenerated_sim_work
from libensemble.alloc_funcs.give_sim_work_first import give_sim_work_first
from libensemble.alloc_funcs.start_only_persistent import only_persistent_gens
from libensemble.specs import AllocSpecs, ExitCriteria, GenSpecs, LibeSpecs, SimSpecs, _EnsembleSpecs


def function(H):
    return H


class Suggests:
    def suggest(self, num_points):
        return []


PROBLEM = VOCS(variables={"x": [0, 1]}, constants={"c": 2}, objectives={"f": "MINIMIZE"})


def whole(**given):
    stated = {
        "sim_specs": {"sim_f": function, "in": ["x"], "out": [("f", float)]},
        "gen_specs": {"gen_f": function, "out": [("x", float, (2,))]},
        "exit_criteria": {"sim_max": 10},
        "libE_specs": {"nworkers": 2},
        **given,
    }
    return _EnsembleSpecs(**stated)


def test_dicts_and_models_mix():
    sim_specs = SimSpecs(sim_f=function, out=[("f", float)])
    specs = whole(sim_specs=sim_specs, exit_criteria=UserDict(sim_max=3))
    assert specs.sim_specs is sim_specs
    assert isinstance(specs.gen_specs, GenSpecs) and specs.exit_criteria.sim_max == 3


def test_none_means_the_default():
    specs = whole(alloc_specs=None, persis_info=None, H0=None)
    assert specs.alloc_specs == AllocSpecs() and specs.persis_info == {} and specs.H0 is None


def test_persis_info_is_copied_at_the_top_only():
    inner = {"state": 1}
    persis_info = {1: inner}
    specs = whole(persis_info=persis_info)
    assert specs.persis_info is not persis_info and specs.persis_info[1] is inner


def test_a_model_of_another_kind_is_refused():
    with pytest.raises(ValidationError, match="sim_specs"):
        whole(sim_specs=GenSpecs(gen_f=function))


@pytest.mark.parametrize("missing", [{}, {"sim_f": None}, {"out": [("f", float)]}])
def test_a_simulation_function_is_needed(missing):
    with pytest.raises(ValidationError, match="sim_f"):
        whole(sim_specs=missing)


@pytest.mark.parametrize("missing", [None, {}, GenSpecs(out=[("x", float)])])
def test_a_generator_is_needed(missing):
    with pytest.raises(ValidationError, match="gen_f"):
        whole(gen_specs=missing)


@pytest.mark.parametrize("alloc_f", [give_pregenerated_sim_work, partial(give_pregenerated_sim_work)])
def test_a_generator_is_not_needed_when_all_points_are_there(alloc_f):
    H0 = np.zeros(3, dtype=[("x", float, (2,))])
    specs = whole(gen_specs=None, alloc_specs={"alloc_f": alloc_f}, H0=H0)
    assert specs.H0 is H0 and specs.gen_specs.gen_f is None


def test_an_alloc_function_needs_no_name():
    class Policy:
        def __call__(self, W, H, *rest):
            return {}, {}

    assert whole(alloc_specs={"alloc_f": Policy()})
    assert whole(alloc_specs={"alloc_f": partial(give_sim_work_first)})


def test_a_generator_object_gets_persistent_allocation_and_the_last_results():
    libE_specs, alloc_specs = LibeSpecs(nworkers=2), AllocSpecs(user={"async_return": True})
    specs = whole(
        gen_specs={"generator": Suggests(), "out": [("x", float, (2,))]}, libE_specs=libE_specs, alloc_specs=alloc_specs
    )
    assert specs.alloc_specs.alloc_f is only_persistent_gens and specs.alloc_specs.user == {"async_return": True}
    assert specs.libE_specs.final_gen_send is True
    assert alloc_specs.alloc_f is give_sim_work_first and libE_specs.final_gen_send is False  # the caller's own


def test_what_is_stated_beats_what_a_generator_object_would_get():
    specs = whole(
        gen_specs={"generator": Suggests(), "out": [("x", float, (2,))]},
        libE_specs={"nworkers": 2, "final_gen_send": False},
        alloc_specs={"alloc_f": function},
    )
    assert specs.libE_specs.final_gen_send is False and specs.alloc_specs.alloc_f is function


def test_a_generator_function_changes_no_default():
    specs = whole()
    assert specs.alloc_specs.alloc_f is give_sim_work_first and specs.libE_specs.final_gen_send is False


@pytest.mark.parametrize(("wrong", "advice"), [(Suggests, "class"), (3, "suggest"), ("sampler", "suggest")])
def test_a_generator_is_an_object_that_suggests(wrong, advice):
    with pytest.raises(ValidationError, match=advice):
        whole(gen_specs={"generator": wrong, "out": [("x", float, (2,))]})


def test_a_generator_without_any_named_field_is_refused():
    with pytest.raises(ValidationError, match="'vocs' or 'outputs'"):
        whole(gen_specs={"generator": Suggests()})


@pytest.mark.parametrize(("part", "option"), [("sim_specs", "in"), ("sim_specs", "persis_in"), ("gen_specs", "in")])
def test_an_input_that_nobody_makes_is_refused_with_those_that_exist(part, option):
    stated = {
        "sim_specs": {"sim_f": function, "out": [("f", float)]},
        "gen_specs": {"gen_f": function, "out": [("x", float)]},
    }[part]
    with pytest.raises(ValidationError, match="'velocity'") as error:
        whole(**{part: {**stated, option: ["velocity"]}})
    assert "sim_id" in str(error.value) and "f" in str(error.value)


def test_inputs_may_come_from_all_specs_h0_and_reserved_fields():
    assert whole(
        sim_specs={"sim_f": function, "in": ["x", "from_h0", "sim_id", "mine"], "out": [("f", float)]},
        alloc_specs={"alloc_f": function, "out": [("mine", int)]},
        H0=[{"from_h0": 1.0}],
    )


def test_of_what_a_vocs_filled_in_only_existing_fields_are_sent():
    specs = whole(
        sim_specs=SimSpecs(sim_f=function, vocs=PROBLEM),
        gen_specs=GenSpecs(generator=Suggests(), vocs=PROBLEM, outputs=[("x", float)]),
    )
    assert specs.sim_specs.inputs == ["x"]  # the constant is not in H: the simulator knows it from the VOCS
    assert specs.gen_specs.inputs == ["x", "f"] and specs.gen_specs.persis_in == ["x", "f"]
    with pytest.raises(ValidationError, match=r"persis_in.*'f'"):
        whole(
            sim_specs={"sim_f": function, "out": [("g", float)]},
            gen_specs=GenSpecs(generator=Suggests(), vocs=PROBLEM),
        )


def test_the_stop_value_is_of_a_field_that_a_user_function_makes():
    assert whole(exit_criteria={"stop_val": ("f", 1)}) and whole(exit_criteria=ExitCriteria(stop_val=("x", 1)))
    with pytest.raises(ValidationError, match=r"'ff'.*Did you mean 'f'"):
        whole(exit_criteria={"stop_val": ("ff", 1)})


@pytest.mark.parametrize("nothing", [{}, None, ExitCriteria(), {"sim_max": None}])
def test_no_exit_criterion_is_warned_of(nothing):
    with pytest.warns(UserWarning, match="exit criterion"):
        whole(exit_criteria=nothing)


def test_an_exit_criterion_is_not_warned_of():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        whole(exit_criteria={"sim_max": 0})


@pytest.mark.parametrize("comms", ["local", "threads"])
def test_workers_are_needed(comms):
    with pytest.raises(ValidationError, match="nworkers"):
        whole(libE_specs={"comms": comms, "nworkers": 0})
    with pytest.raises(ValidationError, match="gen_workers"):
        whole(libE_specs={"comms": comms, "nworkers": 2, "gen_workers": [1, 3]})


def test_h0_must_fit_the_specs():
    with pytest.raises(ValidationError, match="shape"):
        whole(H0=np.zeros(2, dtype=[("x", float)]))
    with pytest.raises(ValidationError, match="shape"):
        whole(H0=np.zeros(2, dtype=[("x", float, (3,))]))
    with pytest.raises(ValidationError, match="sim_started"):
        whole(H0=np.zeros(2, dtype=[("sim_ended", bool)]))


def test_h0_as_dicts_takes_the_types_of_the_specs():
    specs = whole(H0=[{"x": [1, 2], "f": 3}])
    assert specs.H0.dtype["x"] == np.dtype((float, (2,))) and specs.H0.dtype["f"] == np.dtype(float)


def test_final_fields_in_a_dict_is_translated():
    with pytest.warns(DeprecationWarning, match="final_gen_send"):
        specs = whole(libE_specs={"nworkers": 1, "final_fields": ["x", "f"]})
    assert specs.libE_specs.final_gen_send is True


def test_an_error_does_not_print_the_users_data():
    with pytest.raises(ValidationError) as error:
        whole(persis_info={1: "secret"}, exit_criteria={"stop_val": ("g", 1)})
    assert "secret" not in str(error.value)
