"""Stub: the reserved fields (`history/fields.py`) and the directory options (`worker/directories.py`)."""

from libensemble.history.fields import libE_fields, protected_libE_fields
from libensemble.worker.directories import (
    libE_spec_calc_dir_misc,
    libE_spec_gen_dir_keys,
    libE_spec_sim_dir_keys,
)

__all__ = [
    "libE_fields",
    "libE_spec_calc_dir_misc",
    "libE_spec_gen_dir_keys",
    "libE_spec_sim_dir_keys",
    "protected_libE_fields",
]
