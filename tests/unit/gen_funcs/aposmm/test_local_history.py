"""APOSMM's own history: rows are sim_ids, points lie on the cube and in original units."""

import numpy as np
import pytest

from libensemble.gen_funcs.aposmm.local_history import LocalHistory, fields_of

BOX = {"lb": np.array([-3, -2]), "ub": np.array([3, 2])}
DOCUMENTED = """f grad x x_on_cube local_pt known_to_aposmm dist_to_unit_bounds dist_to_better_l dist_to_better_s
    ind_of_better_l ind_of_better_s started_run num_active_runs local_min sim_id paused sim_ended""".split()


def evaluated(n, **columns):
    dtype = [("x", float, 2), ("x_on_cube", float, 2), ("f", float), ("sim_id", int), ("sim_ended", bool)]
    H0 = np.zeros(n, dtype=[*dtype, ("local_pt", bool), ("dist_to_better_s", float), ("num_active_runs", int)])
    H0["sim_id"], H0["sim_ended"] = np.arange(n), True
    for name, column in columns.items():
        H0[name] = column
    return H0


def test_fields_are_the_documented_ones():
    assert set(fields_of(2).names) == set(DOCUMENTED)
    assert fields_of(2, 5)["fvec"].shape == (5,)
    assert fields_of(1)["x"].shape == (1,)


def test_new_points_have_the_documented_starting_values():
    history = LocalHistory(BOX)
    [sample] = history.add(np.array([[0.5, 0.25]]), False)
    [local] = history.add(np.array([[0.5, 1.0]]), True)
    H = history.H
    assert (sample, local) == (0, 1) and H["sim_id"].tolist() == [0, 1]
    assert H["x"].tolist() == [[0, -1], [0, 2]]
    assert H["num_active_runs"].tolist() == [0, 1] and H["local_pt"].tolist() == [False, True]
    for name in ("dist_to_better_l", "dist_to_better_s"):
        assert np.all(np.isinf(H[name]))
    assert np.all(H["ind_of_better_l"] == -1) and np.all(H["ind_of_better_s"] == -1)
    assert not np.any(H["sim_ended"] | H["local_min"] | H["started_run"] | H["paused"] | H["known_to_aposmm"])


def test_growing_keeps_what_was_there():
    history = LocalHistory(BOX)
    for _ in range(40):
        history.add(np.full((5, 2), len(history) / 1000), False)
    assert len(history) == 200 and history.H["sim_id"].tolist() == list(range(200))
    assert history.H["x_on_cube"][::5, 0] == pytest.approx(np.arange(0, 200, 5) / 1000)


def test_prepared_points_come_first_and_exactly_then_uniform_ones():
    prepared = np.array([[0.1, 0.2], [0.3, -0.4], [1.1, 1.2]])
    history = LocalHistory({**BOX, "sample_points": prepared})
    history.add_sample(2, np.random.default_rng(1))
    history.add_sample(4, np.random.default_rng(1))
    assert np.array_equal(history.H["x"][:3], prepared)
    assert np.array_equal(history.H["x_on_cube"][3:], np.random.default_rng(1).uniform(0, 1, (3, 2)))


def test_on_a_torus_the_cube_is_wrapped_and_x_is_not():
    history = LocalHistory({**BOX, "periodic": True})
    history.add(np.array([[1.25, -0.25]]), True)
    assert history.H["x_on_cube"].tolist() == [[0.25, 0.75]]
    assert history.H["x"].tolist() == [[4.5, -3]]


def test_a_starting_history_is_taken_in_the_order_of_its_ids():
    H0 = evaluated(3, sim_id=[2, 0, 1], f=[20, 0, 10], dist_to_better_s=0.1, num_active_runs=1, local_pt=True)
    H = LocalHistory(BOX, H0).H
    assert H["f"].tolist() == [0, 10, 20] and H["sim_id"].tolist() == [0, 1, 2]
    assert np.all(np.isinf(H["dist_to_better_s"]))  # is computed anew
    assert np.all(H["num_active_runs"] == 0)  # their runs ended with their ensemble


def test_a_place_on_the_cube_that_was_not_given_is_computed():
    H0 = evaluated(1, x=[[0, 1]])
    H0 = np.array(H0[["x", "f", "sim_id", "sim_ended"]])
    assert LocalHistory(BOX, H0).H["x_on_cube"].tolist() == [[0.5, 0.75]]


@pytest.mark.parametrize("missing", ["f", "sim_id", "sim_ended"])
def test_a_starting_history_needs_values_and_numbers(missing):
    H0 = evaluated(2)
    with pytest.raises(AssertionError, match=missing):
        LocalHistory(BOX, H0[[name for name in H0.dtype.names if name != missing]])


def test_ids_with_gaps_are_refused():
    with pytest.raises(AssertionError, match="from 0 on"):
        LocalHistory(BOX, evaluated(2, sim_id=[0, 2]))


@pytest.mark.parametrize(
    "wrong, match",
    [
        ({"lb": np.array([0, 3]), "ub": np.array([1, 2])}, "lb must be below ub"),
        ({**BOX, "sample_points": np.zeros((3, 1))}, r"shape \(number of points, 2\)"),
    ],
)
def test_options_that_do_not_fit_are_refused(wrong, match):
    with pytest.raises(ValueError, match=match):
        LocalHistory(wrong)


def test_a_result_counts_once():
    history = LocalHistory({**BOX, "components": 2})
    history.add(np.zeros((3, 2)), False)
    results = np.array([(5.0, [1, 2], 1), (6.0, [3, 4], 1)], dtype=[("f", float), ("fvec", float, 2), ("sim_id", int)])
    assert history.store([1, 1], results) == [1]
    assert history.H["f"][1] == 5 and history.H["fvec"][1].tolist() == [1, 2]
    assert history.count_open() == 2 and history.count_samples() == 1
    with pytest.raises(ValueError, match="sim_id 7"):
        history.store([7], results[:1])
