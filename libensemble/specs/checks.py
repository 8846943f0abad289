"""The rules that single options obey: one function, one rule.

Each takes a value and returns what the spec keeps, or raises ValueError with what would be right.
"""

import os
import secrets
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from libensemble.resources.platforms import Platform
from libensemble.specs.base import nearest
from libensemble.utils.lookup import lookup

ON_ERROR = ("abort", "record")
COMMS = ("mpi", "local", "threads", "tcp")
STATS_KEYS = ("task_timing", "task_datetime", "show_resource_sets")
SCHEDULER_KEYS = ("split2fit", "match_slots")
RESOURCE_KEYS = (
    "cores_on_node",
    "gpus_on_node",
    "node_file",
    "nodelist_env_slurm",
    "nodelist_env_cobalt",
    "nodelist_env_pbs",
    "nodelist_env_lsf",
    "nodelist_env_lsf_shortform",
)


def user_function(value: Any) -> Any:
    """A user function is callable, or the dotted name of a callable."""
    function = resolve(value) if isinstance(value, str) else value
    if function is not None and not callable(function):
        raise ValueError(f"must be a function (or the dotted name of one), not {value!r}")
    return function


def resolve(name: str) -> Any:
    """A dotted name must name something that can be imported."""
    try:
        return lookup(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"{name!r} cannot be imported: {error}") from error


def output_fields(fields: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Output fields are what NumPy takes as (name, dtype[, shape]); one name has one dtype."""
    fields = [_with_tuple_shape(field) for field in fields]
    known: dict[str, np.dtype] = {}
    for field in fields:
        try:
            dtype = np.dtype([field])[0]
        except (TypeError, ValueError, IndexError) as error:
            raise ValueError(f"{field!r} is not (name, dtype) or (name, dtype, shape): {error}") from error
        if known.setdefault(field[0], dtype) != dtype:
            raise ValueError(f"field {field[0]!r} is given twice, as {known[field[0]]} and as {dtype}")
    return fields


def _with_tuple_shape(field: tuple[Any, ...]) -> tuple[Any, ...]:
    return (*field[:2], tuple(field[2])) if len(field) == 3 and isinstance(field[2], list) else field


def comms_name(name: Any) -> str:
    """Comms are one of four names."""
    if name not in COMMS:
        suggestion = nearest("threads" if name == "local_threading" else name, COMMS)
        raise ValueError(f"comms must be one of {', '.join(COMMS)}, not {name!r}.{suggestion}")
    return str(name)


def on_error(value: str) -> str:
    """An exception in a simulation aborts the run or is recorded."""
    if value not in ON_ERROR:
        raise ValueError(f"must be one of {', '.join(ON_ERROR)}, not {value!r}.{nearest(value, ON_ERROR)}")
    return value


def launched_by_mpi() -> bool:
    """Does the environment say that this process is one of several MPI ranks?"""
    sizes = (os.environ.get(name, "") for name in ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE"))
    return any(size.strip().isdigit() and int(size) > 1 for size in sizes)


@cache
def authkey() -> str:
    """The key of this interpreter's TCP runs: random, 128 bits."""
    return f"libE_auth_{secrets.token_hex(16)}"


def keys_among(options: dict[str, Any], known: tuple[str, ...]) -> dict[str, Any]:
    """An option that is a dict has only known keys."""
    for key in options:
        if key not in known:
            raise ValueError(f"unknown key {key!r}.{nearest(key, known)} Known keys: {', '.join(known)}")
    return options


def platform(value: Any) -> Any:
    """A platform is an object or a dict that describes one."""
    if isinstance(value, Mapping):
        return Platform(**value) if value else {}
    if not isinstance(value, Platform):
        raise ValueError(f"must be a Platform or a dict of its fields, not {value!r}")
    return value


def input_dir(value: str | Path | None) -> Path | None:
    """An input directory exists; `Path(".")` is refused, for it is most often an empty path by mistake."""
    if value is None or value == "":
        return None
    if isinstance(value, Path) and value == Path("."):
        raise ValueError("Path('.') is not accepted as an input directory; give its absolute path")
    path = Path(value).absolute()
    if not path.is_dir():
        raise ValueError(f"there is no directory {str(path)!r}")
    return path


def existing_paths(values: list[str | Path]) -> list[Path]:
    """Files to copy or link exist when they are named."""
    paths = [Path(value).absolute() for value in values]
    for path in paths:
        if not path.exists():
            raise ValueError(f"there is no file or directory {str(path)!r}")
    return paths
