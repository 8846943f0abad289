"""A persistent generator that learns where good points lie: the cross-entropy method with a Gaussian.

It samples a batch, keeps the best points seen so far, fits a Gaussian to them, samples the next batch from it, and
ends by itself once the best points agree. `CrossEntropy` is the mathematics, `cross_entropy` the conversation.
"""

import numpy as np

from libensemble.message_numbers import EVAL_GEN_TAG, FINISHED_PERSISTENT_GEN_TAG, PERSIS_STOP, STOP_TAG
from libensemble.tools.persistent_support import PersistentSupport


class CrossEntropy:
    """A Gaussian in a box that is drawn towards the points with the lowest values.

    Parameters
    ----------
    lb, ub : array of n floats
        The box. The first points are uniform in it.
    rng : numpy.random.Generator
    keep : int
        How many of the best points the Gaussian is fitted to.
    spread : float
        Factor on the fitted covariance. Above 1 it slows the shrinking down, so that the search does not stall.
    """

    def __init__(self, lb, ub, rng, keep=20, spread=1.5):
        self.lb, self.ub = np.asarray(lb, dtype=float), np.asarray(ub, dtype=float)
        self.rng = rng
        self.keep, self.spread = keep, spread
        self.points = np.empty((0, len(self.lb)))  # the best so far, in the unit cube, best first
        self.values = np.empty(0)
        self.mean = self.covariance = None

    def suggest(self, count):
        """Return `count` points of the box, an array of shape (count, n)."""
        if self.mean is None:
            cube = self.rng.random((count, len(self.lb)))
        else:
            cube = self._gaussian(count)
            for _ in range(20):  # draw again what fell out; in the end, clip
                outside = ((cube < 0) | (cube > 1)).any(axis=1)
                if not outside.any():
                    break
                cube[outside] = self._gaussian(outside.sum())
            cube = cube.clip(0, 1)
        return self.lb + cube * (self.ub - self.lb)

    def learn(self, points, values):
        """Take in points of the box and their values; values that are not finite count as bad."""
        cube = (points - self.lb) / (self.ub - self.lb)
        values = np.where(np.isfinite(values), values, np.inf)
        self.points = np.vstack([self.points, cube])
        self.values = np.concatenate([self.values, values])
        best = np.argsort(self.values, kind="stable")[: self.keep]
        self.points, self.values = self.points[best], self.values[best]
        self._fit()

    def has_converged(self, tolerance):
        """Return whether the values of the kept points agree to a relative `tolerance`."""
        return len(self.values) == self.keep and self.values[-1] - self.values[0] <= tolerance * abs(self.values[0])

    def _fit(self):
        ranks = np.arange(1, len(self.points) + 1)
        weights = np.log(len(ranks) + 0.5) - np.log(ranks)
        weights /= weights.sum()
        centre = weights @ self.points
        # Deviations from where the Gaussian was, not from where it goes: so it stretches along its own way.
        away = self.points - (centre if self.mean is None else self.mean)
        self.covariance = self.spread * (weights[:, None] * away).T @ away + 1e-18 * np.eye(len(centre))
        self.mean = centre

    def _gaussian(self, count):
        return self.rng.multivariate_normal(self.mean, self.covariance, size=count, method="cholesky")


def cross_entropy(H, persis_info, gen_specs, libE_info):
    """Propose points `x` in batches until they have converged or the run stops; needs `x` and `f` back.

    ``gen_specs["user"]``: ``lb`` and ``ub`` (arrays); ``batch_size`` (default 100), ``keep`` (20) and ``tolerance`` of
    the convergence (1e-9).
    """
    user = gen_specs["user"]
    search = CrossEntropy(user["lb"], user["ub"], persis_info["rand_stream"], keep=user.get("keep", 20))
    manager = PersistentSupport(libE_info, EVAL_GEN_TAG)

    while not search.has_converged(user.get("tolerance", 1e-9)):
        batch = np.zeros(user.get("batch_size", 100), dtype=gen_specs["out"])
        batch["x"] = search.suggest(len(batch))
        tag, _, results = manager.send_recv(batch)
        if tag in (STOP_TAG, PERSIS_STOP):
            break
        search.learn(results["x"], results["f"])
    return None, persis_info, FINISHED_PERSISTENT_GEN_TAG
