"""Programs that are built on the package go on working: each test is a run the way that such a program makes it."""

import functools
import glob
import multiprocessing
import os

import numpy as np
import numpy.testing as npt
import pytest
from gest_api.vocs import VOCS

import libensemble
from libensemble import Ensemble
from libensemble.alloc_funcs.give_sim_work_first import give_sim_work_first
from libensemble.alloc_funcs.start_only_persistent import only_persistent_gens
from libensemble.executors.executor import Executor
from libensemble.history import History
from libensemble.libE import libE
from libensemble.specs import AllocSpecs, ExitCriteria, GenSpecs, LibeSpecs, SimSpecs
from libensemble.tools import add_unique_random_streams
from libensemble.utils.current import current
from tests.fakes import client_functions as client
from tests.fakes import user_functions
from tests.fakes.ensembles import run

# ---- explorations: a generator object in `user`, driven by a function on the manager


TRIAL_OUT = [("x0", float), ("num_procs", int), ("num_gpus", int), ("trial_index", int), ("task", str, 4)]


def explore(comms, trials, directory, *, exit_criteria=None, persis_info=None, user=None, nworkers=3, H0=None, **more):
    """Run an exploration, the way a program on top of this package does, with nothing but dicts."""
    return libE(
        {"sim_f": client.evaluate_trial, "in": ["x0", "trial_index", "task"],
         "out": [("f", float), ("trial_status", str, 10)], "user": {}},
        {"gen_f": client.drive_trials, "in": ["sim_id"], "persis_in": ["sim_id", "trial_index", "f", "trial_status"],
         "out": TRIAL_OUT, "user": {"generator": trials, **(user or {})}},
        {} if exit_criteria is None else exit_criteria,
        add_unique_random_streams({}, nworkers + 2) if persis_info is None else persis_info,
        {"alloc_f": only_persistent_gens, "out": [("given_back", bool)], "user": {"async_return": True}},
        {"gen_on_manager": True, "save_every_k_sims": 4, "dedicated_mode": False, "comms": comms, "nworkers": nworkers,
         "ensemble_dir_path": "evaluations", "use_workflow_dir": True, "workflow_dir_path": directory,
         "final_gen_send": True, "save_H_on_completion": True, "save_H_with_date": False, "sim_dirs_make": True,
         "H_file_prefix": "exploration_history", **more},
        H0=H0,
    )  # fmt: skip


def no_history():
    """Return a history without rows, as explorations begin with."""
    sim_specs = {"out": [("f", float), ("trial_status", str, 10)]}
    gen_specs = {"out": TRIAL_OUT}
    return History({}, sim_specs, gen_specs, exit_criteria={"sim_max": 0}, H0=[])


def newest_history(directory):
    return max(glob.glob(os.path.join(directory, "exploration_history*.npy")), key=os.path.getmtime)


def test_an_exploration(comms, tmp_path):
    trials = client.Trials(total=11, batch=4)
    H0 = no_history().H
    assert len(H0) == 0
    H, persis_info, flag = explore(comms, trials, "exploration", exit_criteria={"sim_max": 11}, H0=H0)
    assert flag == 0 and len(H) == 11 and H["sim_ended"].all() and H["gen_informed"].all()
    assert trials.made == 11 and trials.done == {i: (2.0 * i, "COMPLETED") for i in range(11)}  # the caller's object
    assert not H["given_back"].any() and (H["trial_status"] == "COMPLETED").all() and (H["task"] == "low").all()
    assert (H["gen_worker"] == 0).all() and os.getcwd() == str(tmp_path)
    folder = tmp_path / "exploration"
    assert {"evaluations", "ensemble.log", "libE_stats.txt"} <= set(os.listdir(folder))
    assert os.listdir(tmp_path) == ["exploration"]
    assert sorted(os.listdir(folder / "evaluations")) == [f"sim{i:04}" for i in range(11)]
    assert (folder / "evaluations" / "sim0007" / "trial.txt").read_text() == "7"
    saved = np.load(newest_history(folder))
    assert saved.dtype == H.dtype and len(saved) == 11 and saved["gen_informed"].all()


def test_without_an_exit_criterion_the_generator_ends_the_exploration(comms):
    trials = client.Trials(total=9, batch=4)
    with pytest.warns(UserWarning, match="No exit criterion"):
        H, _, flag = explore(comms, trials, "exploration")
    assert flag == 0 and len(H) == 9 and len(trials.done) == 9


def test_an_exploration_goes_on_where_it_ended(comms, tmp_path):
    trials = client.Trials(total=30, batch=4)
    persis_info = add_unique_random_streams({}, 5)
    H0 = no_history().H
    for stage in (1, 2, 3):
        H, persis_info, flag = explore(
            comms,
            trials,
            "exploration",
            exit_criteria={"sim_max": 6},
            H0=H0,
            persis_info=persis_info,
            reuse_output_dir=stage > 1,
        )
        H0 = H[H["sim_ended"]]
        trials.made = len(H0)  # what was not evaluated is made again
        assert flag == 0 and len(H0) == 6 * stage
        assert np.array_equal(np.load(newest_history(tmp_path / "exploration"))["x0"], H["x0"])
    assert trials.started_with == [[], list(range(6)), list(range(12))]
    assert H0["trial_index"].tolist() == list(range(18)) == sorted(trials.done)


def test_evaluations_of_others_are_put_into_the_history_by_hand(comms):
    history = no_history()
    history.grow_H(5)
    for name, value in {"x0": np.arange(5.0), "f": np.arange(0.0, 10, 2), "trial_index": np.arange(5)}.items():
        history.H[name][-5:] = value
    history.H["sim_id"][-5:] = np.arange(5)
    history.H["trial_status"][-5:] = "EXTERNAL"
    for name in ("sim_started", "sim_ended", "gen_informed"):
        history.H[name][-5:] = True
    history.H = history.H[history.H["sim_ended"]]
    assert len(history.H) == 5
    trials = client.Trials(total=10, batch=4)
    trials.made = 5
    H, _, flag = explore(comms, trials, "exploration", exit_criteria={"sim_max": 5}, H0=history.H)
    assert flag == 0 and len(H) == 10 and (H["f"] == 2 * H["x0"]).all()
    assert (H["trial_status"][:5] == "EXTERNAL").all() and trials.started_with == [[0, 1, 2, 3, 4]]


def test_an_exploration_whose_generator_holds_gpus(comms):
    trials = client.Trials(total=8, batch=4, num_procs=2)
    persis_info = {**add_unique_random_streams({}, 5), "gen_resources": 1, "gen_use_gpus": True}
    H, _, flag = explore(
        comms, trials, "exploration", exit_criteria={"sim_max": 8}, persis_info=persis_info, user={"use_cuda": True},
        num_resource_sets=4, resource_info={"cores_on_node": (16, 16), "gpus_on_node": 4},
    )  # fmt: skip
    assert flag == 0 and len(trials.done) == 8
    assert trials.slots == 1 and trials.gpus in {"0", "1", "2", "3"}


# ---- policies, fields and objects of users


def test_an_allocation_function_that_speaks_in_integers_of_numpy(comms):
    persis_info = {np.int64(worker): {"mine": worker} for worker in range(4)}
    H, persis_info, flag = run(
        comms,
        3,
        gen_f=user_functions.persistent_two_batches,
        gen={"persis_in": ["x", "f"]},
        alloc={"alloc_f": client.numpy_alloc, "user": {}},
        persis_info=persis_info,
        sim_max=100,
    )
    assert flag == 0 and len(H) == 8 and H["sim_ended"].all()
    assert all(persis_info[worker]["mine"] == worker for worker in range(4))
    assert all(persis_info[np.int64(worker)]["seen"] for worker in (1, 2, 3))


def test_an_order_without_a_team_of_its_own_gets_what_its_rows_ask_for(comms):
    out = [("x", float), ("resource_sets", int)]
    H, _, flag = run(
        comms,
        3,
        gen_f=user_functions.persistent_two_batches,
        gen={"out": out, "persis_in": ["x", "f"]},
        alloc={"alloc_f": client.numpy_alloc},
        sim_max=100,
        resource_info={"cores_on_node": (8, 8), "gpus_on_node": 0},
    )
    assert flag == 0 and len(H) == 8 and H["sim_ended"].all()


def test_objects_and_texts_in_vectors(comms):
    H, _, flag = run(
        comms,
        3,
        gen_f=client.choose_parameters,
        gen={"in": [], "persis_in": ["parameters", "flags", "f"],
             "out": [("parameters", object, (8,)), ("flags", "<U24", (2,))]},
        sim_f=client.use_parameters,
        sim={"in": ["parameters", "flags"], "out": [("f", float), ("kept", object)]},
        alloc={"alloc_f": only_persistent_gens},
        sim_max=9,
        save_H_on_completion=True,
    )  # fmt: skip
    done = H[H["sim_ended"]]
    assert flag == 0 and done["f"][:9].tolist() == [0, 1, 2] * 3
    assert done["kept"][1] == {"compiler": "gcc", "flags": ["-O1", "-g"]}
    assert H.dtype["parameters"].shape == (8,) and done["parameters"][2][5] == {"deep": [2]}
    saved = np.load("libE_history_after_sim_9.npy", allow_pickle=True)
    assert saved["parameters"][2].tolist() == H["parameters"][2].tolist()


def test_classes_data_and_functions_in_user(comms):
    data = np.arange(1000.0)
    user = {"model": client.Model, "data": data, "rule": client.rule}
    H, _, flag = run(comms, sim_f=client.use_user_objects, sim={"user": user})
    assert flag == 0 and (H["f"] == -data.sum() * H["x"]).all()


@pytest.mark.parametrize("keeps", [True, False])
def test_a_generator_that_sends_now_and_receives_later_and_returns_nothing(comms, keeps):
    H, persis_info, flag = run(
        comms,
        gen_f=client.send_first_receive_later,
        gen={"in": [], "persis_in": ["x", "f"], "user": {"total": 12}},
        alloc={"alloc_f": only_persistent_gens},
        persis_info={1: {"mine": 1}},
        sim_max=100,
        use_persis_return_gen=keeps,
    )
    assert flag == 0 and len(H) == 12 and H["sim_ended"].all() and H["x"].tolist() == list(range(12))
    assert persis_info[1] == {"mine": 1}


def test_text_fields_of_a_starting_history(comms):
    H0 = np.zeros(3, dtype=[("label", "<U40"), ("trial_status", str, 10), ("f", float)])
    H0["label"], H0["trial_status"] = ["one", "two", "three"], "OLD"
    fields = {"out": [("x", float), ("label", str, 40)]}
    H, _, flag = run(
        comms,
        gen=fields,
        sim_f=client.words,
        sim={"in": ["label"], "out": [("f", float), ("trial_status", str, 10)]},
        H0=H0,
        sim_max=4,
    )
    assert flag == 0 and H["label"][:3].tolist() == ["one", "two", "three"]
    assert H["trial_status"].tolist()[:7] == ["OLD"] * 3 + ["COMPLETED"] * 4


def test_both_spellings_may_be_mixed(comms):
    H, _, flag = libE(
        SimSpecs(sim_f=user_functions.double, inputs=["x"], out=[("f", float)]),
        GenSpecs(gen_f=user_functions.count_up, **{"in": ["sim_id"]}, outputs=[("x", float)]),
        ExitCriteria(sim_max=8),
        {},
        AllocSpecs(alloc_f=give_sim_work_first, out=[("given_back", bool)]),
        {"comms": comms, "nworkers": 2},
    )
    assert flag == 0 and (H["f"] == 2 * H["x"]).all() and "given_back" in H.dtype.names


def test_options_of_a_script_itself(monkeypatch, comms):
    monkeypatch.setattr("sys.argv", ["script.py", "--comms", comms, "--nworkers", "3", "--budget", "8"])
    nworkers, is_manager, libE_specs, extra = libensemble.tools.parse_args()
    assert (nworkers, is_manager, extra) == (3, True, ["--budget", "8"])
    libE_specs["H_file_prefix"] = "mine"
    H, _, flag = libE(
        {"sim_f": user_functions.double, "in": ["x"], "out": [("f", float)]},
        {"gen_f": user_functions.count_up, "in": ["sim_id"], "out": [("x", float)]},
        {"sim_max": int(extra[1])},
        {},
        libE_specs=libE_specs,
    )
    assert flag == 0 and H["sim_ended"].sum() == 8
    ensemble = Ensemble(parse_args=True)
    assert ensemble.extra_args == ["--budget", "8"] and ensemble.nworkers == 3


def test_a_removed_option_in_a_dict_still_does_its_work(comms):
    with pytest.warns(DeprecationWarning, match="final_gen_send"):
        H, persis_info, flag = run(comms, gen_f=user_functions.persistent_count_up, final_fields=["x", "f"], sim_max=8)
    assert flag == 0 and H["gen_informed"][H["sim_ended"]].all()
    assert sorted(persis_info[1]["told"]) == [2.0 * x for x in range(8)]


# ---- callables of all kinds


@pytest.mark.parametrize("kind", ["object", "method", "partial", "lambda"])
def test_a_simulator_may_be_any_callable(comms, kind):
    sim = client.CallableSim(3)
    functions = {
        "object": sim,
        "method": sim.method,
        "partial": functools.partial(client.CallableSim.method, sim),
        "lambda": lambda H, persis_info, sim_specs: sim.method(H, persis_info, sim_specs),
    }
    H, _, flag = run(comms, sim_f=functions[kind])
    assert flag == 0 and (H["f"] % 100 == 3 * H["x"]).all()
    assert (H["f"] // 100 == (H["sim_worker"] if kind == "object" else 0)).all()


def test_an_allocation_function_may_be_a_partial_or_an_object(comms):
    class Policy:
        def __call__(self, *arguments):
            return give_sim_work_first(*arguments)

    for alloc_f in (functools.partial(give_sim_work_first), Policy()):
        H, _, flag = run(comms, alloc={"alloc_f": alloc_f})
        assert flag == 0 and H["sim_ended"].all()


def test_an_executor_of_the_user(comms, tmp_path):
    (tmp_path / "greet.py").write_text("import sys; print(2 * float(sys.argv[1]))")
    before = current.executor
    executor = client.NamedExecutor("mine")
    executor.register_app(full_path=str(tmp_path / "greet.py"), app_name="greet")
    try:
        H, _, flag = run(
            comms,
            sim_f=client.greet,
            sim={"out": [("f", float), ("name", str, 8), ("worker", int)]},
            sim_dirs_make=True,
            sim_max=4,
        )
    finally:
        current.executor = before
    done = H[H["sim_ended"]]
    assert flag == 0 and (done["f"] == 2 * done["x"]).all() and (done["name"] == "mine").all()
    assert (done["worker"] == done["sim_worker"]).all() and isinstance(executor, Executor)


def test_everything_is_reached_through_a_plain_import():
    assert callable(libensemble.tools.parse_args) and callable(libensemble.libE.libE)
    assert callable(libensemble.tools.save_libE_output)
    assert libensemble.message_numbers.WORKER_DONE == 35 and libensemble.alloc_funcs and libensemble.executors
    for name in ("comms", "generators", "history", "logger", "manager", "resources", "specs", "utils", "worker"):
        assert getattr(libensemble, name).__name__ == f"libensemble.{name}"


# ---- generator objects that are models


@pytest.mark.parametrize("form", ["objects", "dicts"])
def test_a_generator_that_is_a_pydantic_model_stays_itself(comms, form):
    vocs = VOCS(variables={"x": [0, 100], "y": [0, 100]}, objectives={"f": "MINIMIZE"})
    generator = client.ModelGenerator(vocs=vocs)
    gen_specs = {"generator": generator, "vocs": vocs, "batch_size": 4}
    sim_specs = {"simulator": user_functions.double_of_dict, "vocs": vocs}
    if form == "objects":
        gen_specs, sim_specs = GenSpecs(**gen_specs), SimSpecs(**sim_specs)
        assert gen_specs.generator is generator
    options = {"comms": comms, "nworkers": 2, "gen_on_manager": True}
    H, _, flag = libE(sim_specs, gen_specs, {"sim_max": 8}, libE_specs=LibeSpecs(**options))
    assert flag == 0 and generator.asked >= 8
    assert [one["f"] for one in generator.data] == [2 * one["x"] for one in generator.data] and len(generator.data) == 8
    npt.assert_array_equal(H["x"][:8], [one["x"] for one in generator.data])


@pytest.mark.slow
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_generators_and_objects_reach_workers_that_do_not_fork(method):
    before = multiprocessing.get_start_method(allow_none=True)
    multiprocessing.set_start_method(method, force=True)
    try:
        vocs = VOCS(variables={"x": [0, 100]}, objectives={"f": "MINIMIZE"})
        H, _, flag = libE(
            {"simulator": user_functions.double_of_dict, "vocs": vocs},
            {"generator": client.ModelGenerator(vocs=vocs), "vocs": vocs, "batch_size": 3},
            {"sim_max": 6},
            libE_specs={"comms": "local", "nworkers": 2},
        )
        assert flag == 0 and (H["f"][:6] == 2 * H["x"][:6]).all()
        user = {"model": client.Model, "data": np.ones(3), "rule": client.rule}
        H, _, flag = run("local", sim_f=client.use_user_objects, sim={"user": user})
        assert flag == 0 and (H["f"] == -3 * H["x"]).all()
    finally:
        multiprocessing.set_start_method(before, force=True)
