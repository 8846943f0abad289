"""The conversation of APOSMM: what it sends, in which batches, when it ends, and what it returns."""

import threading

import numpy as np
import pytest

from libensemble.errors import APOSMMException
from libensemble.gen_funcs.persistent_aposmm import (
    aposmm,
    calc_rk,
    cdist,
    decide_where_to_start_localopt,
    extract_rk_c,
    initialize_APOSMM,
    update_history_dist,
    update_history_optimal,
)
from libensemble.message_numbers import FINISHED_PERSISTENT_GEN_TAG, STOP_TAG
from libensemble.sim_funcs.six_hump_camel import six_hump_camel_func, six_hump_camel_grad
from tests.fakes.mailbox_pair import Rows, ScriptedMailbox, Stop

pytest.importorskip("nlopt")
OUT = [("x", float, 2), ("x_on_cube", float, 2), ("sim_id", int), ("local_min", bool), ("local_pt", bool)]
BACK = ["f", "x", "x_on_cube", "sim_id", "local_min", "local_pt"]
BOX = {"lb": np.array([-3, -2]), "ub": np.array([3, 2])}
MINIMA = np.array([[0.08984201, -0.71265640], [1.70360671, -0.79608357], [1.60710476, 0.56865145]])
MINIMA = np.vstack([MINIMA, -MINIMA])


def camel(x):
    return six_hump_camel_func(np.asarray(x).T)


class Camel:
    """A manager that returns all points of a message at once, and stops after some rounds."""

    def __init__(self, rounds=10**6, f=camel, grad=False, last=Stop, one_by_one=False):
        self.rounds, self.f, self.grad, self.last, self.one_by_one = rounds, f, grad, last, one_by_one
        self.open, self.sizes, self.updated = [], [], []

    def __call__(self, points, number):
        fields = [(name, points.dtype[name]) for name in ("sim_id", "x_on_cube")]
        new = [p for p in points if not p["local_min"]]
        self.updated += [int(p["sim_id"]) for p in points if p["local_min"]]
        self.sizes.append(len(new))
        self.open += new
        if number >= self.rounds:
            return self.last()
        now, self.open = (self.open[:1], self.open[1:]) if self.one_by_one and number > 1 else (self.open, [])
        rows = np.zeros(len(now), dtype=[*fields, ("f", float), *([("grad", float, 2)] if self.grad else [])])
        for row, point in zip(rows, now):
            row["sim_id"], row["x_on_cube"], row["f"] = point["sim_id"], point["x_on_cube"], self.f(point["x"])
            if self.grad:
                row["grad"] = six_hump_camel_grad(point["x"])
        return Rows(rows, rows["sim_id"].tolist())


def live(manager, H=(), nworkers=4, persis_in=BACK, **user):
    """Let aposmm live with a manager; return what it returned and the mailbox."""
    options = {**BOX, "initial_sample_size": 50, "localopt_method": "LN_BOBYQA", "xtol_abs": 1e-6, "ftol_abs": 1e-6}
    options |= {"rk_const": 0.63, "dist_to_bound_multiple": 0.5, "max_active_runs": 6, **user}
    mailbox = ScriptedMailbox(manager)
    persis_info = {"rand_stream": np.random.default_rng(1), "nworkers": nworkers}
    gen_specs = {"out": OUT, "persis_in": persis_in, "user": options}
    return *aposmm(H, persis_info, gen_specs, {"comm": mailbox}), mailbox


def found(H, tolerance=1e-5):
    minima = H["x"][H["local_min"]]
    return sum(bool(np.any(np.sum((minima - x) ** 2, axis=1) < tolerance)) for x in MINIMA)


# ---- the conversation


@pytest.mark.parametrize("nworkers", [2, 4, 12])
def test_batches_are_the_sample_then_one_for_each_worker_then_as_many_as_come_back(nworkers):
    manager = Camel(rounds=12)
    live(manager, nworkers=nworkers)
    assert manager.sizes[0] == 50
    assert manager.sizes[1] >= nworkers - 1
    assert all(after >= before for before, after in zip(manager.sizes[1:], manager.sizes[2:]))
    one_by_one = Camel(rounds=40, one_by_one=True)
    live(one_by_one, nworkers=nworkers, max_active_runs=1)
    assert one_by_one.sizes[:2] == [50, max(1, nworkers - 1)]
    assert all(size <= 2 for size in one_by_one.sizes[2:])


def test_messages_have_the_out_fields_alone():
    _, _, _, mailbox = live(Camel(rounds=3))
    assert all(sent.dtype == np.dtype(OUT) for sent in mailbox.sent)
    assert mailbox.sent[0]["sim_id"].tolist() == list(range(50))
    x = mailbox.sent[0]["x_on_cube"] * (BOX["ub"] - BOX["lb"]) + BOX["lb"]
    assert mailbox.sent[0]["x"] == pytest.approx(x)


def test_all_six_minima_are_found_and_told():
    manager = Camel(rounds=200)
    H, persis_info, tag, _ = live(manager, rk_const=0.4)
    assert tag == FINISHED_PERSISTENT_GEN_TAG and found(H) == 6
    told = set(manager.updated)
    assert told and told <= set(np.flatnonzero(H["local_min"]).tolist())
    assert len(set(np.flatnonzero(H["local_min"])) - told) <= 6  # those found in the last round
    order = persis_info["run_order"]
    assert list(order) == list(range(len(order)))
    for run in order.values():
        assert H["started_run"][run[0]] and np.all(H["local_pt"][run[1:]])
        assert run[1:] == sorted(run[1:])
    points_of_runs = [row for run in order.values() for row in run]
    assert set(np.flatnonzero(H["local_pt"])) <= set(points_of_runs)
    ended = [end["sim_id"] for end in persis_info["run_endings"].values() if end["converged"]]
    assert set(ended) <= set(np.flatnonzero(H["local_min"]).tolist())


def test_no_thread_is_left():
    before = threading.active_count()
    live(Camel(rounds=20))
    assert threading.active_count() == before


def test_the_same_stream_gives_the_same_run():
    first, second = live(Camel(rounds=30))[0], live(Camel(rounds=30))[0]
    assert np.array_equal(first["x"], second["x"])


def test_never_more_than_max_active_runs():
    H, persis_info, _, _ = live(Camel(rounds=60), max_active_runs=2)
    assert len(persis_info["run_order"]) - len(persis_info["run_endings"]) <= 2
    assert len(persis_info["run_order"]) > 2


def test_gradients_are_used():
    persis_in = [*BACK, "grad"]
    H, persis_info, _, _ = live(Camel(rounds=60, grad=True), persis_in=persis_in, localopt_method="LD_MMA")
    assert np.any(H["grad"]) and found(H) >= 5


def test_starts_keep_their_distance_to_the_boundary_and_to_minima():
    H, persis_info, _, _ = live(Camel(rounds=150), mu=0.1, nu=0.05)
    starts = [run[0] for run in persis_info["run_order"].values()]
    assert np.all(H["dist_to_unit_bounds"][starts] >= 0.1)
    H, plenty, _, _ = live(Camel(rounds=150), nu=0)
    assert len(persis_info["run_order"]) < len(plenty["run_order"])


# ---- the end


def test_results_that_come_with_the_stop_are_kept():
    last = np.array([(3, 7.5)], dtype=[("sim_id", int), ("f", float)])
    H, _, _, _ = live(Camel(rounds=1, last=lambda: Stop(last, (3,))))
    assert H["sim_ended"].tolist() == [row == 3 for row in range(50)] and H["f"][3] == 7.5


def test_a_plain_stop_ends_it_too():
    H, persis_info, tag, _ = live(Camel(rounds=4, last=lambda: Stop(tag=STOP_TAG)))
    assert tag == FINISHED_PERSISTENT_GEN_TAG and persis_info["run_order"]


def test_it_ends_by_itself_after_so_many_minima():
    manager = Camel()
    H, _, _, _ = live(manager, stop_after_k_minima=4)
    assert H["local_min"].sum() >= 4
    assert len(set(manager.updated)) >= 4  # they have reached the manager


def test_it_ends_by_itself_after_so_many_runs():
    H, persis_info, _, _ = live(Camel(), stop_after_k_runs=3, run_max_eval=10)
    assert len(persis_info["run_endings"]) >= 3
    assert not np.any(H["local_min"])


def test_a_failing_run_is_an_error_and_the_others_are_stopped():
    before = threading.active_count()
    with pytest.raises(APOSMMException, match="NLopt roundoff-limited"):
        live(Camel(), xtol_abs=None, ftol_abs=None)
    assert threading.active_count() == before


def test_values_that_are_no_numbers_are_tolerated():
    def torn(x):
        return np.nan if x[0] > 1.65 else np.inf if x[0] < -1.65 else camel(x)

    H, persis_info, _, _ = live(Camel(rounds=150, f=torn))
    assert np.isnan(H["f"]).any() and np.isinf(H["f"]).any()
    assert not np.any(H["local_min"] & ~np.isfinite(H["f"]))
    assert np.all(np.isfinite(H["f"][[run[0] for run in persis_info["run_order"].values()]]))
    assert found(H) >= 2  # the other four are near the tear or beyond it


def test_a_message_without_results_is_answered():
    manager = Camel(rounds=5)
    answers = iter([None])

    def sometimes_empty(points, number):
        if number == 2 and next(answers, True) is None:
            manager.open += list(points)
            return Rows(np.zeros(0, dtype=[("sim_id", int), ("f", float)]), [])
        return manager(points, number)

    H, _, _, mailbox = live(sometimes_empty)
    assert len(mailbox.sent[2]) == 0 and len(mailbox.sent) == 5


def test_there_is_always_something_to_wait_for():
    manager = Camel(rounds=8)
    live(manager, nworkers=1, max_active_runs=0)
    assert manager.sizes == [50] + [1] * 7


# ---- beginnings


def evaluated_points(x, **columns):
    x = np.atleast_2d(x)
    names = [("x", float, 2), ("x_on_cube", float, 2), ("f", float), ("grad", float, 2), ("sim_id", int)]
    H0 = np.zeros(len(x), dtype=[*names, ("sim_ended", bool), ("local_pt", bool), ("local_min", bool)])
    H0["x"], H0["x_on_cube"] = x, (x - BOX["lb"]) / (BOX["ub"] - BOX["lb"])
    H0["f"], H0["grad"] = camel(x), six_hump_camel_grad(x.T).T
    H0["sim_id"], H0["sim_ended"] = np.arange(len(x)), True
    for name, column in columns.items():
        H0[name] = column
    return H0


def test_runs_start_at_once_from_evaluated_points():
    H0 = evaluated_points(np.round(MINIMA, 1))
    manager = Camel(grad=True)
    H, persis_info, _, mailbox = live(
        manager,
        H0,
        persis_in=[*BACK, "grad"],
        initial_sample_size=0,
        localopt_method="LD_MMA",
        stop_after_k_minima=15,
        xtol_rel=1e-6,
        ftol_rel=1e-6,
    )
    assert found(H) == 6 and len(persis_info["run_order"]) >= 15
    assert {run[0] for run in persis_info["run_order"].values()} & set(range(6))
    assert mailbox.sent[0]["local_pt"].any() and mailbox.sent[0]["sim_id"].min() == 6


def test_a_sample_after_a_starting_history_continues_its_numbers():
    _, _, _, mailbox = live(Camel(rounds=1), evaluated_points(MINIMA))
    assert mailbox.sent[0]["sim_id"].tolist() == list(range(6, 56))


def test_points_of_others_can_come_first():
    H0 = evaluated_points(np.round(MINIMA, 1))[["x", "x_on_cube", "f"]]
    mailbox = ScriptedMailbox(Camel(rounds=120))
    for rows in ([0, 1], [2, 3, 4, 5]):
        mailbox.post(Rows(H0[rows], rows))
    persis_info = {"rand_stream": np.random.default_rng(1), "nworkers": 4}
    user = {**BOX, "initial_sample_size": 6, "localopt_method": "LN_BOBYQA", "xtol_abs": 1e-6, "ftol_abs": 1e-6}
    user |= {"generate_sample_points": False, "dist_to_bound_multiple": 0.5, "rk_const": 0.3}
    H, persis_info, _ = aposmm([], persis_info, {"out": OUT, "persis_in": BACK, "user": user}, {"comm": mailbox})
    assert mailbox.sent[0]["sim_id"].min() == 6
    assert found(H) >= 4


@pytest.mark.parametrize(
    "options, error, match",
    [
        ({"localopt_method": "LN_UNHEARD_OF"}, NotImplementedError, "LN_UNHEARD_OF"),
        ({"localopt_method": "LD_MMA"}, AssertionError, "LD_MMA needs 'grad'"),
        ({"localopt_method": "dfols", "components": 3}, AssertionError, "dfols needs 'fvec'"),
        ({"localopt_method": "dfols", "persis_in": [*BACK, "fvec"]}, AssertionError, "components"),
        ({"localopt_method": "scipy_BFGS", "persis_in": [*BACK, "grad"]}, KeyError, "opt_return_codes"),
        ({"initial_sample_size": 0}, AssertionError, "no evaluated points"),
        ({"lb": BOX["ub"]}, ValueError, "lb must be below ub"),
        ({"sample_points": np.zeros(4)}, ValueError, "sample_points"),
    ],
)
def test_options_that_cannot_work_are_refused(options, error, match):
    with pytest.raises(error, match=match):
        live(Camel(rounds=2), **options)


@pytest.mark.parametrize("name", ["lb", "ub", "initial_sample_size"])
def test_options_that_must_be_there_are_named(name):
    user = {**BOX, "initial_sample_size": 10, "localopt_method": "LN_BOBYQA"}
    del user[name]
    with pytest.raises(KeyError, match=name):
        aposmm([], {}, {"out": OUT, "persis_in": BACK, "user": user}, {"comm": None})


def test_a_gradient_method_needs_gradients_in_the_starting_history():
    H0 = evaluated_points(MINIMA, grad=0)
    with pytest.raises(AssertionError, match="LD_MMA needs 'grad' in the starting history"):
        live(Camel(), H0, persis_in=[*BACK, "grad"], localopt_method="LD_MMA", initial_sample_size=0)


# ---- without an ensemble


@pytest.mark.parametrize(
    "functions",
    [
        {"obj_func": six_hump_camel_func},
        {"obj_func": six_hump_camel_func, "grad_func": six_hump_camel_grad},
        {"obj_and_grad_func": lambda x: (six_hump_camel_func(x), six_hump_camel_grad(x))},
    ],
)
def test_standalone(functions):
    user = {**BOX, "initial_sample_size": 60, "xtol_abs": 1e-6, "ftol_abs": 1e-6, "rk_const": 0.63}
    user |= {"localopt_method": "LN_BOBYQA" if len(functions) == 1 and "obj_func" in functions else "LD_MMA"}
    user |= {"standalone": {"eval_max": 900, **functions}, "sample_points": np.round(MINIMA, 1), "max_active_runs": 6}
    persis_info = {"rand_stream": np.random.default_rng(1), "nworkers": 4}
    H, persis_info, tag = aposmm([], persis_info, {"out": OUT, "user": user}, {"comm": {}})
    assert tag == FINISHED_PERSISTENT_GEN_TAG and persis_info["run_order"]
    assert 900 <= H["sim_ended"].sum() < 920
    assert found(H) >= 5
    if len(functions) == 2 or "obj_and_grad_func" in functions:
        assert np.any(H["grad"])


# ---- names that scripts import


def test_a_users_own_array_is_enough_to_ask_where_runs_should_start():
    x = np.random.default_rng(0).uniform(BOX["lb"], BOX["ub"], (1000, 2))
    n, n_s, rk_const, ld, mu, nu, comm, local_H = initialize_APOSMM(evaluated_points(x), BOX, {"comm": {}})
    assert (n, n_s, ld, mu, nu, comm) == (2, 1000, 0, 1e-4, 0, {})
    assert rk_const == pytest.approx(1.26156626)
    update_history_dist(local_H, n)
    low, high, starts = 1e-5, 2.0, []
    while len(starts) != 6 and high - low > 1e-9:
        middle = (low + high) / 2
        starts = decide_where_to_start_localopt(local_H, n, n_s, middle, ld, mu, nu)
        low, high = (middle, high) if len(starts) > 6 else (low, middle)
    assert len(starts) == 6
    assert np.all(cdist(MINIMA, x[starts]).min(axis=1) < 0.3)
    update_history_optimal(local_H["x_on_cube"][starts[0]], True, local_H, [starts[0]])
    assert local_H["local_min"][starts[0]]


@pytest.mark.parametrize(
    "n, constant",
    [
        (1, 2.5),
        (2, 1.26156626),
        (3, 1.06078442),
        (5, 0.98977005),
        (10, 1.06964629),
        (100, 2.53072825),
        (400, 4.90246735),
    ],
)
def test_the_constant_of_the_critical_radius(n, constant):
    assert extract_rk_c({}, n) == pytest.approx(constant, abs=1e-8)
    assert extract_rk_c({"rk_const": 0.25}, n) == 0.25
    assert calc_rk(n, 100, 1.0) == pytest.approx((np.log(100) / 100) ** (1 / n))


def test_distances_between_two_sets():
    first, second = np.random.default_rng(0).random((5, 3)), np.random.default_rng(1).random((4, 3))
    expected = np.linalg.norm(first[:, np.newaxis] - second, axis=2)
    assert cdist(first, second) == pytest.approx(expected)
    assert cdist(first, second, "sqeuclidean") == pytest.approx(expected**2)
    with pytest.raises(ValueError, match="cityblock"):
        cdist(first, second, "cityblock")
