"""User functions written the way that clients of the package write theirs."""

import os
import time

import numpy as np
from pydantic import BaseModel, ConfigDict

from libensemble.executors.executor import Executor
from libensemble.message_numbers import (
    EVAL_GEN_TAG,
    FINISHED_PERSISTENT_GEN_TAG,
    PERSIS_STOP,
    STOP_TAG,
    WORKER_DONE,
)
from libensemble.resources.resources import Resources
from libensemble.tools.alloc_support import AllocSupport, InsufficientFreeResources
from libensemble.tools.persistent_support import PersistentSupport

# ---- trials of a generator that lives in `user`


class Trials:
    """Makes numbered trials; knows which of them are done, and what a run told it."""

    def __init__(self, total, batch, num_procs=1):
        self.total, self.batch, self.num_procs = total, batch, num_procs
        self.made, self.done, self.started_with = 0, {}, []
        self.slots = self.gpus = None


def drive_trials(H, persis_info, gen_specs, libE_info):
    """Send trials, those without processes filtered out, until all are made or the manager says stop."""
    trials = gen_specs["user"]["generator"]
    trials.started_with.append(H["sim_id"].tolist() if H is not None and len(H) else [])
    _look_at_resources(trials, gen_specs)
    support = PersistentSupport(libE_info, EVAL_GEN_TAG)
    size, tag = trials.batch, None
    while tag not in (STOP_TAG, PERSIS_STOP):
        if trials.made >= trials.total and len(trials.done) >= trials.made:
            break
        tag, _, calc_in = support.send_recv(_new_trials(trials, size, gen_specs["out"]))
        size = 0 if calc_in is None else len(calc_in)
        if calc_in is not None:
            for trial in calc_in:
                trials.done[int(trial["trial_index"])] = (float(trial["f"]), str(trial["trial_status"]))
    return [], {}, FINISHED_PERSISTENT_GEN_TAG


def _new_trials(trials, size, out):
    H_o = np.zeros(min(size, trials.total - trials.made) + 1, dtype=out)
    H_o["trial_index"] = trials.made + np.arange(len(H_o))
    H_o["x0"] = H_o["trial_index"]
    H_o["num_procs"], H_o["num_gpus"] = trials.num_procs, 0
    H_o["num_procs"][-1] = 0
    if "task" in H_o.dtype.names:
        H_o["task"] = "low"
    H_o = H_o[H_o["num_procs"] > 0]
    trials.made += len(H_o)
    return H_o


def _look_at_resources(trials, gen_specs):
    if gen_specs["user"].get("use_cuda"):
        share = Resources.resources.worker_resources
        trials.slots = share.slot_count
        share.set_env_to_gpus("CUDA_VISIBLE_DEVICES")
        trials.gpus = os.environ.pop("CUDA_VISIBLE_DEVICES", None)


def evaluate_trial(H, persis_info, sim_specs, libE_info):
    """Leave a file in the simulation's directory; say that the trial is completed."""
    assert Executor.executor is libE_info["executor"]
    with open("trial.txt", "w") as file:
        file.write(f"{H['trial_index'][0]}")
    H_o = np.zeros(1, dtype=sim_specs["out"])
    H_o["f"] = 2 * H["x0"]
    H_o["trial_status"] = "COMPLETED"
    return H_o, persis_info, WORKER_DONE


# ---- an allocation function of one's own


def numpy_alloc(W, H, sim_specs, gen_specs, alloc_specs, persis_info, libE_info):
    """Give points to idle workers and start one generator; every worker id is an integer of NumPy."""
    support = AllocSupport(W, libE_info["use_resource_sets"], persis_info, libE_info)
    Work = {}
    if persis_info.get("gen_started") and support.count_persis_gens() == 0:
        return Work, persis_info, 1
    for wid in np.array(support.avail_worker_ids(persistent=EVAL_GEN_TAG), dtype=np.int64):
        made = H["gen_worker"] == wid
        if support.all_sim_ended(H, made):
            rows = np.flatnonzero(made & H["sim_ended"] & ~H["gen_informed"])
            if len(rows):
                order = support.gen_work(
                    wid, gen_specs["persis_in"], rows, persis_info.get(wid), persistent=True, rset_team=None
                )
                Work[wid] = order
    waiting = ~H["sim_started"] & ~H["cancel_requested"]
    for wid in np.array(support.avail_worker_ids(persistent=False), dtype=np.int32):
        persis_info.setdefault(wid, {})["seen"] = True
        try:
            if np.any(waiting):
                row = support.points_by_priority(H, points_avail=waiting)
                Work[wid] = support.sim_work(wid, H, sim_specs["in"], row, persis_info[wid], rset_team=None)
                waiting[row] = False
            elif not persis_info.get("gen_started"):
                Work[wid] = support.gen_work(
                    wid, gen_specs["in"], range(len(H)), persis_info[wid], persistent=True, rset_team=None
                )
                persis_info["gen_started"] = True
        except InsufficientFreeResources:
            break
    return Work, persis_info


# ---- persistent generators


def send_first_receive_later(H, persis_info, gen_specs, libE_info):
    """Send points, do something else, and only then receive; return an empty list and an empty dict."""
    support = PersistentSupport(libE_info, EVAL_GEN_TAG)
    count, tag = 0, None
    while tag not in (STOP_TAG, PERSIS_STOP) and count < gen_specs["user"]["total"]:
        H_o = np.zeros(4, dtype=gen_specs["out"])
        H_o["x"] = count + np.arange(4)
        support.send(H_o)
        count += 4
        time.sleep(0.005)
        tag, _, calc_in = support.recv()
        if calc_in is not None:
            assert calc_in["f"].tolist() == (2 * calc_in["x"]).tolist()
    return [], {}, FINISHED_PERSISTENT_GEN_TAG


def choose_parameters(H, persis_info, gen_specs, libE_info):
    """Send parameters of all kinds as objects, and texts as vectors."""
    support = PersistentSupport(libE_info, EVAL_GEN_TAG)
    tag = None
    while tag not in (STOP_TAG, PERSIS_STOP):
        H_o = np.zeros(3, dtype=gen_specs["out"])
        for row in range(3):
            H_o["parameters"][row] = ["gcc", row, 2.5, None, (1, 2), {"deep": [row]}, True, b"raw"]
            H_o["flags"][row] = [f"-O{row}", "-g"]
        tag, _, calc_in = support.send_recv(H_o)
        if calc_in is not None:
            assert calc_in["parameters"][0][5] == {"deep": [0]} and calc_in["flags"][2][0] == "-O2"
    return None, persis_info, FINISHED_PERSISTENT_GEN_TAG


def use_parameters(H, persis_info, sim_specs):
    """Return the second parameter, and all of them in another order."""
    H_o = np.zeros(1, dtype=sim_specs["out"])
    [parameters] = H["parameters"]
    assert parameters.shape == (8,) and parameters[4] == (1, 2) and parameters[7] == b"raw"
    H_o["f"] = parameters[1]
    H_o["kept"][0] = {"compiler": parameters[0], "flags": H["flags"][0].tolist()}
    return H_o


# ---- what may stand in `user`


class Model:
    """A class of the user."""

    def __init__(self, data):
        self.data = data

    def value(self, x):
        return float(self.data.sum() * x)


def rule(value):
    """A function of the user."""
    return -value


def use_user_objects(H, persis_info, sim_specs):
    """Make an object of a class in `user`, of a data set in `user`, and apply a function in `user`."""
    user = sim_specs["user"]
    H_o = np.zeros(len(H), dtype=sim_specs["out"])
    H_o["f"] = [user["rule"](user["model"](user["data"]).value(x)) for x in H["x"]]
    return H_o


class CallableSim:
    """A simulator that is an object."""

    def __init__(self, factor):
        self.factor = factor

    def __call__(self, H, persis_info, sim_specs, libE_info):
        H_o = np.zeros(len(H), dtype=sim_specs["out"])
        H_o["f"] = self.factor * H["x"] + 100 * libE_info["workerID"]
        return H_o, persis_info, WORKER_DONE

    def method(self, H, persis_info, sim_specs):
        """The same as a method."""
        H_o = np.zeros(len(H), dtype=sim_specs["out"])
        H_o["f"] = self.factor * H["x"]
        return H_o


class NamedExecutor(Executor):
    """An executor of the user: it has a name, and adds to every submission."""

    def __init__(self, name):
        super().__init__()
        self.name = name

    def submit(self, *args, **kwargs):
        kwargs.setdefault("app_name", "greet")
        return super().submit(*args, **kwargs)


def greet(H, persis_info, sim_specs, libE_info):
    """Launch an application through the executor of the user."""
    executor = libE_info["executor"]
    task = executor.submit(app_args=f"{H['x'][0]:g}", stdout="out.txt")
    task.wait()
    H_o = np.zeros(1, dtype=sim_specs["out"])
    H_o["f"] = float(task.read_stdout())
    H_o["name"] = executor.name
    H_o["worker"] = executor.workerID
    return H_o, persis_info, WORKER_DONE if task.state == "FINISHED" else 0


def words(H, persis_info, sim_specs):
    """Return texts of several kinds."""
    H_o = np.zeros(len(H), dtype=sim_specs["out"])
    H_o["trial_status"] = "COMPLETED"
    H_o["f"] = [len(text) for text in H["label"]]
    return H_o


# ---- a generator object that is a pydantic model


class ModelGenerator(BaseModel):
    """Keeps its data in a field; must reach the run as it is."""

    model_config = ConfigDict(arbitrary_types_allowed=True, validate_assignment=True)
    vocs: object
    data: list[dict] | None = None
    asked: int = 0

    def suggest(self, num_points):
        self.asked += num_points
        return [{name: float(self.asked + i) for name in self.vocs.variables} for i in range(num_points)]

    def ingest(self, results):
        self.data = [*(self.data or []), *results]
