"""What user scripts and user functions import.

Names are loaded when they are first used, so that a worker which needs `persistent_support` does not load the rest.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

from libensemble.utils.lookup import lookup

_homes = {
    "add_unique_random_streams": "libensemble.tools.tools",
    "check_npy_file_exists": "libensemble.tools.tools",
    "eprint": "libensemble.tools.tools",
    "save_libE_output": "libensemble.tools.tools",
    "ForkablePdb": "libensemble.tools.forkable_pdb",
    "AllocSupport": "libensemble.tools.alloc_support",
    "PersistentSupport": "libensemble.tools.persistent_support",
}
_modules = (
    "alloc_support", "fields_keys", "forkable_pdb", "gen_support", "live_data", "persistent_support", "test_support",
    "tools",
)  # fmt: skip

__all__ = [  # noqa: RUF022
    "add_unique_random_streams",
    "check_npy_file_exists",
    "eprint",
    "ForkablePdb",
    "parse_args",
    "save_libE_output",
    "AllocSupport",
    "PersistentSupport",
]


class _Tools(ModuleType):
    """This package: its attribute `parse_args` is the function, though a submodule has the same name."""

    @property
    def parse_args(self) -> Any:
        """The function `parse_args`, which reads a script's command line."""
        return lookup(f"{__name__}.parse_args.parse_args")

    @parse_args.setter
    def parse_args(self, module: ModuleType) -> None:
        """Do nothing: importing the submodule would set it as this attribute."""


def __getattr__(name: str) -> Any:
    if name in _homes:
        value = globals()[name] = lookup(f"{_homes[name]}.{name}")
        return value
    if name in _modules:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_modules})


sys.modules[__name__].__class__ = _Tools
