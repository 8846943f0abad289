"""Generators as objects, which suggest points and ingest results."""

from typing import Any

from libensemble.utils.lookup import lookup

__all__ = ["UniformSample"]

_HOMES = {"UniformSample": "libensemble.gen_classes.sampling.UniformSample"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return lookup(_HOMES[name])
    if name == "APOSMM":
        raise ImportError("libensemble.gen_classes.APOSMM is not part of this version yet; UniformSample is")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
