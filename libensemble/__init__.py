"""libEnsemble: dynamic ensembles of simulations.

A generator proposes points, workers evaluate them with a simulator, and the results decide what comes next. The names
below are loaded when they are first used, so that ``import libensemble`` costs little.
"""

import importlib
from typing import TYPE_CHECKING, Any

from libensemble.version import __version__

if TYPE_CHECKING:
    from gest_api import Generator

    from libensemble import logger
    from libensemble.ensemble import Ensemble
    from libensemble.specs import AllocSpecs, ExitCriteria, GenSpecs, LibeSpecs, SimSpecs

__author__ = "libEnsemble contributors"
__credits__ = "libEnsemble contributors"

_HOMES = {
    "Ensemble": "libensemble.ensemble",
    "Generator": "gest_api",
    "SimSpecs": "libensemble.specs",
    "GenSpecs": "libensemble.specs",
    "AllocSpecs": "libensemble.specs",
    "ExitCriteria": "libensemble.specs",
    "LibeSpecs": "libensemble.specs",
}
_SUBMODULES = frozenset(
    "alloc_funcs comms ensemble errors executors gen_classes gen_funcs generators history libE logger manager "
    "message_numbers resources sim_funcs specs store tools utils version worker".split()
)

__all__ = [
    "AllocSpecs",
    "Ensemble",
    "ExitCriteria",
    "GenSpecs",
    "Generator",
    "LibeSpecs",
    "SimSpecs",
    "__version__",
    "logger",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
    elif name in _SUBMODULES:
        value = importlib.import_module(f"libensemble.{name}")
    else:
        raise AttributeError(f"module 'libensemble' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, *_SUBMODULES})
