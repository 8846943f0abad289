"""A decorator that checks the arguments of a function with the parameters of `libE`."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

from libensemble.specs.whole_run import _EnsembleSpecs


def libE_wrapper(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a function with the parameters of `libE` raise ValidationError for arguments that do not make a run."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        _EnsembleSpecs(**signature.bind(*args, **kwargs).arguments)
        return function(*args, **kwargs)

    return checked
