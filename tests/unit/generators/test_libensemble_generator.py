"""A generator that works on arrays speaks dicts to everybody else, and shares nothing with its siblings."""

import numpy as np
import numpy.testing as npt
import pytest
from gest_api import Generator as StandardGenerator
from gest_api.vocs import VOCS

from libensemble.generators import Generator, GeneratorNotStartedException, LibensembleGenerator


class Recorder(LibensembleGenerator):
    """Suggests zeros in the fields it is told to, and keeps what it ingests."""

    fields = (("x", float, (2,)),)

    def suggest_numpy(self, num_points=0):
        return np.zeros(num_points, dtype=list(self.fields))

    def ingest_numpy(self, results):
        self.got = results


class WithId(Recorder):
    returns_id = True
    fields = (("x", float, (2,)), ("sim_id", int), ("local_pt", bool))


def vocs(variables=("core", "edge"), objectives=("energy",)):
    return VOCS(variables={name: [0, 1] for name in variables}, objectives=dict.fromkeys(objectives, "MINIMIZE"))


@pytest.mark.parametrize(
    ("variables", "objectives", "given", "mapping"),
    [
        (["core", "edge"], ["energy"], None, {"x": ["core", "edge"], "f": ["energy"]}),
        (["core"], ["f"], {}, {"x": ["core"]}),
        (["x"], ["f"], None, {}),
        (["x", "y"], ["f", "g"], None, {"x": ["x", "y"], "f": ["f", "g"]}),
        (
            ["a", "b", "a_on_cube"],
            ["e"],
            {"x_on_cube": ["a_on_cube"]},
            {"x_on_cube": ["a_on_cube"], "x": ["a", "b"], "f": ["e"]},
        ),
        (["a"], [], None, {"x": ["a"]}),
        (["a", "b"], ["e"], {"x": ["b"], "f": ["e"]}, {"x": ["b"], "f": ["e"]}),
    ],
)
def test_the_mapping_is_completed_from_the_vocs(variables, objectives, given, mapping):
    generator = Recorder(vocs(variables, objectives), variables_mapping=given)
    assert generator.variables_mapping == mapping
    assert generator.variables_mapping is not given


def test_ids_are_called_as_the_standard_says():
    generator = WithId(vocs())
    assert generator.variables_mapping["sim_id"] == ["_id"]
    [point] = generator.suggest(1)
    assert point == {"core": 0.0, "edge": 0.0, "_id": 0, "local_pt": False}
    generator.ingest([{**point, "energy": 1.0}])
    assert generator.got["sim_id"].tolist() == [0] and generator.got["sim_id"].dtype == int


def test_suggested_scalars_are_pythons_own():
    [point] = WithId(vocs()).suggest(1)
    assert [type(value) for value in point.values()] == [float, float, int, bool]


def test_ingested_dicts_arrive_as_mapped_fields():
    generator = Recorder(vocs())
    generator.ingest([{"core": 1, "edge": 2, "energy": 3}])
    npt.assert_array_equal(generator.got["x"], [[1, 2]])
    npt.assert_array_equal(generator.got["f"], [3])


@pytest.mark.parametrize("name", ["x", "core"])
def test_a_single_variable_is_a_scalar(name):
    class One(Recorder):
        fields = (("x", float, (1,)),)

    [point] = One(vocs([name])).suggest(1)
    assert point == {name: 0.0} and isinstance(point[name], float)


def test_options_do_not_leak_from_one_object_to_the_next():
    specs = {"user": {"a": 1}}
    first, second = Recorder(vocs(), b=2), Recorder(vocs())
    third = Recorder(vocs(), gen_specs=specs, c=3)
    assert first.gen_specs["user"] == {"b": 2}
    assert "user" not in second.gen_specs
    assert third.gen_specs["user"] == {"a": 1, "c": 3} and specs == {"user": {"a": 1}}


def test_a_random_stream_is_used_or_made():
    given = {"rand_stream": np.random.default_rng(0)}
    assert Recorder(vocs(), persis_info=given).persis_info is given
    made = Recorder(vocs(), persis_info={"rand_stream": None}).persis_info
    assert made["worker_num"] == 1
    assert made["rand_stream"].integers(1000) == np.random.default_rng(4321).integers(1000)


def test_known_names_are_here():
    assert Generator is StandardGenerator
    assert issubclass(GeneratorNotStartedException, Exception)
    with pytest.raises(TypeError):
        LibensembleGenerator(vocs())
