"""A dotted name becomes the thing it names."""

import importlib
from typing import Any


def lookup(name: str) -> Any:
    """Import and return what a dotted name such as ``"package.module.function"`` names.

    Parameters
    ----------
    name : str
        Module path and attribute, joined by dots. A bare module path returns the module.

    Raises
    ------
    ModuleNotFoundError
        The module part does not exist.
    AttributeError
        The module exists but lacks the attribute.
    """
    module_name, _, attribute = name.rpartition(".")
    if not module_name:
        return importlib.import_module(name)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if module_name != missing and not module_name.startswith(missing + "."):
            raise  # the module exists, but something that it imports does not
        if "." not in module_name:
            message = f"No module named {module_name!r}, needed for {name!r}"
            raise ModuleNotFoundError(message, name=module_name) from error
        try:
            owner = lookup(module_name)  # a class, for one
        except AttributeError:
            raise ModuleNotFoundError(f"No module named {module_name!r} (from {name!r})", name=module_name) from error
        return getattr(owner, attribute)
    try:
        return getattr(module, attribute)
    except AttributeError:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError:
            raise AttributeError(f"module {module_name!r} has no attribute {attribute!r} (from {name!r})") from None
