"""User functions that show what they were given, or that speak to the manager in every way the conversation knows.

They are importable, so that spawned workers find them. Which of several things one does is said in ``user["do"]``.
"""

import functools
import os
import threading

import numpy as np

from libensemble.executors import Executor
from libensemble.message_numbers import EVAL_GEN_TAG, EVAL_SIM_TAG, WORKER_DONE

# ---- arguments


def outputs(H, specs, **values):
    """Return one output per row of H, with these values."""
    H_o = np.zeros(max(len(H), 1), dtype=specs["out"])
    for name, value in values.items():
        H_o[name] = value
    return H_o


F = [("f", float)]


def takes_none():
    """A simulator that wants to know nothing."""


def takes_one(H):
    return outputs(H, {"out": F}, f=1)


def takes_two(H, persis_info):
    assert isinstance(persis_info, dict)
    return outputs(H, {"out": F}, f=2)


def takes_three(H, persis_info, sim_specs):
    return outputs(H, sim_specs, f=3)


def takes_four(H, persis_info, sim_specs, libE_info):
    assert libE_info["workerID"] > 0
    return outputs(H, sim_specs, f=4)


def takes_any(*args):
    return outputs(args[0], args[2], f=len(args))


def takes_one_and_more(H, *rest):
    return outputs(H, rest[1], f=1 + len(rest))


def takes_keywords_too(H, persis_info, sim_specs, *, factor=3, **options):
    return outputs(H, sim_specs, f=factor)


def with_a_bound_argument(factor, H, persis_info, sim_specs):
    return outputs(H, sim_specs, f=factor)


class Callable:
    """A simulator that is an object."""

    def __init__(self, value):
        self.value = value

    def __call__(self, H, persis_info, sim_specs):
        return outputs(H, sim_specs, f=self.value)

    def method(self, H, persis_info, sim_specs):
        return outputs(H, sim_specs, f=self.value)

    @staticmethod
    def static(H, persis_info, sim_specs, libE_info):
        return outputs(H, sim_specs, f=4)

    @classmethod
    def of_class(cls, H, persis_info, sim_specs):
        return outputs(H, sim_specs, f=3)


def takes_five(H, persis_info, sim_specs, libE_info, more):
    return outputs(H, sim_specs)


# name -> (function, the f that it returns)
SIMULATORS = {
    "none": (takes_none, 0),
    "one": (takes_one, 1),
    "two": (takes_two, 2),
    "three": (takes_three, 3),
    "four": (takes_four, 4),
    "*args": (takes_any, 4),
    "one, *args": (takes_one_and_more, 4),
    "keywords": (takes_keywords_too, 3),
    "partial": (functools.partial(with_a_bound_argument, 5), 5),
    "partial by keyword": (functools.partial(takes_keywords_too, factor=9), 9),
    "object": (Callable(6), 6),
    "method": (Callable(7).method, 7),
    "static method": (Callable.static, 4),
    "class method": (Callable.of_class, 3),
}


# ---- returns


def returns(H, persis_info, sim_specs, libE_info):
    """Return in the form that ``user["do"]`` names; f is the row number + 1."""
    out = outputs(H, sim_specs, f=libE_info["H_rows"] + 1)
    return _forms(out)[sim_specs["user"]["do"]]()


def _forms(out):
    return {
        "nothing": lambda: None,
        "array": lambda: out,
        "array, int": lambda: (out, WORKER_DONE),
        "array, numpy int": lambda: (out, np.int64(WORKER_DONE)),
        "array, str": lambda: (out, "Very well"),
        "array, dict": lambda: (out, {"mark": 1}),
        "array, dict, int": lambda: (out, {"mark": 1}, WORKER_DONE),
        "array, dict, str": lambda: (out, {"mark": 1}, "Very well"),
        "array, None": lambda: (out, None),
        "array, None, int": lambda: (out, None, WORKER_DONE),
        "array, [], int": lambda: (out, [], WORKER_DONE),
        "array, {}, int": lambda: (out, {}, WORKER_DONE),
        "list: array, dict, int": lambda: [out, {"mark": 1}, WORKER_DONE],
        "list: array, int": lambda: [out, WORKER_DONE],
        "tuple of one": lambda: (out,),
        "None, dict, int": lambda: (None, {"mark": 1}, WORKER_DONE),
        "one entry": lambda: out[0],
        "more entries": lambda: np.concatenate((out, out)),
        "four items": lambda: (out, {}, WORKER_DONE, "more"),
        "dict": lambda: {"f": 1.0},
        "dict, dict": lambda: ({"f": 1.0}, {}),
        "plain array": lambda: np.ones(len(out)),
        "number": lambda: 3.0,
        "too few": lambda: out[:0],
        "list of numbers": lambda: [1.0],
        "array, array": lambda: (out, np.ones(2)),
        "array, list": lambda: (out, [1, 2]),
        "array, dict, list": lambda: (out, {}, [WORKER_DONE]),
    }


def grows(H, persis_info, sim_specs):
    """Count this worker's calls in its persis_info, under a key per call, and give back only the newest key."""
    calls = persis_info.get("calls", 0) + 1
    return outputs(H, sim_specs), {"calls": calls, f"call {calls}": True}


# ---- what arrives


SEEN = [
    ("f", float),
    ("worker", int),
    ("rows_kind", "U2"),
    ("rows", int),
    ("fields", "U40"),
    ("keys", "U400"),
    ("comm_workers", int),
    ("has_executor", bool),
    ("same_executor", bool),
    ("team", "U20"),
    ("extra", "U20"),
    ("persis_type", "U10"),
    ("thread", "U40"),
]


def seen(H, persis_info, specs, libE_info):
    """Return what the function was given."""
    executor = libE_info["executor"]
    return outputs(
        H,
        specs,
        worker=libE_info["workerID"],
        rows_kind=libE_info["H_rows"].dtype.kind,
        rows=len(libE_info["H_rows"]),
        fields=",".join(H.dtype.names),
        keys=",".join(sorted(libE_info)),
        comm_workers=libE_info["comm"].get_num_workers(),
        has_executor=executor is not None,
        same_executor=executor is Executor.executor,
        team=str(libE_info["rset_team"]),
        extra=str(libE_info.get("extra")),
        persis_type=type(persis_info).__name__,
        thread=threading.current_thread().name,
    )


def gen_shows(H, persis_info, gen_specs, libE_info):
    """Return one point that says how many rows, of which fields, this call was given."""
    H_o = outputs(H[:0], gen_specs, n_rows=len(H), row_kind=libE_info["H_rows"].dtype.kind)
    H_o["fields"] = ",".join(H.dtype.names or ())
    H_o["gen_count"] = libE_info["gen_count"]
    H_o["batch_size"] = libE_info["batch_size"]
    H_o["sum"] = H["f"].sum() if "f" in (H.dtype.names or ()) else -1
    return H_o


GEN_SHOWS = [
    ("n_rows", int),
    ("row_kind", "U2"),
    ("fields", "U20"),
    ("gen_count", int),
    ("batch_size", int),
    ("sum", float),
]


def gen_returns(H, persis_info, gen_specs):
    """Propose two points once, then return what ``user["do"]`` names."""
    if not persis_info.get("called"):
        H_o = np.zeros(2, dtype=gen_specs["out"])
        return H_o, {"called": True}
    return {
        "nothing": lambda: None,
        "empty array": lambda: np.zeros(0, dtype=gen_specs["out"]),
        "empty list": lambda: [],
        "empty list, dict": lambda: ([], {}),
    }[gen_specs["user"]["do"]]()


# ---- allocation


def order(tag, rows, fields, persis_info=None, **info):
    """Return a work order as an allocation function makes it by hand."""
    libE_info = {"H_rows": np.atleast_1d(np.array(rows, dtype=int)), **info}
    return {"H_fields": fields, "persis_info": persis_info, "tag": tag, "libE_info": libE_info}


def idle(W):
    """Return the idle workers."""
    return [int(wid) for wid in W["worker_id"] if W[wid]["active"] == 0]


def all_rows_at_once(W, H, sim_specs, gen_specs, alloc_specs, persis_info, libE_info):
    """Call the generator once; then give all its rows to one worker, with ``user`` in the order's libE_info."""
    user = alloc_specs["user"]
    waiting = np.flatnonzero(~H["sim_started"])
    workers = idle(W)
    Work = {}
    if len(waiting):
        if workers:
            wid = workers[-1]
            given = user.get("persis_info", persis_info.get(wid))
            Work[wid] = order(EVAL_SIM_TAG, waiting, sim_specs["in"], given, **user.get("info", {}))
    elif not len(H) and len(workers) == len(W):
        Work[workers[0]] = order(EVAL_GEN_TAG, [], gen_specs["in"], persis_info.get(workers[0]))
    elif libE_info["sim_ended_count"] == len(H) and len(H):
        return Work, persis_info, 1
    return Work, persis_info


# ---- failing


class OwnError(Exception):
    """An error with arguments of its own kind, which must not be lost on its way."""

    def __init__(self, code, detail):
        super().__init__(f"code {code}: {detail}")


def inner_cause(what):
    """Raise what is asked for, a few calls deep, so that the traceback has something to show."""
    if what == "own error":
        raise OwnError(7, "the deep reason")
    if what == "exit":
        raise SystemExit(3)
    if what == "exit with text":
        raise SystemExit("had enough")
    if what == "interrupt":
        raise KeyboardInterrupt
    if what == "chained":
        try:
            raise ValueError("the first reason")
        except ValueError as error:
            raise OwnError(8, "the second reason") from error
    if what == "assertion":
        raise AssertionError
    raise ValueError(what)


def fails(H, persis_info, specs, libE_info):
    """Raise ``user["do"]`` at row ``user["at"]``; return f = 1 for the others."""
    if specs["user"].get("at", 0) in libE_info["H_rows"]:
        inner_cause(specs["user"]["do"])
    return outputs(H, specs, f=1)


def generator_fails(H, persis_info, gen_specs):
    """Raise ``user["do"]``."""
    inner_cause(gen_specs["user"]["do"])


def fails_at_first(H, persis_info, sim_specs, libE_info):
    """Spoil the input and raise in the first ``user["times"]`` calls for each row; return f = x."""
    row, tries = int(libE_info["H_rows"][0]), persis_info.setdefault("tries", {})
    tries[row] = tries.get(row, 0) + 1
    x = H["x"].copy()
    H["x"] = -1
    if tries[row] <= sim_specs["user"]["times"]:
        raise ValueError(f"try {tries[row]} of row {row}")
    return outputs(H, sim_specs, f=x, tries=tries[row]), persis_info


MANY_KINDS = [
    ("f", float),
    ("g", "f4", (2,)),
    ("z", complex),
    ("n", int),
    ("name", "U5"),
    ("ok", bool),
    ("thing", object),
]


# ---- the environment


def sets_the_environment(H, persis_info, sim_specs, libE_info):
    """Set a variable, and return what an application sees of it."""
    os.environ["LIBE_TEST_ROW"] = str(libE_info["H_rows"][0])
    task = Executor.executor.submit(app_name="env", wait_on_start=True)
    task.wait()
    seen = [line for line in task.read_stdout().splitlines() if line.startswith("LIBE_TEST_ROW=")]
    return outputs(H, sim_specs, f=float(seen[0].split("=")[1]))


def shows_the_platform(H, persis_info, sim_specs):
    """Return which MPI runner the platform is said to have."""
    H_o = np.zeros(len(H), dtype=sim_specs["out"])
    H_o["runner"] = Executor.executor.platform_info.get("mpi_runner", "")
    return H_o
