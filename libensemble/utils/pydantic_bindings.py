"""Stub: the models, and the decorator that checks arguments, live in `libensemble/specs`."""

from libensemble.specs import AllocSpecs, ExitCriteria, GenSpecs, LibeSpecs, SimSpecs
from libensemble.specs.arguments import libE_wrapper

__all__ = ["AllocSpecs", "ExitCriteria", "GenSpecs", "LibeSpecs", "SimSpecs", "libE_wrapper"]
