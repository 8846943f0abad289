"""Stub: the models live in `libensemble/specs`; here also a decorator that checks the arguments of a function."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

from libensemble.specs import AllocSpecs, ExitCriteria, GenSpecs, LibeSpecs, SimSpecs, _EnsembleSpecs

__all__ = ["AllocSpecs", "ExitCriteria", "GenSpecs", "LibeSpecs", "SimSpecs", "libE_wrapper"]


def libE_wrapper(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a function with the parameters of `libE` raise ValidationError for arguments that do not make a run."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        _EnsembleSpecs(**signature.bind(*args, **kwargs).arguments)
        return function(*args, **kwargs)

    return checked
