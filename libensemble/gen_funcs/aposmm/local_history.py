"""APOSMM's own history: one array whose row numbers are `sim_id`.

It owns the fields, how points are added, scaled and drawn, and what is taken from a starting history. Distances are
kept by `points.py`, runs by `runs.py`.
"""

import logging

import numpy as np

from libensemble.gen_funcs.aposmm.points import DISTANCE_FIELDS

logger = logging.getLogger(__name__)

SMALLEST_CAPACITY = 64


def fields_of(n, components=0):
    """Return the dtype of the local history, for n variables and as many components of `fvec`."""
    fields = [
        ("f", float),
        ("grad", float, n),
        ("x", float, n),
        ("x_on_cube", float, n),
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
        ("sim_id", int),
        ("paused", bool),
        ("sim_ended", bool),
    ]
    # Lengths are tuples: a field declared with the plain number 1 would be a scalar.
    fields = [(name, kind, (length[0],)) if length else (name, kind) for name, kind, *length in fields]
    return np.dtype([*fields, ("fvec", float, (components,))] if components else fields)


class LocalHistory:
    """All points that APOSMM knows.

    Parameters
    ----------
    user_specs : dict
        ``lb``, ``ub``; optionally ``components``, ``periodic``, ``sample_points``.
    H0 : structured array, optional
        Points from before, with at least `f`, `sim_id` and `sim_ended`.
    """

    def __init__(self, user_specs, H0=None):
        self.lb = np.atleast_1d(np.asarray(user_specs["lb"], dtype=float))
        self.ub = np.atleast_1d(np.asarray(user_specs["ub"], dtype=float))
        self.n = len(self.lb)
        if self.lb.shape != self.ub.shape or not np.all(self.lb < self.ub):
            raise ValueError(f"lb must be below ub in every entry; lb is {self.lb}, ub is {self.ub}")
        self.periodic = bool(user_specs.get("periodic", False))
        self._prepared = _sample_points_of(user_specs, self.n)
        self._rows = np.zeros(SMALLEST_CAPACITY, dtype=fields_of(self.n, int(user_specs.get("components") or 0)))
        self._count = 0
        if H0 is not None and len(H0):
            self._take(H0)

    @property
    def H(self):
        """The points, as a structured array (a view: what is written into it stays)."""
        return self._rows[: self._count]

    def __len__(self):
        return self._count

    def points(self, rows):
        """Return a copy of these rows."""
        return self.H[list(rows)]

    def count_open(self):
        """Return how many points have not been evaluated."""
        return int(np.count_nonzero(~self.H["sim_ended"]))

    def add(self, cube, local_pt, x=None):
        """Append points and return their rows.

        Parameters
        ----------
        cube : array of float, shape (k, n)
            On the unit cube; for a periodic domain also outside.
        local_pt : bool
            Whether they belong to a local run.
        x : array of float, shape (k, n), optional
            The same in original units, if they are known exactly.
        """
        rows = self._append(len(cube))
        new = self._rows[rows.start : rows.stop]
        new["x"] = cube * (self.ub - self.lb) + self.lb if x is None else x
        new["x_on_cube"] = cube % 1 if self.periodic else cube
        new["local_pt"] = local_pt
        new["num_active_runs"] = int(local_pt)
        return list(rows)

    def add_sample(self, count, rand_stream):
        """Append sample points, prepared ones first, then uniform ones; return their rows."""
        given, self._prepared = self._prepared[:count], self._prepared[count:]
        rows = self.add((given - self.lb) / (self.ub - self.lb), False, given)
        missing = count - len(given)
        return rows + (self.add(rand_stream.uniform(0, 1, (missing, self.n)), False) if missing else [])

    def add_evaluated(self, points):
        """Append points that somebody else chose and evaluated; return their rows."""
        rows = self._append(len(points))
        self._copy(points, self._rows[rows.start : rows.stop])
        self._rows["sim_ended"][rows.start : rows.stop] = True
        return list(rows)

    def store(self, rows, results):
        """Write results, which the simulations of these rows returned; return the rows that were still open."""
        open_rows = []
        for row, result in zip(rows, results):
            row = int(row)
            if not 0 <= row < self._count:
                raise ValueError(f"a result came for sim_id {row}, but there are {self._count} points")
            if not self._rows["sim_ended"][row]:
                for name in ("f", "grad", "fvec"):
                    if name in self._rows.dtype.names and name in results.dtype.names:
                        self._rows[name][row] = result[name]
                self._rows["sim_ended"][row] = True
                open_rows.append(row)
        return open_rows

    def count_samples(self):
        """Return how many sample points have been evaluated."""
        return int(np.count_nonzero(self.H["sim_ended"] & ~self.H["local_pt"]))

    def _append(self, count):
        rows = range(self._count, self._count + count)
        if rows.stop > len(self._rows):
            larger = np.zeros(max(2 * len(self._rows), rows.stop), dtype=self._rows.dtype)
            larger[: self._count] = self.H
            self._rows = larger
        self._count = rows.stop
        new = self._rows[rows.start : rows.stop]
        new["sim_id"] = rows
        for kind in "ls":
            new[f"dist_to_better_{kind}"], new[f"ind_of_better_{kind}"] = np.inf, -1
        new["dist_to_unit_bounds"] = np.inf
        return rows

    def _take(self, H0):
        for name in ("f", "sim_id", "sim_ended"):
            assert name in H0.dtype.names, f"a starting history needs the field {name!r}; it has {H0.dtype.names}"
        H0 = H0[np.argsort(H0["sim_id"], kind="stable")]
        assert np.array_equal(H0["sim_id"], np.arange(len(H0))), (
            f"the sim_id of a starting history are the numbers from 0 on; they are {H0['sim_id'][:10]}..."
        )
        if any(name in H0.dtype.names for name in DISTANCE_FIELDS):
            logger.info("APOSMM computes the distance fields of the starting history anew")
        rows = self._append(len(H0))
        self._copy(H0, self._rows[rows.start : rows.stop])
        self.H["num_active_runs"] = 0  # whatever ran has ended with its ensemble

    def _copy(self, points, to):
        names = points.dtype.names
        for name in names:
            if name in to.dtype.names and name not in (*DISTANCE_FIELDS, "sim_id"):
                to[name] = points[name].reshape(to[name].shape)
        if "x_on_cube" not in names and "x" in names:
            cube = (to["x"] - self.lb) / (self.ub - self.lb)
            to["x_on_cube"] = cube % 1 if self.periodic else cube
        elif "x" not in names and "x_on_cube" in names:
            to["x"] = to["x_on_cube"] * (self.ub - self.lb) + self.lb


def _sample_points_of(user_specs, n):
    given = user_specs.get("sample_points")
    if given is None:
        return np.zeros((0, n))
    points = np.array(given, dtype=float)
    if points.ndim != 2 or points.shape[1] != n:
        raise ValueError(f"sample_points must have the shape (number of points, {n}), not {points.shape}")
    return points
