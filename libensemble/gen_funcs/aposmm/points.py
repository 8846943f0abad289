"""How far each evaluated point is from the nearest points that are at least as good.

It owns the bookkeeping fields of APOSMM's history: `known_to_aposmm`, `dist_to_unit_bounds`, and for better sample
points (`_s`) and better points of local runs (`_l`) the distance and the index of the nearest. All distances are
Euclidean, on the unit cube (`x_on_cube`). Each new point is compared once with all others, so n points cost n squared
distances in all, however many calls bring them.
"""

import numpy as np

DISTANCE_FIELDS = (
    "known_to_aposmm",
    "dist_to_unit_bounds",
    "dist_to_better_l",
    "dist_to_better_s",
    "ind_of_better_l",
    "ind_of_better_s",
)


def update_history_dist(H, n, new_rows=None):
    """Take newly evaluated points into the distances.

    Parameters
    ----------
    H : structured array
        Changed in place. Fields `x_on_cube` (n), `f`, `sim_ended`, `local_pt`, `known_to_aposmm`,
        `dist_to_unit_bounds`, `dist_to_better_l`, `dist_to_better_s`, `ind_of_better_l`, `ind_of_better_s`.
    n : int
        Dimension of the domain.
    new_rows : sequence of int, optional
        Where to look for new points, if it is known; default everywhere. Points are new when they have ended, their
        value is not NaN, and they are not `known_to_aposmm`.
    """
    f = H["f"]
    usable = H["sim_ended"] & ~np.isnan(f)
    if new_rows is None:
        new_rows = np.flatnonzero(usable & ~H["known_to_aposmm"])
    else:
        new_rows = [row for row in new_rows if usable[row] and not H["known_to_aposmm"][row]]
    if len(new_rows) == 0:
        return
    points = _Points(H, np.flatnonzero(usable), n)
    for new in new_rows:
        _take_in(H, new, points)
    _free_best_sample(H, points.rows[~points.is_local])


class _Points:
    """Columns of the usable points, each in one piece: comparing a new point with all of them reads them all."""

    def __init__(self, H, rows, n):
        self.rows = rows
        self.cube = H["x_on_cube"][rows].reshape(len(rows), n)
        self.values = H["f"][rows]
        self.is_local = H["local_pt"][rows].astype(bool)
        self.to_better = {kind: H[f"dist_to_better_{kind}"][rows] for kind in "ls"}


def _take_in(H, new, points):
    """Compare one new point with all usable ones."""
    rows, value = points.rows, H["f"][new]
    position = np.searchsorted(rows, new)
    place = points.cube[position]
    H["known_to_aposmm"][new] = True
    H["dist_to_unit_bounds"][new] = np.min(np.minimum(place, 1 - place))
    difference = points.cube - place
    distance = np.sqrt(np.einsum("ij,ij->i", difference, difference))
    kind = "l" if H["local_pt"][new] else "s"

    nearer = np.flatnonzero((points.values > value) & (distance < points.to_better[kind]))
    points.to_better[kind][nearer] = distance[nearer]
    H[f"dist_to_better_{kind}"][rows[nearer]] = distance[nearer]
    H[f"ind_of_better_{kind}"][rows[nearer]] = new

    better = np.flatnonzero(points.values <= value)
    better = better[better != position]
    local_ones = points.is_local[better]
    for kind, of_kind in (("l", better[local_ones]), ("s", better[~local_ones])):
        if len(of_kind):
            nearest = of_kind[np.argmin(distance[of_kind])]
            points.to_better[kind][position] = distance[nearest]
            H[f"dist_to_better_{kind}"][new] = distance[nearest]
            H[f"ind_of_better_{kind}"][new] = rows[nearest]


def _free_best_sample(H, samples):
    """See to it that the best sample point has no better one: among equals that point to each other, the first."""
    if len(samples) and not np.any(np.isinf(H["dist_to_better_s"][samples])):
        best = samples[np.argmin(H["f"][samples])]
        H["dist_to_better_s"][best] = np.inf
        H["ind_of_better_s"][best] = -1


def cdist(first, second, metric="euclidean"):
    """Return the distances between two sets of points.

    Parameters
    ----------
    first, second : array_like of float, shapes (k, n) and (m, n)
    metric : {"euclidean", "sqeuclidean"}

    Returns
    -------
    array of float, shape (k, m)
    """
    if metric not in ("euclidean", "sqeuclidean"):
        raise ValueError(f"metric must be 'euclidean' or 'sqeuclidean', not {metric!r}")
    first, second = np.atleast_2d(np.asarray(first, float)), np.atleast_2d(np.asarray(second, float))
    squared = np.zeros((len(first), len(second)))
    for dimension in range(first.shape[1]):  # keeps the memory at k times m, however many dimensions there are
        squared += np.subtract.outer(first[:, dimension], second[:, dimension]) ** 2
    return squared if metric == "sqeuclidean" else np.sqrt(squared)
