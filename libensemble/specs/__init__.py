"""What a user states about a run: models that check it, and the loaders and decorators that fill them."""

from libensemble.specs.decorators import input_fields, output_data, persistent_input_fields
from libensemble.specs.libe import LibeSpecs
from libensemble.specs.models import AllocSpecs, ExitCriteria, GenSpecs, SimSpecs
from libensemble.specs.whole_run import _EnsembleSpecs

__all__ = [
    "AllocSpecs",
    "ExitCriteria",
    "GenSpecs",
    "LibeSpecs",
    "SimSpecs",
    "_EnsembleSpecs",
    "input_fields",
    "output_data",
    "persistent_input_fields",
]
