"""The bundled sampling generators and plain test problems in whole runs, with the outcomes that are known of them."""

import numpy as np
import numpy.testing as npt
import pytest

from libensemble import Ensemble
from libensemble.alloc_funcs.give_pregenerated_work import give_pregenerated_sim_work
from libensemble.alloc_funcs.give_sim_work_first import give_sim_work_first
from libensemble.alloc_funcs.start_only_persistent import only_persistent_gens
from libensemble.gen_funcs import persistent_sampling as persistent
from libensemble.gen_funcs import persistent_sampling_var_resources as resources
from libensemble.gen_funcs import sampling
from libensemble.libE import libE
from libensemble.sim_funcs import chwirut1, noisy_vector_mapping, periodic_func, rosenbrock, surmise_test_function
from libensemble.sim_funcs.borehole import borehole, borehole_func, gen_borehole_input
from libensemble.sim_funcs.branin.branin import branin
from libensemble.sim_funcs.branin.branin_obj import call_branin
from libensemble.sim_funcs.comms_testing import float_x1000
from libensemble.sim_funcs.inverse_bayes import likelihood_calculator
from libensemble.sim_funcs.mock_sim import mock_sim
from libensemble.sim_funcs.simple_sim import norm_eval
from libensemble.sim_funcs.six_hump_camel import (
    persistent_six_hump_camel,
    six_hump_camel,
    six_hump_camel_func,
    six_hump_camel_grad,
    six_hump_camel_simple,
)
from libensemble.specs import AllocSpecs, ExitCriteria, GenSpecs, LibeSpecs, SimSpecs
from libensemble.tests.regression_tests.support import six_hump_camel_minima
from libensemble.tools import add_unique_random_streams
from tests.fakes.sampling_work import SHARE, camel, camel_and_share

LB, UB = np.array([-3.0, -2.0]), np.array([3.0, 2.0])
BOX = {"lb": LB, "ub": UB}
X = ("x", float, (2,))


def sampled(comms, gen_f, nworkers=4, *, sim_max=None, gen=None, user=None, alloc=None, sim=None, **stated):
    """Run a sampling generator with the six-hump camel; persistent if it is of a module of such."""
    is_persistent = gen_f.__module__ != sampling.__name__
    seed = stated.pop("seed", "")
    criteria = stated.pop("exit_criteria", {"sim_max": sim_max})
    return libE(
        {"sim_f": six_hump_camel, "in": ["x"], "out": [("f", float)], **(sim or {})},
        {
            "gen_f": gen_f,
            "out": [X],
            "persis_in": ["f", "x", "sim_id"] if is_persistent else [],
            "user": {**BOX, "initial_batch_size": 20, "gen_batch_size": 20, **(user or {})},
            **(gen or {}),
        },
        criteria,
        stated.pop("persis_info", None) or add_unique_random_streams({}, nworkers + 1, seed),
        {"alloc_f": only_persistent_gens if is_persistent else give_sim_work_first, **(alloc or {})},
        {"comms": comms, "nworkers": nworkers, **stated},
    )


def batches(H):
    """Return the rows of each batch, told apart by when they came."""
    return [np.flatnonzero(H["gen_ended_time"] == time) for time in np.unique(H["gen_ended_time"])]


# ---- without feedback


def test_latin_hypercubes_as_a_script_states_them(comms):
    ensemble = Ensemble(
        libE_specs=LibeSpecs(comms=comms, nworkers=4),
        sim_specs=SimSpecs(sim_f=norm_eval),  # in and out come from the function
        gen_specs=GenSpecs(
            gen_f=sampling.latin_hypercube_sample,
            outputs=[("x", float, (1,))],
            user={"gen_batch_size": 100, "lb": np.array([-3]), "ub": np.array([3])},
        ),
        exit_criteria=ExitCriteria(sim_max=500),
    )
    ensemble.add_random_streams()
    H, _, flag = ensemble.run()
    done = H[H["sim_ended"]]
    assert flag == 0 and len(done) >= 500 and (done["f"] == np.abs(done["x"][:, 0])).all()
    assert len(H) % 100 == 0
    for rows in batches(H):
        assert len(rows) == 100
        assert np.unique(np.floor((H["x"][rows, 0] + 3) / 6 * 100)).tolist() == list(range(100))  # one in each cell


def test_functions_bring_their_fields_along(comms):
    H, _, flag = libE(
        SimSpecs(sim_f=six_hump_camel),
        GenSpecs(gen_f=sampling.uniform_random_sample, user={"gen_batch_size": 6, **BOX}),
        {"sim_max": 12},
        add_unique_random_streams({}, 3),
        libE_specs={"comms": comms, "nworkers": 2},
    )
    assert flag == 0 and H.dtype["x"].shape == (2,) and H.dtype["f"].kind == "f"


def test_draws_follow_from_the_seed(comms):
    H, _, _ = sampled(comms, sampling.uniform_random_sample, 1, sim_max=60)
    stream = np.random.default_rng(1)
    expected = np.concatenate([stream.uniform(LB, UB, (20, 2)) for _ in range(3)])
    npt.assert_array_equal(H["x"][:60], expected)
    H, _, _ = sampled(comms, sampling.uniform_random_sample, 1, sim_max=20, seed=8)
    npt.assert_array_equal(H["x"][:20], np.random.default_rng(8).uniform(LB, UB, (20, 2)))


def test_many_points_come_near_every_minimum(comms):
    H, _, flag = sampled(
        comms, sampling.uniform_random_sample, user={"gen_batch_size": 500}, exit_criteria={"gen_max": 501}
    )
    assert flag == 0 and len(H) >= 1000
    done = H[H["sim_ended"]]
    for minimum in six_hump_camel_minima:
        assert np.min(np.sum((done["x"] - minimum) ** 2, axis=1)) < 0.1


def test_every_tenth_point_may_be_cancelled(comms):
    out = [X, ("cancel_requested", bool)]
    H, _, flag = sampled(comms, sampling.uniform_random_sample_cancel, gen={"out": out}, sim_max=50)
    assert flag == 0 and (H["cancel_requested"] == (np.arange(len(H)) % 10 == 0)).all()
    assert not H["sim_started"][H["cancel_requested"]].any() and H["sim_ended"].sum() >= 50


RESOURCES = {"resource_info": {"cores_on_node": (16, 16), "gpus_on_node": 4}}
NOTING = {"sim_f": camel_and_share, "out": SHARE}


def test_points_ask_for_resource_sets(comms):
    H, _, flag = sampled(
        comms,
        sampling.uniform_random_sample_with_variable_resources,
        sim=NOTING,
        gen={"out": [X, ("resource_sets", int)]},
        user={"max_resource_sets": 4},
        sim_max=40,
        **RESOURCES,
    )
    done = H[H["sim_ended"]]
    assert flag == 0 and (done["n_sets"] == done["resource_sets"]).all() and set(H["resource_sets"]) == {1, 2, 3, 4}


def test_points_ask_for_resource_sets_and_priority(comms):
    H, _, flag = sampled(
        comms,
        sampling.uniform_random_sample_with_var_priorities_and_resources,
        sim=NOTING,
        gen={"in": ["sim_id"], "out": [X, ("resource_sets", int), ("priority", float)]},
        user={"max_resource_sets": 4, "initial_batch_size": 10},
        sim_max=40,
        **RESOURCES,
    )
    done = H[H["sim_ended"]]
    assert flag == 0 and (done["n_sets"] == done["resource_sets"]).all()
    first = batches(H)[0]
    assert len(first) == 10 and (H["priority"][first] == 1).all() and (H["resource_sets"][first] == 1).all()
    single = [rows for rows in batches(H) if len(rows) == 1]
    assert single and all(H["priority"][rows] == 10 * H["resource_sets"][rows] for rows in single)


# ---- persistent


@pytest.mark.parametrize("options", [{}, {"gen_on_manager": True}, {"gen_workers": [2]}])
@pytest.mark.parametrize("gen_f", [persistent.persistent_uniform, persistent.batched_history_matching])
def test_batches_of_twenty(comms, gen_f, options):
    H, _, flag = sampled(comms, gen_f, user={"num_best_vals": 5}, exit_criteria={"gen_max": 200}, **options)
    assert flag == 0 and len(batches(H)) == 10 and len(H) == 200
    gen_worker = 0 if "gen_on_manager" in options else options.get("gen_workers", [1])[0]
    assert set(H["gen_worker"]) == {gen_worker}
    if gen_f is persistent.persistent_uniform:
        stream = np.random.default_rng(gen_worker)
        npt.assert_array_equal(H["x"], np.concatenate([stream.uniform(LB, UB, (20, 2)) for _ in range(10)]))
    else:
        best = np.sort(H["f"][:20])[:5]
        rows = np.isin(H["f"][:20], best)
        stream = np.random.default_rng(gen_worker)
        stream.multivariate_normal(np.zeros(2), np.eye(2), 20)
        mean, covariance = H["x"][:20][rows].mean(axis=0), np.cov(H["x"][:20][rows], rowvar=False)
        npt.assert_allclose(H["x"][20:40], stream.multivariate_normal(mean, covariance, 20))


def test_asynchronous_batches_shrink_to_what_has_come_back(comms):
    sim = {"user": {"pause_time": 0.002}}
    H, _, flag = sampled(
        comms, persistent.persistent_uniform, sim=sim, alloc={"user": {"async_return": True}}, sim_max=60
    )
    sizes = [len(rows) for rows in batches(H)]
    assert flag == 0 and sizes[0] == 20 and max(sizes[1:]) < 20


def test_components_may_be_drawn(comms):
    H, _, flag = sampled(
        comms,
        persistent.persistent_uniform,
        gen={"out": [X, ("obj_component", int)]},
        user={"num_components": 3},
        sim_max=40,
    )
    stream = np.random.default_rng(1)
    for rows in (slice(0, 20), slice(20, 40)):
        npt.assert_array_equal(H["x"][rows], stream.uniform(LB, UB, (20, 2)))
        npt.assert_array_equal(H["obj_component"][rows], stream.integers(low=0, high=3, size=20))
    assert flag == 0


@pytest.mark.parametrize("gens", [1, 2])
def test_a_generator_decides_to_stop(comms, gens, capfd):
    H, _, flag = sampled(
        comms,
        persistent.persistent_request_shutdown,
        user={"shutdown_limit": 60},
        alloc={"user": {"num_active_gens": gens}},
        exit_criteria={"wallclock_max": 60},
    )
    assert flag == 0
    told = [np.count_nonzero(H["gen_informed"] & (H["gen_worker"] == gen)) for gen in set(H["gen_worker"])]
    assert max(told) >= 60 and len(H) <= gens * 80
    assert "60" in capfd.readouterr().out


def test_mean_values_at_the_corners(comms):
    H, _, flag = sampled(
        comms,
        persistent.persistent_uniform_final_update,
        sim={"sim_f": camel},
        gen={
            "out": [("sim_id", int), ("corner_id", int), ("x", float, (3,))],
            "persis_in": ["f", "x", "corner_id", "sim_id"],
        },
        user={"lb": np.array([-3, -2, -1]), "ub": np.array([3, 2, 1])},
        sim_max=120,
        use_persis_return_gen=True,
        final_gen_send=True,
    )
    assert flag == 0 and H["gen_informed"][:120].all() and (H["f_est"][:120] != 0).all()
    assert H["sim_id"].tolist() == list(range(len(H)))
    for corner in np.unique(H["corner_id"]):
        own = H[H["corner_id"] == corner]
        npt.assert_allclose(own["f_est"], own["f"][own["sim_ended"]].mean())
        assert (own["x"][:, 0] == (-3 if corner & 1 else 3)).all()


@pytest.mark.parametrize("alloc", [{}, {"active_recv_gen": True}, {"async_return": True, "active_recv_gen": True}])
def test_a_generator_that_never_waits(comms, alloc):
    H, persis_info, flag = sampled(
        comms, persistent.uniform_nonblocking, alloc={"user": alloc}, sim={"user": {"pause_time": 1e-4}}, sim_max=100
    )
    assert flag == 0 and H["sim_ended"].sum() >= 100
    assert persis_info[1]["spin_count"] >= 0 and "rand_stream" in persis_info[1]


def test_points_are_cancelled_as_results_come(comms):
    H, _, flag = sampled(
        comms,
        persistent.persistent_uniform_with_cancellations,
        user={"initial_batch_size": 100},
        alloc={"user": {"async_return": True}},
        sim={"user": {"pause_time": 1e-3}},
        sim_max=120,
    )
    assert flag == 0 and not H["cancel_requested"][:49].any() and H["cancel_requested"][50:100].all()
    told = H["gen_informed"].sum()
    assert H["cancel_requested"].sum() >= told - 4  # one for each result; the last ones may be under way
    assert H["cancel_requested"][50 : 50 + H["cancel_requested"].sum()].all()
    assert not (H["cancel_requested"] & ~H["sim_started"] & H["sim_ended"]).any()


@pytest.mark.parametrize(
    ("gen_f", "fields", "user"),
    [
        (resources.uniform_sample, ["resource_sets"], {"max_resource_sets": 3}),
        (resources.uniform_sample_with_var_gpus, ["num_gpus"], {"max_gpus": 4}),
        (resources.uniform_sample_with_procs_gpus, ["num_procs", "num_gpus"], {"max_procs": 4}),
        (resources.uniform_sample_with_var_priorities, ["resource_sets", "priority"], {"max_resource_sets": 3}),
        (resources.uniform_sample_diff_simulations, ["num_procs", "num_gpus", "app_type"], {"max_procs": 4}),
    ],
)
def test_persistent_samples_get_the_resources_that_they_ask_for(comms, gen_f, fields, user):
    kinds = {"priority": float, "app_type": "U10"}
    H, _, flag = sampled(
        comms,
        gen_f,
        5,
        sim=NOTING,
        gen={"out": [X, *[(name, kinds.get(name, int)) for name in fields]]},
        user={"initial_batch_size": 8, **user},
        sim_max=24,
        num_resource_sets=4,
        **RESOURCES,
    )
    done = H[H["sim_ended"]]
    assert flag == 0 and len(done) >= 24
    if "resource_sets" in fields:
        assert (done["n_sets"] == done["resource_sets"]).all() and set(done["resource_sets"]) <= {1, 2, 3}
    if "num_gpus" in fields:
        assert (done["gpus"] == done["num_gpus"]).all() and (done["n_sets"] >= done["num_gpus"]).all()
        assert done["num_gpus"].max() <= 4 and done["num_gpus"].any()
    if "num_procs" in fields:
        assert (done["procs"] == done["num_procs"]).all() and done["num_procs"].min() >= 1
    if "app_type" in fields:
        assert (done["app_type"] == np.where(done["num_gpus"] > 0, "gpu_app", "cpu_app")).all()
        assert set(done["num_gpus"] == 0) == {True, False}
    if "priority" in fields:
        assert (H["priority"][:8] == 1).all() and (H["priority"][8:] == 10 * H["resource_sets"][8:]).all()


# ---- test problems


def evaluated(comms, sim_f, inputs, out, *, user=None, persis_info=None, **libE_specs):
    """Evaluate a starting history; `inputs` are its columns."""
    length = len(next(iter(inputs.values())))
    fields = [(name, np.asarray(column).dtype, np.shape(column)[1:]) for name, column in inputs.items()]
    H0 = np.zeros(length, dtype=[*fields, ("sim_id", int), ("sim_started", bool)])
    H0["sim_id"] = np.arange(length)
    for name, column in inputs.items():
        H0[name] = column
    H, _, flag = libE(
        {"sim_f": sim_f, "in": list(inputs), "out": out, "user": user or {}},
        None,
        {"sim_max": length},
        persis_info or {},
        {"alloc_f": give_pregenerated_sim_work},
        {"comms": comms, "nworkers": 2, **libE_specs},
        H0=H0,
    )
    assert flag == 0 and len(H) == length and H["sim_ended"].all()
    return H


PLACES = np.random.default_rng(5).uniform(-1, 1, (6, 2))


def test_camels(comms):
    values = [six_hump_camel_func(x) for x in PLACES]
    H = evaluated(comms, six_hump_camel, {"x": PLACES}, [("f", float), ("grad", float, (2,))])
    npt.assert_allclose(H["f"], values)
    npt.assert_allclose(H["grad"], [six_hump_camel_grad(x) for x in PLACES])
    H = evaluated(comms, six_hump_camel_simple, {"x": PLACES}, [("f", float)])
    npt.assert_allclose(H["f"], values)
    H = evaluated(comms, six_hump_camel_simple, {"x": PLACES}, [("f", float)], user={"rand": 1})
    assert (H["f"] != values).all()
    H = evaluated(comms, likelihood_calculator, {"x": PLACES}, [("like", float)])
    npt.assert_allclose(H["like"], values)


def test_other_functions_of_the_plane(comms):
    H = evaluated(comms, call_branin, {"x": PLACES}, [("f", float)], user={"uniform_random_pause_ub": 1e-4})
    npt.assert_allclose(H["f"], [branin(*x) for x in PLACES])
    H = evaluated(comms, norm_eval, {"x": PLACES}, [("f", float)])
    npt.assert_allclose(H["f"], np.hypot(*PLACES.T))
    H = evaluated(comms, periodic_func.func_wrapper, {"x": PLACES}, [("f", float)])
    npt.assert_allclose(H["f"], np.sin(PLACES[:, 0]) * np.cos(PLACES[:, 1]))
    components = np.arange(6) % 3
    H = evaluated(comms, noisy_vector_mapping.func_wrapper, {"x": PLACES, "f_ind": components}, [("f_val", float)])
    npt.assert_allclose(H["f_val"], [noisy_vector_mapping.noisy_function(x)[k] for x, k in zip(PLACES, components)])


def test_rosenbrock_whole_and_in_components(comms):
    x = np.array([[1.0, 2, 3, 4], [1, 1, 1, 1]])
    H = evaluated(comms, rosenbrock.rosenbrock_eval, {"x": x}, [("f", float), ("grad", float, (4,))])
    npt.assert_allclose(H["f"], [2604, 0])
    inputs = {"x": x, "obj_component": np.array([1, 1])}
    out = [("f_i", float), ("gradf_i", float, (4,))]
    H = evaluated(comms, rosenbrock.rosenbrock_eval, inputs, out)
    npt.assert_allclose(H["f_i"], [2504, 0])
    npt.assert_allclose(H["gradf_i"][0, :2], 0)


def test_chwirut_whole_and_in_components(comms):
    places = np.array([[1.0, 1, 1], [0.19027818, 0.00613140, 0.01053091]])
    out = [("f", float), ("fvec", float, (214,))]
    H = evaluated(comms, chwirut1.chwirut_eval, {"x": places}, out)
    npt.assert_allclose(H["f"], [312851.2256, 2384.477139], rtol=1e-6)
    npt.assert_allclose(np.sum(H["fvec"] ** 2, axis=1), H["f"])
    combine = {"combine_component_func": np.max}
    H = evaluated(comms, chwirut1.chwirut_eval, {"x": places}, out, user=combine)
    npt.assert_allclose(H["f"], H["fvec"].max(axis=1))
    inputs = {"x": places[[1, 1]], "obj_component": np.array([0, 213])}
    H = evaluated(comms, chwirut1.chwirut_eval, inputs, [("f_i", float)], user={"component_nan_frequency": 0})
    npt.assert_allclose(H["f_i"], chwirut1.EvaluateFunction(places[1])[[0, 213]])


def test_boreholes(comms):
    x = gen_borehole_input(1000)
    H = evaluated(comms, borehole, {"x": x}, [("f", float)])
    npt.assert_allclose(H["f"], borehole_func(x))
    inputs = {"x": np.array([[0.5, 0.5, 1.0]] * 3), "thetas": np.array([[0.1, 0.2, 0.3, 0.4]] * 3)}
    H = evaluated(comms, surmise_test_function.borehole, inputs, [("f", float)], user={"num_obs": 10})
    npt.assert_allclose(H["f"], 50.41972176)


def test_large_outputs_arrive_unharmed(comms):
    x = np.arange(8.0).reshape(4, 2)
    H = evaluated(comms, float_x1000, {"x": x}, [("arr_vals", float, (20000,)), ("scal_val", float)])
    assert (H["arr_vals"] == 1000 * x[:, :1]).all()
    npt.assert_array_equal(H["scal_val"], x[:, 1] + x[:, 1] / 1e7)


def test_a_history_is_replayed(comms, tmp_path):
    first, persis_info, _ = sampled(comms, sampling.uniform_random_sample, 2, sim_max=40)
    np.save(tmp_path / "saved.npy", first)
    again, _, flag = sampled(
        comms,
        sampling.uniform_random_sample,
        2,
        sim={"sim_f": mock_sim, "user": {"history_file": str(tmp_path / "saved.npy")}},
        sim_max=40,
    )
    assert flag == 0
    npt.assert_array_equal(again["f"][:40], first["f"][:40])


@pytest.mark.parametrize("nworkers", [2, 4])
def test_persistent_simulators(comms, nworkers):
    H, _, flag = sampled(
        comms,
        persistent.persistent_uniform,
        nworkers,
        sim={"sim_f": persistent_six_hump_camel, "user": {"replace_final_fields": True}},
        user={"initial_batch_size": 5},
        alloc={"user": {"alt_type": True}},
        sim_max=40,
        use_persis_return_sim=True,
    )
    done = H[H["sim_ended"]]
    replaced = np.isclose(done["f"], 3.23333333)
    assert flag == 0 and len(done) == 40 and 1 <= replaced.sum() <= nworkers - 1
    npt.assert_allclose(done["f"][~replaced], six_hump_camel_func(done["x"][~replaced].T))
    assert nworkers > 2 or replaced[-1]
    last_of_each = {np.flatnonzero(done["sim_worker"] == worker)[-1] for worker in set(done["sim_worker"])}
    assert set(np.flatnonzero(replaced)) <= last_of_each


def test_a_persistent_sample_with_objects_as_specs(comms):
    ensemble = Ensemble(
        libE_specs=LibeSpecs(comms=comms, nworkers=3),
        sim_specs=SimSpecs(sim_f=six_hump_camel),
        gen_specs=GenSpecs(gen_f=persistent.persistent_uniform, user={"initial_batch_size": 6, **BOX}),
        alloc_specs=AllocSpecs(alloc_f=only_persistent_gens),
        exit_criteria=ExitCriteria(sim_max=24),
    )
    ensemble.add_random_streams(seed=3)
    H, _, flag = ensemble.run()
    assert flag == 0 and ensemble.gen_specs.persis_in == ["sim_id"]
    npt.assert_array_equal(H["x"][:6], np.random.default_rng(3).uniform(LB, UB, (6, 2)))
