"""Uniform samplers that use nothing but dicts and the gest-api standard."""

from typing import Any

import numpy as np
from gest_api import Generator

__all__ = ["UniformSample", "UniformSampleArray"]

SEED = 1


class UniformSample(Generator):
    """Draw points uniformly, one scalar per variable.

    Parameters
    ----------
    vocs : gest_api.vocs.VOCS
        Continuous variables only.
    """

    def __init__(self, vocs: Any) -> None:
        super().__init__(vocs)
        self.vocs = vocs
        self.rng = np.random.default_rng(SEED)

    def _validate_vocs(self, vocs: Any) -> None:
        if not vocs.variables:
            raise AssertionError("UniformSample needs a VOCS with at least one variable")

    def suggest(self, num_points: int | None = None) -> list[dict[str, Any]]:
        """Return `num_points` points."""
        return [
            {name: float(self.rng.uniform(*variable.domain)) for name, variable in self.vocs.variables.items()}
            for _ in range(num_points or 0)
        ]

    def ingest(self, results: list[dict[str, Any]]) -> None:
        """Take results without using them."""


class UniformSampleArray(Generator):
    """Draw points uniformly whose one variable is an array.

    Parameters
    ----------
    vocs : object
        Has exactly one variable, whose `domain` is a list of [lowest, highest], one for each entry of the array.
    """

    def __init__(self, vocs: Any) -> None:
        super().__init__(vocs)
        self.vocs = vocs
        self.rng = np.random.default_rng(SEED)

    def _validate_vocs(self, vocs: Any) -> None:
        if len(vocs.variables) != 1:
            raise AssertionError(f"UniformSampleArray needs exactly one variable, not {list(vocs.variables)}")

    def suggest(self, num_points: int | None = None) -> list[dict[str, Any]]:
        """Return `num_points` points, each with one array."""
        [(name, variable)] = self.vocs.variables.items()
        lowest, highest = np.array(variable.domain, dtype=float).T
        return [{name: self.rng.uniform(lowest, highest)} for _ in range(num_points or 0)]

    def ingest(self, results: list[dict[str, Any]]) -> None:
        """Take results without using them."""
