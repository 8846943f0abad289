"""The sampling classes draw the same documented numbers through every interface."""

from types import SimpleNamespace

import numpy as np
import numpy.testing as npt
import pytest
from gest_api.vocs import VOCS

from libensemble import gen_classes
from libensemble.gen_classes import external
from libensemble.gen_classes.external import sampling as external_sampling
from libensemble.gen_classes.sampling import UniformSample

FIRST = (-0.9527135011989731, 4.851391088977806)


@pytest.fixture
def vocs():
    return VOCS(variables={"a": [-3, 1], "b": [2, 5]}, objectives={"f": "MINIMIZE"})


def test_the_first_point_is_the_documented_one(vocs):
    points = UniformSample(vocs).suggest(2)
    assert (points[0]["a"], points[0]["b"]) == FIRST
    assert points == external_sampling.UniformSample(vocs).suggest(2)
    assert all(type(value) is float for point in points for value in point.values())


def test_arrays_hold_all_variables_in_one_vector(vocs):
    points = UniformSample(vocs, 1).suggest_numpy(2)
    assert points.dtype.names == ("x",)
    npt.assert_array_equal(points["x"], np.random.default_rng(1).uniform([-3, 2], [1, 5], (2, 2)))


def test_batches_go_on_where_the_last_ended(vocs):
    whole, parts = UniformSample(vocs), UniformSample(vocs)
    assert whole.suggest(5) == parts.suggest(2) + parts.suggest(3)


def test_another_seed_gives_another_sample(vocs):
    assert UniformSample(vocs, random_seed=2).suggest(1) != UniformSample(vocs).suggest(1)


@pytest.mark.parametrize("kind", [UniformSample, external_sampling.UniformSample])
def test_no_number_means_no_points_and_results_are_ignored(vocs, kind):
    generator = kind(vocs)
    assert generator.suggest() == []
    generator.ingest([{"a": 1.0, "b": 2.0, "f": 3.0}])
    generator.finalize()


def test_no_objective_is_needed():
    assert UniformSample(VOCS(variables={"x": [0, 1]})).suggest(1)[0]["x"] == np.random.default_rng(1).uniform()


def test_variables_that_cannot_be_sampled_are_named():
    with pytest.raises(ValueError, match=r"\['kind'\]"):
        UniformSample(VOCS(variables={"a": [0, 1], "kind": {"p", "q"}}))


def test_array_variables_are_drawn_as_arrays():
    bounds = SimpleNamespace(domain=[[-3, 1], [2, 5]])
    vocs = SimpleNamespace(variables={"x": bounds})
    [point] = external_sampling.UniformSampleArray(vocs).suggest(1)
    npt.assert_array_equal(point["x"], FIRST)
    with pytest.raises(AssertionError):
        external_sampling.UniformSampleArray(SimpleNamespace(variables={"x": bounds, "y": bounds}))
    with pytest.raises(AssertionError):
        external_sampling.UniformSample(SimpleNamespace(variables={}))


def test_the_package_shows_its_classes():
    assert gen_classes.UniformSample is UniformSample
    assert external.__name__ == "libensemble.gen_classes.external"
