"""Where local runs start: distances to better points, and the published rules."""

import numpy as np
import pytest

from libensemble.gen_funcs.aposmm.points import update_history_dist
from libensemble.gen_funcs.aposmm.starts import calc_rk, decide_where_to_start_localopt

INF = np.inf
RK_CONST_2 = 1.26156626


def make_history(cube, f, local_pt=False):
    cube = np.asarray(cube, dtype=float)
    H = np.zeros(
        len(cube),
        dtype=[
            ("x_on_cube", float, cube.shape[1]),
            ("f", float),
            ("sim_ended", bool),
            ("local_pt", bool),
            ("known_to_aposmm", bool),
            ("dist_to_unit_bounds", float),
            ("dist_to_better_l", float),
            ("dist_to_better_s", float),
            ("ind_of_better_l", int),
            ("ind_of_better_s", int),
            ("started_run", bool),
            ("num_active_runs", int),
            ("local_min", bool),
            ("paused", bool),
        ],
    )
    H["x_on_cube"], H["f"], H["local_pt"], H["sim_ended"] = cube, f, local_pt, True
    for kind in "ls":
        H[f"dist_to_better_{kind}"], H[f"ind_of_better_{kind}"] = INF, -1
    H["dist_to_unit_bounds"] = INF
    return H


def nearest_better(H, row, among):
    """What the definition says: distance and index of the nearest point at least as good."""
    better = [j for j in np.flatnonzero(among) if j != row and H["f"][j] <= H["f"][row] and H["sim_ended"][j]]
    distances = [np.linalg.norm(H["x_on_cube"][j] - H["x_on_cube"][row]) for j in better]
    return (min(distances), better[int(np.argmin(distances))]) if better else (INF, -1)


@pytest.mark.parametrize("batches", [1, 7, 60])
def test_distances_are_those_of_the_definition_however_the_points_come(batches):
    stream = np.random.default_rng(batches)
    H = make_history(stream.random((60, 3)), stream.random(60), stream.random(60) < 0.4)
    H["f"][[5, 17]] = np.nan
    H["sim_ended"] = False
    for rows in np.array_split(stream.permutation(60), batches):
        H["sim_ended"][rows] = True
        update_history_dist(H, 3, rows if batches % 2 else None)
    usable = ~np.isnan(H["f"])
    assert np.array_equal(H["known_to_aposmm"], usable)
    for row in np.flatnonzero(usable):
        for kind, among in (("l", H["local_pt"] & usable), ("s", ~H["local_pt"] & usable)):
            distance, index = nearest_better(H, row, among)
            assert H[f"dist_to_better_{kind}"][row] == pytest.approx(distance)
            assert H[f"ind_of_better_{kind}"][row] == index
    assert H["dist_to_unit_bounds"][0] == np.min(np.minimum(H["x_on_cube"][0], 1 - H["x_on_cube"][0]))


def test_equally_good_points_are_better_than_each_other_but_the_first_best_one_is_free():
    H = make_history([[0.1], [0.4], [0.9]], [1.0, 1.0, 1.0])
    update_history_dist(H, 1)
    assert H["dist_to_better_s"].tolist() == pytest.approx([INF, 0.3, 0.5])
    assert H["ind_of_better_s"].tolist() == [-1, 0, 1]


def test_nan_among_equal_points_is_tolerated():
    H = make_history([[0.1], [0.4], [0.9]], [np.nan, 1.0, 1.0])
    update_history_dist(H, 1)
    assert H["dist_to_better_s"].tolist() == pytest.approx([INF, INF, 0.5])


@pytest.mark.parametrize(
    "arguments, radius",
    [
        ((2, 100, 1.0), 0.2145966),
        ((2, 300, 1.0, 100), 0.6051480),
        ((2, 1, 1.0), 1e8),
        ((2, 199, 1.0, 100), INF),
    ],
)
def test_critical_radius(arguments, radius):
    assert calc_rk(*arguments) == pytest.approx(radius)


def six_hump_camel(x):
    a, b = x[:, 0], x[:, 1]
    return (4 - 2.1 * a**2 + a**4 / 3) * a**2 + a * b + (4 * b**2 - 4) * b**2


def test_a_suitable_radius_singles_out_the_six_minima_of_the_six_hump_camel():
    cube = np.random.default_rng(0).random((1000, 2))
    x = cube * [6, 4] - [3, 2]
    H = make_history(cube, six_hump_camel(x))
    update_history_dist(H, 2)
    low, high, starts = 1e-5, 2.0, []
    while len(starts) != 6 and high - low > 1e-9:
        middle = (low + high) / 2
        starts = decide_where_to_start_localopt(H, 2, 1000, middle)
        low, high = (middle, high) if len(starts) > 6 else (low, middle)
    assert len(starts) == 6
    assert H["f"][starts].tolist() == sorted(H["f"][starts])
    minima = np.array([[0.0898, -0.7127], [1.7036, -0.7961], [1.6071, 0.5687]])
    for minimum in np.vstack([minima, -minima]):
        assert np.min(np.linalg.norm(x[starts] - minimum, axis=1)) < 0.25


def a_start(**changes):
    """One point that may start a run, but for what is changed."""
    H = make_history([[0.5, 0.5], [0.9, 0.9]], [0.0, INF])
    update_history_dist(H, 2)
    for name, value in changes.items():
        H[name][0] = value
    return decide_where_to_start_localopt(H, 2, 1, RK_CONST_2, mu=0.1, nu=0.1)


@pytest.mark.parametrize(
    "changes",
    [
        {"sim_ended": False},
        {"f": np.nan},
        {"f": -INF},
        {"dist_to_better_l": 0.1},
        {"dist_to_better_s": 0.1},
        {"started_run": True},
        {"dist_to_unit_bounds": 0.09},
        {"local_pt": True, "num_active_runs": 1},
        {"local_pt": True, "local_min": True},
        {"paused": True},
    ],
)
def test_each_rule_can_forbid_a_start(changes):
    assert a_start() == [0]
    assert a_start(local_pt=True) == [0]
    assert a_start(**changes) == []


def test_no_start_near_a_minimum_that_is_known():
    H = make_history([[0.5, 0.5], [0.52, 0.5]], [1.0, 0.5], local_pt=[False, True])
    H["local_min"][1] = True
    H["known_to_aposmm"] = True
    assert decide_where_to_start_localopt(H, 2, 1, RK_CONST_2, nu=0.01) == [0]
    assert decide_where_to_start_localopt(H, 2, 1, RK_CONST_2, nu=0.03) == []
