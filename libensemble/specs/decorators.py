"""Decorators that name a user function's fields on the function itself.

They set attributes and return the same function; SimSpecs and GenSpecs read the attributes where the matching field
was left empty.
"""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


def _describe(function: Callable[..., Any], line: str) -> None:
    function.__doc__ = f"{line}\n\n{inspect.cleandoc(function.__doc__ or '')}".rstrip()


def input_fields(fields: list[str]) -> Callable[[F], F]:
    """Name the history fields that the decorated function gets.

    Parameters
    ----------
    fields : list of str
        Becomes `inputs` of a SimSpecs or GenSpecs that states none.
    """

    def decorate(function: F) -> F:
        function.inputs = fields  # type: ignore[attr-defined]
        _describe(function, f"**Input fields:** {fields}")
        return function

    return decorate


def persistent_input_fields(fields: list[str]) -> Callable[[F], F]:
    """Name the history fields that the decorated persistent function gets after its start.

    Parameters
    ----------
    fields : list of str
        Becomes `persis_in` of a SimSpecs or GenSpecs that states none.
    """

    def decorate(function: F) -> F:
        function.persis_in = fields  # type: ignore[attr-defined]
        _describe(function, f"**Persistent input fields:** {fields}")
        return function

    return decorate


def output_data(fields: list[tuple[Any, ...]]) -> Callable[[F], F]:
    """Name the fields that the decorated function returns.

    Parameters
    ----------
    fields : list of tuple
        ``(name, dtype)`` or ``(name, dtype, shape)``; becomes `outputs` of a SimSpecs or GenSpecs that states none.
    """

    def decorate(function: F) -> F:
        function.outputs = fields  # type: ignore[attr-defined]
        _describe(function, f"**Output fields:** {fields}")
        return function

    return decorate


def declared(function: Any, name: str) -> list[Any]:
    """Return what a decorator stated on a function (seen through `functools.partial`), or an empty list."""
    for candidate in (function, getattr(function, "func", None)):
        fields = getattr(candidate, name, None)
        if isinstance(fields, list | tuple):
            return list(fields)
    return []
