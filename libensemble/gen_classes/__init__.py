"""Generators as objects, which suggest points and ingest results."""

from typing import Any

from libensemble.utils.lookup import lookup

__all__ = ["APOSMM", "UniformSample"]

_HOMES = {
    "APOSMM": "libensemble.gen_classes.aposmm.APOSMM",
    "UniformSample": "libensemble.gen_classes.sampling.UniformSample",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return lookup(_HOMES[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
