"""Functions of the library in whole runs, with the outcomes that are known of them."""

import math

import numpy as np
import pytest

from libensemble.alloc_funcs.inverse_bayes_allocf import only_persistent_gens_for_inverse_bayes
from libensemble.alloc_funcs.start_fd_persistent import finite_diff_alloc
from libensemble.alloc_funcs.start_only_persistent import only_persistent_gens
from libensemble.alloc_funcs.start_persistent_local_opt_gens import start_persistent_local_opt_gens
from libensemble.executors.executor import Executor
from libensemble.executors.mpi_executor import MPIExecutor
from libensemble.gen_funcs.persistent_fd_param_finder import fd_param_finder
from libensemble.gen_funcs.persistent_inverse_bayes import persistent_updater_after_likelihood
from libensemble.gen_funcs.persistent_sampling import persistent_uniform
from libensemble.gen_funcs.persistent_sampling_var_resources import uniform_sample_with_procs_gpus
from libensemble.gen_funcs.sampling import uniform_random_sample
from libensemble.gen_funcs.uniform_or_localopt import uniform_or_localopt
from libensemble.libE import libE
from libensemble.message_numbers import (
    TASK_FAILED,
    WORKER_DONE,
    WORKER_KILL_ON_ERR,
    WORKER_KILL_ON_TIMEOUT,
)
from libensemble.sim_funcs import borehole_kills, helloworld, six_hump_camel
from libensemble.sim_funcs.executor_hworld import executor_hworld
from libensemble.sim_funcs.inverse_bayes import likelihood_calculator
from libensemble.sim_funcs.noisy_vector_mapping import func_wrapper, noisy_function
from libensemble.sim_funcs.run_line_check import runline_check
from libensemble.sim_funcs.var_resources import gpu_variable_resources_from_gen, multi_points_with_variable_resources
from libensemble.tests.regression_tests.support import six_hump_camel_minima, uniform_or_localopt_gen_out
from libensemble.tools import add_unique_random_streams
from libensemble.utils.current import current
from tests.fakes.calibration_functions import cancels_the_slow

pytestmark = pytest.mark.slow  # many real runs

BOX = {"lb": np.array([-3.0, -2.0]), "ub": np.array([3.0, 2.0])}
X = ("x", float, (2,))


@pytest.fixture(autouse=True)
def nobody_bound():
    yield
    current.executor = current.resources = None


def ensemble(comms, sim_specs, gen_specs, alloc_f, exit_criteria, nworkers=4, alloc=None, **libE_specs):
    """Run, and return (H, persis_info of the generator's worker, flag)."""
    alloc_specs = {} if alloc_f is None else {"alloc_f": alloc_f, "user": alloc or {}}
    libE_specs = {"comms": comms, "nworkers": nworkers, "disable_log_files": True, **libE_specs}
    persis_info = add_unique_random_streams({}, nworkers + 1)
    H, persis_info, flag = libE(sim_specs, gen_specs, exit_criteria, persis_info, alloc_specs, libE_specs)
    return H, persis_info, flag


# ---- persistent generators with allocation functions of their own


@pytest.mark.parametrize("on_manager", [False, True])
def test_noise_is_found_before_the_budget_is_spent(comms, on_manager):
    n, p, nf, x0 = 2, 3, 10, np.array([1.23, 4.56])
    steps = np.tile(np.logspace(-16, -1, p), (n, 1))
    user = {"x0": x0, "f0": noisy_function(x0), "n": n, "p": p, "nf": nf, "noise_h_mat": steps, "maxnoiseits": 3}
    gen_specs = {
        "gen_f": fd_param_finder,
        "persis_in": ["x", "f_val", "n_ind", "f_ind", "x_ind", "sim_id"],
        "out": [X, ("n_ind", int), ("f_ind", int), ("x_ind", int)],
        "user": user,
    }
    sim_specs = {"sim_f": func_wrapper, "in": ["x", "f_ind"], "out": [("f_val", float)]}
    H, persis_info, flag = ensemble(
        comms, sim_specs, gen_specs, finite_diff_alloc, {"gen_max": 1000}, gen_on_manager=on_manager
    )
    own = persis_info[0 if on_manager else 1]
    assert flag == 0 and len(H) == 100 and H["sim_ended"].all() and H["gen_informed"].all()
    assert own["Fnoise"].shape == (n, p) and (own["Fnoise"] > 0).all() and (own["noise_inform"] == 1).all()


def test_noise_is_found_in_more_than_two_variables(comms):
    n, p, nf, x0 = 3, 2, 6, np.array([1.23, 4.56, 7.89])
    steps = np.full((n, p), 1e-8)
    user = {"x0": x0, "f0": noisy_function(x0)[:p], "n": n, "p": p, "nf": nf, "noise_h_mat": steps, "maxnoiseits": 2}
    gen_specs = {
        "gen_f": fd_param_finder,
        "persis_in": ["f_val", "n_ind", "f_ind", "x_ind"],
        "out": [("x", float, (n,)), ("n_ind", int), ("f_ind", int), ("x_ind", int)],
        "user": user,
    }
    sim_specs = {"sim_f": func_wrapper, "in": ["x", "f_ind"], "out": [("f_val", float)]}
    H, persis_info, _ = ensemble(comms, sim_specs, gen_specs, finite_diff_alloc, {"gen_max": 1000})
    asked = {(int(i), int(j)) for i, j in zip(H["x_ind"], H["f_ind"], strict=True)}
    assert asked == {(i, j) for i in range(n) for j in range(p)}
    assert H["sim_ended"].all() and persis_info[1]["noise_inform"].all()


def test_weights_of_a_batch_follow_from_its_likelihoods(comms):
    gen_specs = {
        "gen_f": persistent_updater_after_likelihood,
        "persis_in": ["like"],
        "out": [X, ("batch", int), ("subbatch", int), ("prior", float), ("prop", float), ("weight", float)],
        "user": {**BOX, "subbatch_size": 3, "num_subbatches": 2, "num_batches": 10},
    }
    sim_specs = {"sim_f": likelihood_calculator, "in": ["x"], "out": [("like", float)]}
    H, _, flag = ensemble(comms, sim_specs, gen_specs, only_persistent_gens_for_inverse_bayes, {"sim_max": 60})
    assert flag == 0 and len(H) == 60 and H["sim_ended"].all()
    assert H["batch"].tolist() == np.repeat(np.arange(10), 6).tolist()
    assert H["subbatch"].tolist() == [0, 0, 0, 1, 1, 1] * 10
    known = H["batch"] < 8  # those of the last two come with batches that are not handed back any more
    np.testing.assert_allclose(H["weight"][known], (H["prior"] + H["like"] - H["prop"])[known])
    for subbatch in H.reshape(20, 3):
        assert len(set(subbatch["sim_worker"])) == 1  # evaluated whole


@pytest.mark.parametrize("method", ["LD_MMA", "LN_BOBYQA"])
def test_local_runs_find_every_minimum(comms, method):
    pytest.importorskip("nlopt", reason="local runs need nlopt")
    n = 2
    grad = [("grad", float, (n,))] if method == "LD_MMA" else []
    gen_specs = {
        "gen_f": uniform_or_localopt,
        "persis_in": ["x", "f", "sim_id", *(name for name, *_ in grad)],
        "out": [X, ("x_on_cube", float, (n,)), *uniform_or_localopt_gen_out],
        "user": {
            **BOX,
            "gen_batch_size": 2,
            "localopt_method": method,
            "xtol_rel": 1e-4,
            "rk_const": 0.5 * ((math.gamma(1 + n / 2) * 5) ** (1 / n)) / math.sqrt(math.pi),
        },
    }
    sim_specs = {"sim_f": six_hump_camel.six_hump_camel, "in": ["x"], "out": [("f", float), *grad]}
    alloc = {"batch_mode": True, "num_active_gens": 1}
    H, persis_info, flag = ensemble(
        comms, sim_specs, gen_specs, start_persistent_local_opt_gens, {"sim_max": 1000}, alloc=alloc
    )
    assert flag == 0 and H["sim_ended"].sum() == 1000
    optima = H["x"][H["local_min"]]
    for minimum in six_hump_camel_minima:
        assert np.min(np.sum((optima - minimum) ** 2, axis=1)) < 0.1
    assert not any("done" in own for own in persis_info.values() if isinstance(own, dict))


# ---- simulators that launch applications


def sampling(batch=8):
    return {"gen_f": uniform_random_sample, "out": [X], "user": {**BOX, "gen_batch_size": batch}}


@pytest.mark.slow
def test_each_worker_goes_through_the_ways_an_application_can_end(comms):
    Executor().register_app(helloworld.__file__, app_name="hello", calc_type="sim")
    sim_specs = {"sim_f": executor_hworld, "user": {"cores": 1}}  # fields: those the function declares
    H, _, flag = ensemble(comms, sim_specs, sampling(), None, {"sim_max": 8}, nworkers=2, sim_dirs_make=True)
    expected = [WORKER_DONE, WORKER_KILL_ON_ERR, WORKER_DONE, WORKER_KILL_ON_TIMEOUT, TASK_FAILED]
    assert flag == 0 and H["sim_ended"].all()
    for worker in (1, 2):
        own = np.sort(H[H["sim_worker"] == worker], order="sim_started_time")["cstat"].tolist()
        assert len(own) >= 2 and own[:5] == expected[: len(own)] and set(own[5:]) <= {WORKER_DONE}


def test_an_application_prints_the_value_of_its_point(comms):
    Executor().register_app(six_hump_camel.__file__, app_name="six_hump_camel")
    options = {"app": "six_hump_camel"}
    sim_specs = {"sim_f": multi_points_with_variable_resources, "in": ["x"], "out": [("f", float)], "user": options}
    H, _, _ = ensemble(comms, sim_specs, sampling(4), None, {"sim_max": 4}, nworkers=2, sim_dirs_make=True)
    np.testing.assert_allclose(H["f"], six_hump_camel.six_hump_camel_func(H["x"].T))


def test_run_lines_are_checked_on_each_worker(comms, tmp_path):
    (tmp_path / "node_list").write_text("".join(f"node-{k}\n" for k in range(1, 5)))
    MPIExecutor({"mpi_runner": "mpich"}).register_app("/a/fake.x", calc_type="sim")
    user = {
        "tests": [{"testid": "one"}, {"testid": "two", "nprocs": 4}],
        "expect": [
            "mpirun -hosts node-1,node-2 -np 32 --ppn 16 /a/fake.x --testid one",
            "mpirun -hosts node-1 -np 4 --ppn 4 /a/fake.x --testid two",
        ],
        "nodes_per_worker": 2,
        "persis_gens": 1,
    }
    sim_specs = {"sim_f": runline_check, "in": ["x"], "out": [("f", float)], "user": user}
    gen_specs = {**sampling(), "gen_f": persistent_uniform, "persis_in": ["sim_id"]}
    gen_specs["user"] = {**BOX, "initial_batch_size": 4}
    H, _, flag = ensemble(
        comms,
        sim_specs,
        gen_specs,
        only_persistent_gens,
        {"sim_max": 8},
        nworkers=3,
        zero_resource_workers=[1],
        resource_info={"cores_on_node": (16, 32), "gpus_on_node": 0},
        dedicated_mode=True,
    )
    assert flag == 0 and set(H["sim_worker"]) == {2, 3}
    np.testing.assert_allclose(H["f"], np.linalg.norm(H["x"], axis=1))


def test_points_get_the_processes_and_gpus_that_they_ask_for(comms, tmp_path):
    MPIExecutor({"mpi_runner": "mpich"}).register_app(six_hump_camel.__file__, app_name="six_hump_camel")
    sim_specs = {"sim_f": gpu_variable_resources_from_gen, "user": {"dry_run": True}}
    gen_specs = {
        "gen_f": uniform_sample_with_procs_gpus,
        "persis_in": ["f", "x", "sim_id"],
        "out": [X, ("num_procs", int), ("num_gpus", int)],
        "user": {**BOX, "initial_batch_size": 4, "max_procs": 4},
    }
    H, _, flag = ensemble(
        comms,
        sim_specs,
        gen_specs,
        only_persistent_gens,
        {"sim_max": 12},
        gen_on_manager=True,
        resource_info={"cores_on_node": (16, 32), "gpus_on_node": 8},
    )
    assert flag == 0 and H["sim_ended"].sum() == 12
    np.testing.assert_allclose(H["f"][:12], six_hump_camel.six_hump_camel_func(H["x"][:12].T))


@pytest.mark.parametrize("polls", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_cancelled_runs_are_killed_where_they_listen(comms, polls):
    executor = Executor()
    executor.register_app(borehole_kills.__file__, app_name="borehole")
    user = {"init_sample_size": 0, "num_obs": 100, "poll_manager": polls}
    out = [("f", float), ("sim_killed", bool)]
    sim_specs = {"sim_f": borehole_kills.borehole, "in": ["x", "thetas"], "out": out, "user": user}
    gen_specs = {"gen_f": cancels_the_slow, "persis_in": ["f"], "out": [("x", float, (3,)), ("thetas", float, (4,))]}
    H, _, flag = ensemble(
        comms,
        sim_specs,
        gen_specs,
        only_persistent_gens,
        {"sim_max": 10},  # never reached: the generator ends the run
        nworkers=3,
        alloc={"async_return": True},
        gen_on_manager=True,
        kill_canceled_sims=True,
        sim_dirs_make=True,
    )
    assert flag == 0 and H["cancel_requested"].tolist() == [False, True, True]
    assert np.isfinite(H["f"][0]) and not H["sim_killed"][0]
    assert np.isinf(H["f"][1:]).tolist() == H["sim_killed"][1:].tolist() == [polls] * 2
