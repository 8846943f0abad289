"""Generator objects and simulators of points as dicts, importable so that spawned workers find them.

Each generator writes down what happens to it; a test that reads these notes runs it on the manager.
"""

import numpy as np
from gest_api.vocs import VOCS

from libensemble.generators import LibensembleGenerator, PersistentGenInterfacer
from libensemble.message_numbers import EVAL_GEN_TAG, FINISHED_PERSISTENT_GEN_TAG, PERSIS_STOP, STOP_TAG
from libensemble.tools.persistent_support import PersistentSupport

LINE = VOCS(variables={"a": [0, 1e6], "b": [0, 1]}, objectives={"f": "MINIMIZE"})
WITH_CONSTANTS = VOCS(
    variables={"a": [0, 1e6], "b": [0, 1]},
    objectives={"f": "MINIMIZE"},
    constants={"k": 2.5, "label": "fine", "count": 3},
    constraints={"c": ["GREATER_THAN", 0.5]},
    observables={"o"},
)


class Counting:
    """Suggests ``a = 0, 1, ...`` and ``b = 0.5``. It knows nothing of any base class."""

    def __init__(self):
        self.asked, self.told, self.count, self.ended = [], [], 0, 0

    def suggest(self, num_points):
        self.asked.append(num_points)
        points = [{"a": float(self.count + i), "b": 0.5} for i in range(num_points)]
        self.count += num_points
        return points

    def ingest(self, results):
        self.told.append(results)

    def finalize(self):
        self.ended += 1

    @property
    def results(self):
        """All results that were ingested."""
        return [one for results in self.told for one in results]


class OnlySuggest:
    """Has one method, no VOCS, and suggests a vector."""

    def suggest(self, num_points):
        return [{"x": np.random.default_rng(i).uniform(size=2)} for i in range(num_points)]


class NoSize(Counting):
    """Declares the number of points as optional, as the standard has it."""

    def suggest(self, num_points=None):
        return super().suggest(2 if num_points is None else num_points)


class Finite(Counting):
    """Ends after a number of points: then it suggests fewer than it was asked for, and at last none."""

    def __init__(self, total):
        super().__init__()
        self.total = total

    def suggest(self, num_points):
        return super().suggest(max(0, min(num_points, self.total - self.count)))


class Grid:
    """A full grid, last variable fastest."""

    def __init__(self, vocs, n_steps):
        domains = [variable.domain for variable in vocs.variables.values()]
        axes = [np.linspace(*domain, steps) for domain, steps in zip(domains, n_steps)]
        names = list(vocs.variables)
        self.points = [
            dict(zip(names, map(float, values)))
            for values in np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, len(names))
        ]

    def suggest(self, num_points):
        given, self.points = self.points[:num_points], self.points[num_points:]
        return given


class WithIds(Counting):
    """Gives its points ids of its own, and takes no result of a point that it does not know."""

    returns_id = True

    def suggest(self, num_points):
        return [{**point, "_id": 100 + 7 * int(point["a"])} for point in super().suggest(num_points)]

    def ingest(self, results):
        for one in results:
            if "_id" in one and one["_id"] != 100 + 7 * one["a"]:
                raise ValueError(f"no point of mine has the id {one['_id']}")
        super().ingest(results)


class OneAtATime(Counting):
    """Suggests the next point only after the result of the last, and wants back exactly what it suggested."""

    def __init__(self):
        super().__init__()
        self.open = None

    def suggest(self, num_points):
        if num_points != 1 or self.open is not None:
            raise ValueError(f"asked for {num_points} points while {self.open} is open")
        self.count += 1
        self.open = {"a": 1e6 / (3 + self.count), "b": 1 / 7}
        return [dict(self.open)]

    def ingest(self, results):
        super().ingest(results)
        [one] = results
        if {name: one[name] for name in self.open} != self.open:
            raise ValueError(f"{one} is not {self.open}")
        self.open = None


class Recycling(Counting):
    """Uses numbers that stand for a text, an int and a vector."""

    def suggest(self, num_points):
        return [
            {"task": ("slow", "swift")[i % 2], "level": (3, 5)[i % 2], "v": np.full(3, point["a"]), "a": point["a"]}
            for i, point in enumerate(super().suggest(num_points))
        ]


MIXED = VOCS(
    variables={
        "task": {"slow", "swift"},
        "level": {3, 5},
        "v": {"type": "ContinuousVariable", "domain": [0, 1e6], "dtype": (float, (3,))},
        "a": [0, 1e6],
    },
    objectives={"f": "MINIMIZE"},
    observables={"note": "U8", "g": (float, (2,))},
)


class Failing(Counting):
    """Raises in the method of this name."""

    def __init__(self, where):
        super().__init__()
        self.where = where

    def _may_fail(self, here):
        if here == self.where:
            raise RuntimeError(f"no {here} today")

    def suggest(self, num_points):
        self._may_fail("suggest")
        return super().suggest(num_points)

    def ingest(self, results):
        self._may_fail("ingest")
        super().ingest(results)

    def finalize(self):
        self._may_fail("finalize")


# ---- generators that speak arrays


class Vectors(LibensembleGenerator):
    """Suggests ``x = (0, 0.5), (1, 0.5), ...``."""

    def __init__(self, vocs, **kwargs):
        super().__init__(vocs, **kwargs)
        self.asked, self.told, self.count, self.ended = [], [], 0, 0

    def suggest_numpy(self, num_points=0):
        self.asked.append(num_points)
        points = np.zeros(num_points, dtype=[("x", float, (2,))])
        points["x"][:, 0] = np.arange(self.count, self.count + num_points)
        points["x"][:, 1] = 0.5
        self.count += num_points
        return points

    def ingest_numpy(self, results):
        self.told.append(results)

    def finalize(self):
        self.ended += 1


class Numbering(Vectors):
    """Numbers its points itself, and marks every point once it has its result."""

    def __init__(self, vocs, **kwargs):
        super().__init__(vocs, **kwargs)
        self.updates = []

    def suggest_numpy(self, num_points=0):
        first = self.count
        points = super().suggest_numpy(num_points)
        numbered = np.zeros(num_points, dtype=[*points.dtype.descr, ("sim_id", int)])
        numbered["x"] = points["x"]
        numbered["sim_id"] = np.arange(first, first + num_points)
        return numbered

    def ingest_numpy(self, results):
        super().ingest_numpy(results)
        update = np.zeros(len(results), dtype=[("sim_id", int), ("mark", float, (2,))])
        update["sim_id"] = results["sim_id"]
        update["mark"] = results["f"][:, np.newaxis]
        self.updates.append(update)

    def suggest_updates(self):
        updates, self.updates = self.updates, []
        return updates


# ---- a classic function behind the interface


def persistent_vectors(H, persis_info, gen_specs, libE_info):
    """Send ``user["batch"]`` points at a time, cancel one that is to come, and note the values that came back."""
    support = PersistentSupport(libE_info, EVAL_GEN_TAG)
    batch = gen_specs["user"]["batch"]
    persis_info["told"], persis_info["ids"], persis_info["length of H"] = [], [], len(H)
    tag, first = None, 0
    while tag not in (STOP_TAG, PERSIS_STOP) and first < gen_specs["user"].get("total", 10**6):
        points = np.zeros(batch, dtype=[("x", float, (2,)), ("sim_id", int)])
        points["x"][:, 0] = points["sim_id"] = np.arange(first, first + batch)
        points["x"][:, 1] = 0.5
        first += batch
        tag, Work, calc_in = support.send_recv(points)
        if calc_in is not None:
            persis_info["told"] += calc_in["f"].tolist()
            persis_info["ids"] += Work["libE_info"]["H_rows"].tolist()
        if gen_specs["user"].get("fails"):
            raise KeyError("lost")
    H_o = np.zeros(len(persis_info["ids"]), dtype=[("sim_id", int), ("f", float)])
    H_o["sim_id"], H_o["f"] = persis_info["ids"], persis_info["told"]
    return H_o, persis_info, FINISHED_PERSISTENT_GEN_TAG


class InBackground(PersistentGenInterfacer):
    """`persistent_vectors` in a process of its own."""

    def __init__(self, vocs, **user):
        specs = {"gen_f": persistent_vectors, "persis_in": ["sim_id", "f"], "user": {"batch": 4, **user}}
        super().__init__(vocs, gen_specs=specs)


# ---- simulators


def double_a(point):
    """Return twice a."""
    return {"f": 2 * point["a"]}


def double_a_in_rows(H, persis_info, sim_specs):
    """Return twice a; points are rows."""
    H_o = np.zeros(len(H), dtype=sim_specs["out"])
    H_o["f"] = 2 * H["a"]
    return H_o


def double_x(H, persis_info, sim_specs):
    """Return twice the first entry of x; points are rows."""
    H_o = np.zeros(len(H), dtype=sim_specs["out"])
    H_o["f"] = 2 * H["x"][:, 0]
    return H_o


def use_constants(point):
    """Return what the constants make of a, and one output that nobody has declared."""
    fits = point["label"] == "fine" and point["count"] == 3
    return {"f": point["k"] * point["a"], "c": float(fits), "o": len(point), "undeclared": 1}


def scaled(point, scale, libE_info=None):
    """Return a times an option of `user`, and the worker's number."""
    return {"f": scale * point["a"], "o": libE_info["workerID"], "c": len(libE_info["H_rows"])}


def only_f(point, **options):
    """Return one of several outputs."""
    return {"f": point["a"] + 100 * ("libE_info" in options)}


class ScaledObject:
    """A simulator that is an object."""

    def __init__(self, scale):
        self.scale = scale

    def __call__(self, point):
        return {"f": self.scale * point["a"]}


def wrong_inside(point):
    """Append a line to a file, and raise a TypeError."""
    with open("calls.txt", "a") as file:
        file.write("called\n")
    raise TypeError("this is no matter of arguments")


def no_dict(point):
    """Return a number."""
    return 2 * point["a"]


def describe_mixed(point):
    """Return texts and vectors."""
    assert isinstance(point["task"], str) and point["v"].shape == (3,)
    return {"f": point["v"].sum() + point["level"], "note": f"is {point['task']}", "g": point["v"][:2]}


class KeepsFrame:
    """Keeps its data as columns, as those do that build a data frame: all dicts of one call must have equal keys."""

    def __init__(self, vocs):
        self.variables = list(vocs.variables)
        self.frame = None
        self.stream = np.random.default_rng(0)

    def suggest(self, num_points):
        assert self.frame is not None, "ingest something first"
        return [{name: self.stream.uniform() for name in self.variables} for _ in range(num_points)]

    def ingest(self, results):
        names = list(self.frame or results[0])
        for one in results:
            if set(one) != set(names):
                raise ValueError(f"a column is missing: {one} against {names}")
        columns = {name: [one[name] for one in results] for name in names}
        self.frame = {name: (self.frame or {}).get(name, []) + column for name, column in columns.items()}


def copy_point(point):
    """Return what came in under other names."""
    return {"y1": point["x2"], "c1": point["x1"]}


def copy_rows(H, persis_info, sim_specs):
    """Return what came in under other names; points are rows."""
    H_o = np.zeros(len(H), dtype=sim_specs["out"])
    H_o["y1"], H_o["c1"] = H["x2"], H["x1"]
    return H_o


class Altered(Counting):
    """Suggests points that `change` has gone over."""

    def __init__(self, change):
        super().__init__()
        self.change = change

    def suggest(self, num_points):
        return self.change(super().suggest(num_points))


def without_b(points):
    """Leave a variable out."""
    return [{"a": point["a"]} for point in points]


def with_c(points):
    """Add what nobody has declared."""
    return [{**point, "c": 1.0} for point in points]


def with_lists(points):
    """Give a list for a number."""
    return [{**point, "b": [1.0, 2.0]} for point in points]


def as_tuple(points):
    """Give a tuple of dicts."""
    return tuple(points)


def in_numpy(points):
    """Give numbers of NumPy."""
    return [{"a": np.float64(point["a"]), "b": np.float32(0.5)} for point in points]


def two_more(points):
    """Give more than was asked for."""
    return [*points, {"a": -1.0, "b": 0.5}, {"a": -2.0, "b": 0.5}]


class Other(Vectors):
    """Suggests a field that the VOCS does not know, and has no mapping that would say what it means."""

    def __init__(self, vocs):
        super().__init__(vocs)
        self.variables_mapping = {}


class Correcting(Numbering):
    """Sends changes of old points as if they were points, every other time."""

    def suggest_numpy(self, num_points=0):
        if not self.updates:
            return super().suggest_numpy(num_points)
        [update] = self.updates
        self.updates = []
        return update

    def suggest_updates(self):
        return []
