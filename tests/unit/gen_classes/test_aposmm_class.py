"""APOSMM as an object, by hand: which points it suggests, when it takes results, and what it has found at its end."""

import gc
import threading
import time
import warnings

import numpy as np
import pytest
from gest_api.vocs import VOCS

from libensemble.gen_classes import APOSMM
from libensemble.message_numbers import FINISHED_PERSISTENT_GEN_TAG
from libensemble.sim_funcs.six_hump_camel import six_hump_camel_func, six_hump_camel_grad

pytest.importorskip("nlopt")
VARIABLES = {"a": [-3, 3], "b": [-2, 2], "a_on_cube": [0, 1], "b_on_cube": [0, 1]}
MAPPING = {"x": ["a", "b"], "x_on_cube": ["a_on_cube", "b_on_cube"], "f": ["energy"]}
MINIMA = np.array([[0.08984201, -0.71265640], [1.70360671, -0.79608357], [1.60710476, 0.56865145]])
MINIMA = np.vstack([MINIMA, -MINIMA])


def make_vocs(**changes):
    return VOCS(**{"variables": VARIABLES, "objectives": {"energy": "MINIMIZE"}, **changes})


@pytest.fixture
def make():
    """Make generators; whatever the test does to them, no thread stays."""
    made = []

    def make(vocs=None, max_active_runs=6, initial_sample_size=100, **options):
        options = {"localopt_method": "LN_BOBYQA", "variables_mapping": MAPPING, **options}
        made.append(APOSMM(vocs or make_vocs(), max_active_runs, initial_sample_size, **options))
        return made[-1]

    yield make
    for generator in made:
        generator.terminate()


def camel(point):
    return float(six_hump_camel_func([point["a"], point["b"]]))


def evaluated(points):
    return [{**point, "energy": camel(point)} for point in points]


def at(x):
    """Points of one's own, without ids."""
    cube = (np.asarray(x) - [-3, -2]) / [6, 4]
    names = ["a", "b", "a_on_cube", "b_on_cube"]
    return evaluated([dict(zip(names, map(float, values))) for values in np.hstack([x, cube])])


def found(minima, tolerance=1e-3):
    return sum(bool(np.any(np.sum((minima - x) ** 2, axis=1) < tolerance)) for x in MINIMA)


def work(generator, evaluations, size=0):
    """Suggest, evaluate, ingest; return the updates."""
    updates = []
    while evaluations > 0:
        batch = generator.suggest(size)
        updates += generator.suggest_updates()
        evaluations -= len(batch)
        generator.ingest(evaluated(batch))
    return updates


# ---- the whole life


def test_suggest_first_finds_all_minima(make):
    generator = make(sample_points=np.round(MINIMA, 1))
    batch = generator.suggest(100)
    assert len(batch) == 100
    generator.ingest(evaluated(batch))
    updates = work(generator, 1900, 6)
    assert generator.export() == (None, None, None)
    generator.finalize()
    H, persis_info, tag = generator.export()
    assert tag == FINISHED_PERSISTENT_GEN_TAG and persis_info["run_order"]
    assert found(H["x"][H["local_min"]]) == 6
    assert len(updates) >= 6
    for update in updates:
        assert update.dtype.names == ("x", "x_on_cube", "sim_id", "local_min", "local_pt")
        assert np.all(update["local_min"]) and np.all(H["local_min"][update["sim_id"]])
        assert np.array_equal(update["x"], H["x"][update["sim_id"]])


def test_ingest_first_starts_runs_at_ones_own_points(make):
    generator = make(initial_sample_size=6)
    generator.ingest(at(np.round(MINIMA[:2], 1)))
    with pytest.raises(RuntimeError, match="never started"):
        generator.finalize()
    generator.ingest(at(np.round(MINIMA[2:], 1)))
    first = generator.suggest()
    assert [point["_id"] for point in first] == list(range(6, 6 + len(first)))
    assert any(point["local_pt"] for point in first)
    generator.ingest(evaluated(first))
    work(generator, 600)
    H, _, _ = generator.finalize()
    assert found(H["x"][H["local_min"]], 1e-4) >= 4
    assert H["x"][:6] == pytest.approx(np.round(MINIMA, 1)) and H["f"][0] == pytest.approx(
        at(np.round(MINIMA, 1))[0]["energy"]
    )


def test_points_of_ones_own_may_be_a_part_of_the_sample(make):
    generator = make(initial_sample_size=10)
    generator.ingest(at(MINIMA))
    batch = generator.suggest()
    assert len(batch) == 4 and [point["_id"] for point in batch] == [6, 7, 8, 9]
    generator.ingest(evaluated(batch))
    assert generator.suggest()


@pytest.mark.parametrize("form", ["dicts", "array"])
def test_a_history_counts_as_the_sample(make, form):
    points = at(np.round(MINIMA, 1))
    if form == "array":
        names = list(points[0])
        points = np.array([tuple(p.values()) for p in points], dtype=[(name, float) for name in names])
    generator = make(initial_sample_size=6, History=points)
    assert min(point["_id"] for point in generator.suggest()) == 6
    H, _, _ = generator.finalize()
    assert H["f"][0] == pytest.approx(camel({"a": 0.1, "b": -0.7}))


def test_gradients_by_name(make):
    vocs = make_vocs(observables=["da", "db"])
    mapping = {**MAPPING, "grad": ["da", "db"]}
    generator = make(vocs, localopt_method="LD_MMA", variables_mapping=mapping)
    evaluations = 0
    while evaluations < 800:
        batch = evaluated(generator.suggest())
        for point in batch:
            point["da"], point["db"] = map(float, six_hump_camel_grad([point["a"], point["b"]]))
        generator.ingest(batch)
        evaluations += len(batch)
    H, _, _ = generator.finalize()
    assert np.any(H["grad"]) and found(H["x"][H["local_min"]]) >= 4


def test_export_in_the_names_of_the_vocs(make):
    generator = make(initial_sample_size=10)
    generator.ingest(evaluated(generator.suggest()))
    generator.finalize()
    plain, _, _ = generator.export()
    assert plain["x"].shape[1] == 2
    named, _, _ = generator.export(vocs_field_names=True)
    assert {"a", "b", "a_on_cube", "b_on_cube", "energy", "_id"} <= set(named.dtype.names)
    assert np.array_equal(named["a"], plain["x"][:, 0])
    dicts, _, _ = generator.export(vocs_field_names=True, as_dicts=True)
    assert dicts[3]["_id"] == 3 and dicts[3]["energy"] == plain["f"][3]


# ---- what a point is


def test_suggested_points_are_dicts_of_plain_values_within_the_domains(make):
    for point in make().suggest():
        assert list(point) == ["a", "b", "a_on_cube", "b_on_cube", "_id", "local_min", "local_pt"]
        assert type(point["a"]) is float and type(point["_id"]) is int
        assert type(point["local_pt"]) is bool and not point["local_pt"] and not point["local_min"]
        assert -3 <= point["a"] <= 3 and -2 <= point["b"] <= 2
        assert point["a"] == pytest.approx(6 * point["a_on_cube"] - 3)


def test_prepared_points_come_first(make):
    batch = make(sample_points=np.round(MINIMA, 1)).suggest(6)
    assert [[point["a"], point["b"]] for point in batch] == np.round(MINIMA, 1).tolist()


def test_the_seed_decides_the_sample(make):
    assert make().suggest() == make(random_seed=1).suggest()
    assert make(random_seed=2).suggest() == make(random_seed=2).suggest() != make().suggest()


def test_minima_are_told_once_and_not_suggested_again(make):
    generator = make(sample_points=np.round(MINIMA, 1))
    suggested, updated, evaluations = [], [], 0
    while evaluations < 1200:
        batch = generator.suggest()
        suggested += [point["_id"] for point in batch]
        updated += [int(number) for update in generator.suggest_updates() for number in update["sim_id"]]
        generator.ingest(evaluated(batch))
        evaluations += len(batch)
    assert len(suggested) == len(set(suggested)) and sorted(suggested) == list(range(len(suggested)))
    assert updated and len(updated) == len(set(updated)) and set(updated) <= set(suggested)
    assert generator.suggest_updates() == []


# ---- in any order and any portions


def test_the_sample_is_handed_out_in_portions_and_the_rest_is_not_repeated(make):
    generator = make(initial_sample_size=20)
    portions = [generator.suggest(8), generator.suggest(8), generator.suggest()]
    assert [len(portion) for portion in portions] == [8, 8, 4]
    assert [point["_id"] for portion in portions for point in portion] == list(range(20))


def test_the_sample_may_come_back_in_portions_while_it_is_handed_out(make):
    generator = make(initial_sample_size=20)
    for _ in range(4):
        generator.ingest(evaluated(generator.suggest(5)))
    batch = generator.suggest()
    assert batch and batch[0]["_id"] == 20


def test_no_run_starts_before_the_sample_is_complete(make):
    generator = make(initial_sample_size=20)
    sample = generator.suggest()
    generator.ingest(evaluated(sample[:19]))
    with pytest.raises(RuntimeError, match="1 points of the initial sample"):
        generator.suggest(5)
    generator.ingest(evaluated(sample[19:]))
    assert any(point["local_pt"] for point in generator.suggest())


def test_results_of_a_set_may_come_back_one_by_one_in_any_order(make):
    generator = make(initial_sample_size=30)
    generator.ingest(evaluated(generator.suggest()))
    waiting = generator.suggest()
    for _ in range(400):
        generator.ingest(evaluated([waiting.pop()]))
        waiting += generator.suggest()
    H, persis_info, _ = generator.finalize()
    assert H["sim_ended"].sum() == 430 and len(persis_info["run_order"]) > 3


def test_asking_for_all_twice_with_nothing_in_between_ends_it(make):
    generator = make(initial_sample_size=10)
    generator.ingest(evaluated(generator.suggest()))
    generator.suggest()
    with pytest.raises(RuntimeError, match="must be ingested"):
        generator.suggest()
    assert generator.export()[2] == FINISHED_PERSISTENT_GEN_TAG
    with pytest.raises(RuntimeError, match="has ended"):
        generator.suggest()


def test_asking_for_some_more_with_nothing_in_between_does_not(make):
    generator = make(initial_sample_size=10)
    generator.ingest(evaluated(generator.suggest()))
    batch = generator.suggest()
    with pytest.raises(RuntimeError, match="must be ingested"):
        generator.suggest(4)
    generator.ingest(evaluated(batch))
    assert generator.suggest(4)


def test_ingesting_nothing_is_allowed(make):
    generator = make(initial_sample_size=5)
    generator.ingest([])
    assert len(generator.suggest()) == 5


@pytest.mark.parametrize("number", [5, -3, 1000])
def test_an_id_that_was_never_given_is_refused(make, number):
    generator = make(initial_sample_size=5)
    [*_, point] = evaluated(generator.suggest())
    with pytest.raises(ValueError, match=str(number)):
        generator.ingest([{**point, "_id": number}])


def test_points_of_ones_own_come_too_late_after_the_first_suggest(make):
    generator = make(initial_sample_size=5)
    generator.suggest()
    with pytest.raises(ValueError, match="_id"):
        generator.ingest(at(MINIMA))


# ---- its end


def test_finalize_may_be_called_again_and_leaves_no_thread(make):
    before = threading.active_count()
    generator = make(initial_sample_size=30)
    generator.ingest(evaluated(generator.suggest()))
    generator.ingest(evaluated(generator.suggest(3)))
    assert generator.finalize() is generator.finalize()
    assert threading.active_count() == before


def test_a_generator_that_nobody_asked_cannot_be_finalized(make):
    with pytest.raises(RuntimeError, match="never started"):
        make().finalize()
    generator = make()
    generator.setup()
    with pytest.raises(RuntimeError, match="set up already"):
        generator.setup()


def test_an_object_that_nobody_finalizes_leaves_no_thread():
    before = threading.active_count()
    generator = APOSMM(make_vocs(), 6, 20, localopt_method="LN_BOBYQA", variables_mapping=MAPPING)
    generator.ingest(evaluated(generator.suggest()))
    generator.suggest()
    assert threading.active_count() > before
    del generator
    gc.collect()
    deadline = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.005)
    assert threading.active_count() == before


def test_an_error_of_a_run_reaches_the_caller(make):
    generator = make(initial_sample_size=30, xtol_abs=None, ftol_abs=None)
    with pytest.raises(Exception, match="NLopt roundoff-limited") as caught:
        work(generator, 5000)
    assert "Traceback" in str(caught.value)


def test_it_ends_by_itself_after_so_many_minima(make):
    generator = make(stop_after_k_minima=3, sample_points=np.round(MINIMA, 1))
    with pytest.raises(RuntimeError, match="has ended"):
        work(generator, 5000)
    assert generator.export()[0]["local_min"].sum() >= 3


# ---- what it is made of


def test_specs_are_derived(make):
    generator = make(components=3, run_max_eval=40)
    assert [field[0] for field in generator.gen_specs["out"]] == ["x", "x_on_cube", "sim_id", "local_min", "local_pt"]
    assert generator.gen_specs["persis_in"] == ["sim_id", "x", "x_on_cube", "f", "sim_ended", "fvec"]
    user = generator.gen_specs["user"]
    assert user["lb"].tolist() == [-3, -2] and user["ub"].tolist() == [3, 2]
    assert user["rk_const"] == pytest.approx(1.26156626 / 2)  # of two variables, not of four
    assert (user["mu"], user["nu"], user["dist_to_bound_multiple"], user["run_max_eval"]) == (1e-8, 1e-8, 0.5, 40)
    assert make(rk_const=0.3).gen_specs["user"]["rk_const"] == 0.3
    assert APOSMM.returns_id


def test_names_may_be_left_to_be_derived(make):
    generator = make(variables_mapping={"x_on_cube": ["a_on_cube", "b_on_cube"]})
    assert generator.variables_mapping["x"] == ["a", "b"] and generator.variables_mapping["f"] == ["energy"]


@pytest.mark.parametrize(
    "mapping", [{}, {"x": ["a", "b"]}, {"x": ["a", "b"], "x_on_cube": ["a_on_cube"]}, {"x": [], "x_on_cube": []}]
)
def test_a_mapping_that_does_not_pair_is_refused(make, mapping):
    with pytest.raises(ValueError, match="x_on_cube"):
        make(variables_mapping=mapping)


def test_an_objective_to_be_maximized_is_refused(make):
    with pytest.raises(ValueError, match="APOSMM minimizes"):
        make(make_vocs(objectives={"energy": "MAXIMIZE"}))


@pytest.mark.parametrize("kind, value", [("constraints", {"c": ["LESS_THAN", 1.0]}), ("constants", {"c": 1.0})])
def test_constraints_and_constants_are_ignored_with_a_warning(make, kind, value):
    with pytest.warns(UserWarning, match=f"ignores the {kind}"):
        make(make_vocs(**{kind: value}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make()
