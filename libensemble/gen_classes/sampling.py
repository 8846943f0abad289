"""A generator that samples a box uniformly, built on arrays."""

from typing import Any

import numpy as np
import numpy.typing as npt

from libensemble.generators import LibensembleGenerator

__all__ = ["UniformSample"]


class UniformSample(LibensembleGenerator):
    """Draw points uniformly between the lower and upper domains of the VOCS' variables.

    Parameters
    ----------
    vocs : gest_api.vocs.VOCS
        Continuous variables only.
    random_seed : int, default 1
        Of this object's own random stream.
    """

    def __init__(self, vocs: Any, random_seed: int = 1, *args: Any, **kwargs: Any) -> None:
        super().__init__(vocs, *args, **kwargs)
        self.rng = np.random.default_rng(random_seed)
        domains = [variable.domain for variable in vocs.variables.values()]
        self.lb = np.array([domain[0] for domain in domains], dtype=float)
        self.ub = np.array([domain[1] for domain in domains], dtype=float)

    def _validate_vocs(self, vocs: Any) -> None:
        if not vocs.variables:
            raise ValueError("UniformSample needs a VOCS with at least one variable")
        bad = [name for name, variable in vocs.variables.items() if not np.all(np.isfinite(_domain(variable)))]
        if bad:
            raise ValueError(f"UniformSample needs continuous variables with finite domains; these are not: {bad}")

    def suggest_numpy(self, num_points: int | None = 0) -> npt.NDArray[np.void]:
        """Return `num_points` rows with the field ``x``, a vector of all variables in VOCS order."""
        points = np.zeros(num_points or 0, dtype=[("x", float, (len(self.lb),))])
        points["x"] = self.rng.uniform(self.lb, self.ub, points["x"].shape)
        return points

    def ingest_numpy(self, results: npt.NDArray[np.void] | None) -> None:
        """Take results without using them."""


def _domain(variable: Any) -> Any:
    return getattr(variable, "domain", (np.nan, np.nan))
