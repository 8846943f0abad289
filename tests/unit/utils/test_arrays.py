"""Points survive the way from dicts to arrays and back, with and without names that belong together."""

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libensemble.utils.arrays import list_dicts_to_np, map_numpy_array, np_to_list_dicts, unmap_numpy_array

MAPPING = {"x": ["core", "edge"], "f": ["energy"]}


def test_what_is_no_list_passes_unchanged():
    array = np.zeros(2, dtype=[("a", float)])
    assert list_dicts_to_np(None) is None
    assert list_dicts_to_np(array) is array
    assert np_to_list_dicts(None) is None


def test_an_empty_list_gives_no_rows_of_the_given_fields():
    assert list_dicts_to_np([], [("a", float)]).dtype.names == ("a",)
    assert list_dicts_to_np([]).dtype.names is None or list_dicts_to_np([]).dtype.names == ()
    assert len(list_dicts_to_np([])) == 0


def test_values_decide_the_types_when_none_are_given():
    array = list_dicts_to_np([{"s": "abc", "n": 1, "v": 0.5, "b": True, "sim_id": 3}])
    assert [array.dtype[name] for name in ("s", "n", "v", "b", "sim_id")] == [
        np.dtype("U4"),
        np.dtype(int),
        np.dtype(float),
        np.dtype(bool),
        np.dtype(int),
    ]


def test_later_points_are_neither_truncated_nor_cut():
    array = list_dicts_to_np([{"s": "a", "n": 1}, {"s": "long text", "n": 2.5}])
    assert array["s"].tolist() == ["a", "long text"]
    assert array["n"].tolist() == [1, 2.5]


def test_mapped_names_become_a_vector_or_a_scalar():
    array = list_dicts_to_np([{"core": 1, "edge": 2, "energy": 3}], mapping=MAPPING)
    assert set(array.dtype.names) == {"x", "f"}
    assert array["x"].shape == (1, 2)
    assert array["f"].shape == (1,)
    assert array["x"].dtype == float


def test_a_mapping_without_all_its_names_does_not_count():
    array = list_dicts_to_np([{"core": 1.0}], mapping=MAPPING)
    assert array.dtype.names == ("core",)


def test_the_given_dtype_is_not_changed_and_fields_without_values_stay_zero():
    fields = [("core", float), ("extra", int), ("_id", int)]
    array = list_dicts_to_np([{"core": 1.0, "edge": 2.0}], fields, mapping={"x": ["core", "edge"]})
    assert fields == [("core", float), ("extra", int), ("_id", int)]
    assert array["core"][0] == 1.0 and array["extra"][0] == 0 and array["_id"][0] == -1
    npt.assert_array_equal(array["x"][0], [1, 2])


def test_a_key_without_a_field_is_named():
    with pytest.raises(ValueError, match=r"\['b'\].*\['a'\]"):
        list_dicts_to_np([{"a": 1, "b": 2}], [("a", float)])


def test_a_point_that_lacks_a_key_is_named():
    with pytest.raises(ValueError, match="point 1 has no 'b'"):
        list_dicts_to_np([{"a": 1, "b": 2}, {"a": 1}])


def test_an_id_that_was_never_given_is_no_key():
    array = list_dicts_to_np([{"a": 1.0, "_id": 7}, {"a": 2.0}, {"a": 3.0, "_id": None}])
    assert np_to_list_dicts(array) == [{"a": 1.0, "_id": 7}, {"a": 2.0}, {"a": 3.0}]


def test_a_value_that_does_not_fit_its_field_is_named():
    with pytest.raises(ValueError, match=r"values of 'a', such as \[1, 2\], do not fit its field.* float64"):
        list_dicts_to_np([{"a": [1, 2]}], [("a", float)])


def test_rows_become_dicts_with_mapped_vectors_split_and_others_left():
    array = np.zeros(1, dtype=[("x", float, (2,)), ("v", float, (3,)), ("f", float)])
    [point] = np_to_list_dicts(array, MAPPING)
    assert list(point) == ["core", "edge", "v", "energy"]
    assert point["v"].shape == (3,)


def test_a_mapped_vector_of_another_length_is_refused():
    array = np.zeros(1, dtype=[("x", float, (3,))])
    for convert in (np_to_list_dicts, unmap_numpy_array):
        with pytest.raises(AssertionError, match="'x' holds 3"):
            convert(array, MAPPING)


def test_native_scalars_are_pythons_own():
    array = np.array([(1, 0.5, "a", True, [1.0, 2.0])], dtype="i8, f8, U3, ?, (2,)f8")
    [point] = np_to_list_dicts(array, native=True)
    assert [type(value) for value in point.values()] == [int, float, str, bool, np.ndarray]


def test_a_mapped_vector_of_length_one_becomes_a_scalar():
    array = np.zeros(2, dtype=[("x", float, (1,))])
    assert np.ndim(np_to_list_dicts(array, {"x": ["core"]})[0]["core"]) == 0
    assert unmap_numpy_array(array, {"x": ["core"]})["core"].shape == (2,)


def test_no_mapping_and_no_array_return_the_argument_itself():
    array = np.zeros(1, dtype=[("a", float)])
    for convert in (map_numpy_array, unmap_numpy_array):
        assert convert(array, {}) is array
        assert convert(array) is array
        assert convert(None, MAPPING) is None


def test_fields_outside_the_mapping_are_carried_along():
    array = np.array(
        [(1.0, 2.0, 3.0, "t", [7, 8])],
        dtype=[("core", float), ("edge", float), ("f", float), ("task", "U3"), ("v", int, (2,))],
    )
    mapped = map_numpy_array(array, MAPPING)  # has an objective literally called f, and no energy
    assert mapped.dtype.names == ("x", "f", "task", "v")
    npt.assert_array_equal(mapped["x"], [[1.0, 2.0]])
    assert (mapped["f"][0], mapped["task"][0], mapped["v"][0].tolist()) == (3.0, "t", [7, 8])


def test_gathered_fields_have_a_type_that_holds_all_parts():
    array = np.array([(1, 2.5)], dtype=[("core", int), ("edge", float)])
    npt.assert_array_equal(map_numpy_array(array, MAPPING)["x"], [[1.0, 2.5]])


def test_a_name_that_is_also_its_field_is_split_once():
    mapping = {"x": ["x", "y"]}
    packed = np.array([([1.0, 2.0],)], dtype=[("x", float, (2,))])
    split = unmap_numpy_array(packed, mapping)
    assert split.dtype.names == ("x", "y")
    assert np_to_list_dicts(split, mapping) == [{"x": 1.0, "y": 2.0}]
    npt.assert_array_equal(map_numpy_array(split, mapping)["x"], packed["x"])


finite = st.floats(allow_nan=False, allow_infinity=False)
points = st.lists(
    st.fixed_dictionaries(
        {
            "core": finite,
            "edge": finite,
            "energy": finite,
            "count": st.integers(-(2**62), 2**62),
            "task": st.text("abc", max_size=5),
            "vector": st.tuples(finite, finite, finite),
            "_id": st.integers(0, 1000),
        }
    ),
    min_size=1,
    max_size=6,
)
DTYPE = [
    ("core", float),
    ("edge", float),
    ("energy", float),
    ("count", int),
    ("task", "U5"),
    ("vector", float, (3,)),
    ("_id", int),
]


@given(points)
def test_points_survive_the_round_trip(given_points):
    array = list_dicts_to_np(given_points, DTYPE)
    back = np_to_list_dicts(array, native=True)
    assert [{**point, "vector": tuple(point["vector"])} for point in back] == given_points


@given(points)
def test_points_survive_the_round_trip_through_a_mapping(given_points):
    array = list_dicts_to_np(given_points, mapping=MAPPING)
    back = np_to_list_dicts(array, MAPPING, native=True)
    assert [{**point, "vector": tuple(point["vector"])} for point in back] == given_points


@given(points)
def test_map_undoes_unmap(given_points):
    packed = list_dicts_to_np(given_points, mapping=MAPPING)
    again = map_numpy_array(unmap_numpy_array(packed, MAPPING), MAPPING)
    assert set(again.dtype.names) == set(packed.dtype.names)
    for name in packed.dtype.names:
        npt.assert_array_equal(again[name], packed[name])
