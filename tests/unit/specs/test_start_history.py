"""Accepted forms of H0, and the rules its rows obey."""

import numpy as np
import pytest

from libensemble.specs.start_history import as_array, check_shapes, check_states


@pytest.mark.parametrize("nothing", [None, [], (), np.zeros(0, dtype=[("x", float)])])
def test_no_rows_are_none(nothing):
    assert as_array(nothing, {}) is None


def test_an_array_is_used_as_it_is():
    H0 = np.zeros(2, dtype=[("x", float)])
    assert as_array(H0, {}) is H0


def test_dicts_become_rows_with_declared_types():
    rows = [{"x": [1, 2], "name": "a", "sim_id": 0}, {"x": [3, 4], "name": "longer", "sim_id": 1}]
    H0 = as_array(rows, {"x": ("x", float, (2,)), "other": ("other", int)})
    assert H0.dtype["x"] == np.dtype((float, (2,))) and H0.dtype["sim_id"] == np.dtype(int)
    assert H0["name"].tolist() == ["a", "longer"] and H0["x"].tolist() == [[1, 2], [3, 4]]


def test_undeclared_fields_take_the_type_that_holds_all_values():
    H0 = as_array([{"a": 1, "v": [1, 2]}, {"a": 1.5, "v": [3, 4]}], {})
    assert H0["a"].tolist() == [1, 1.5] and H0.dtype["v"].shape == (2,)


@pytest.mark.parametrize(
    "wrong", [[{"a": 1}, {"b": 1}], [1, 2], np.zeros(3), "rows", [{"v": [1]}, {"v": [1, 2]}]], ids=repr
)
def test_other_forms_are_refused(wrong):
    with pytest.raises(ValueError, match="H0"):
        as_array(wrong, {})


def states(started, ended):
    H0 = np.zeros(len(started), dtype=[("sim_started", bool), ("sim_ended", bool)])
    H0["sim_started"], H0["sim_ended"] = started, ended
    return H0


def test_rows_have_ended_or_not_been_started():
    check_states(states([True, False], [True, False]))
    check_states(np.zeros(2, dtype=[("x", float)]))
    check_states(np.ones(2, dtype=[("sim_started", bool)]))
    with pytest.raises(ValueError, match="row 1"):
        check_states(states([True, True], [True, False]))
    with pytest.raises(ValueError, match="sim_started"):
        check_states(np.ones(2, dtype=[("sim_ended", bool)]))


@pytest.mark.parametrize(
    ("have", "want", "fits"),
    [((), (), True), ((2,), (2,), True), ((2,), (3,), True), ((3,), (2,), False), ((), (1,), False), ((2,), (), False)],
)
def test_a_field_of_h0_fits_the_declared_one(have, want, fits):
    H0 = np.zeros(1, dtype=[("x", float, have)])
    if fits:
        check_shapes(H0, {"x": ("x", float, want)})
    else:
        with pytest.raises(ValueError, match="'x' has shape"):
            check_shapes(H0, {"x": ("x", float, want)})
