"""Samples repeat with their seed, draw for draw, and fill the fields that they promise."""

import numpy as np
import numpy.testing as npt
import pytest

from libensemble import gen_funcs
from libensemble.gen_funcs import sampling

LB, UB = np.array([-3.0, 2.0]), np.array([1.0, 5.0])


def stream(seed=7):
    return np.random.default_rng(seed)


def call(function, out, H=(), **user):
    user = {"lb": LB, "ub": UB, **user}
    persis_info = {"rand_stream": stream()}
    H_o, returned = function(H, persis_info, {"out": out, "user": user})
    assert returned is persis_info
    return H_o


def test_uniform_sample_is_one_draw():
    H_o = call(sampling.uniform_random_sample, [("x", float, 2)], gen_batch_size=5)
    npt.assert_array_equal(H_o["x"], stream().uniform(LB, UB, (5, 2)))


def test_a_single_variable_may_be_a_scalar_field():
    H_o = call(sampling.uniform_random_sample, [("x", float)], gen_batch_size=5, lb=[0], ub=[1])
    npt.assert_array_equal(H_o["x"], stream().uniform(0, 1, 5))


def test_resource_sets_are_drawn_after_the_points(capsys):
    out = [("x", float, 2), ("resource_sets", int)]
    H_o = call(sampling.uniform_random_sample_with_variable_resources, out, gen_batch_size=20, max_resource_sets=3)
    expected = stream()
    npt.assert_array_equal(H_o["x"], expected.uniform(LB, UB, (20, 2)))
    npt.assert_array_equal(H_o["resource_sets"], expected.integers(1, 4, 20))
    assert str(H_o["resource_sets"].tolist()) in capsys.readouterr().out


def test_the_first_sample_is_plain_and_later_points_have_priority():
    out = [("x", float, 2), ("resource_sets", int), ("priority", float)]
    function = sampling.uniform_random_sample_with_var_priorities_and_resources
    options = {"initial_batch_size": 4, "max_resource_sets": 3}
    first = call(function, out, **options)
    expected = stream()
    npt.assert_array_equal(first["x"], [expected.uniform(LB, UB, (1, 2))[0] for _ in range(4)])
    assert set(first["resource_sets"]) == {1} and set(first["priority"]) == {1}
    later = call(function, out, H=np.zeros(4), **options)
    expected = stream()
    npt.assert_array_equal(later["x"], expected.uniform(LB, UB, (1, 2)))
    assert later["resource_sets"].tolist() == [expected.integers(1, 4)]
    assert later["priority"][0] == 10 * later["resource_sets"][0]


def test_every_component_has_a_row():
    out = [("x", float, 2), ("priority", float), ("paused", bool), ("obj_component", int), ("pt_id", int)]
    H_o = call(sampling.uniform_random_sample_obj_components, out, H=np.zeros(6), components=3, gen_batch_size=2)
    expected = stream()
    for point in range(2):
        rows = H_o[3 * point : 3 * point + 3]
        npt.assert_array_equal(rows["x"], np.repeat(expected.uniform(LB, UB, (1, 2)), 3, axis=0))
        npt.assert_array_equal(rows["priority"], expected.uniform(0, 1, 3))
        assert rows["obj_component"].tolist() == [0, 1, 2]
        assert set(rows["pt_id"]) == {2 + point}


def test_every_tenth_point_is_cancelled():
    H_o = call(sampling.uniform_random_sample_cancel, [("x", float, 2), ("cancel_requested", bool)], gen_batch_size=25)
    assert np.flatnonzero(H_o["cancel_requested"]).tolist() == [0, 10, 20]


def test_a_latin_hypercube_has_one_value_in_each_cell():
    sample = sampling.lhs_sample(3, 10, stream())
    assert sample.shape == (10, 3)
    for column in sample.T:
        assert sorted(np.floor(column * 10).astype(int)) == list(range(10))


def test_latin_hypercube_draws_places_then_one_order_per_column():
    expected = stream()
    places = expected.uniform(0, 1, (4, 2))
    cells = (np.arange(4)[:, None] + places) / 4
    for column in range(2):
        cells[:, column] = cells[expected.permutation(4), column]
    npt.assert_allclose(sampling.lhs_sample(2, 4, stream()), cells)
    H_o = call(sampling.latin_hypercube_sample, [("x", float, (2,))], gen_batch_size=4)
    npt.assert_allclose(H_o["x"], LB + cells * (UB - LB))


def test_functions_name_their_fields():
    assert sampling.uniform_random_sample.outputs == [("x", float, 2)]
    assert sampling.latin_hypercube_sample.outputs == [("x", float, (1,))]


@pytest.mark.parametrize(
    ("given", "stored"), [(None, None), ("nlopt", ["nlopt"]), (["scipy", "dfols"], ["scipy", "dfols"])]
)
def test_one_optimizer_is_a_list_of_one(given, stored):
    rc = gen_funcs.RC()
    assert rc.aposmm_optimizers is None
    rc.aposmm_optimizers = given
    assert rc.aposmm_optimizers == stored


def test_star_imports_work():
    for package in ("gen_funcs", "sim_funcs", "gen_funcs.sampling", "gen_funcs.persistent_sampling"):
        exec(f"from libensemble.{package} import *", {})
