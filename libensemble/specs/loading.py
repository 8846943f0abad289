"""Specs from YAML, TOML and JSON files.

A file holds tables named like the specs of a run. This module reads them and makes Python of them: dotted names become
functions, mappings of outputs become tuples. It leaves to the caller what to do with the tables.
"""

import builtins
import json
import logging
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from libensemble.specs.base import nearest
from libensemble.utils.lookup import lookup

TABLES = ("sim_specs", "gen_specs", "alloc_specs", "exit_criteria", "libE_specs")
FUNCTION_KEYS = ("sim_f", "gen_f", "alloc_f", "simulator", "generator")
OLD_FUNCTION = {"sim_specs": "sim_f", "gen_specs": "gen_f", "alloc_specs": "alloc_f"}
MANAGER_WARNING = 35

logger = logging.getLogger(__name__)

Tables = dict[str, dict[str, Any]]


def load(path: str | Path, kind: str) -> Tables:
    """Return the spec tables of a file, with functions imported and output fields as tuples.

    Parameters
    ----------
    path : str or Path
    kind : str
        ``"yaml"``, ``"toml"`` or ``"json"``.

    Raises
    ------
    AttributeError
        A table of another name, or a function that its module lacks.
    ModuleNotFoundError
        A function's module does not exist, or the package that reads this kind of file is missing.
    """
    readers: dict[str, Callable[[Path], Any]] = {"yaml": _read_yaml, "toml": _read_toml, "json": _read_json}
    found = readers[kind](Path(path)) or {}
    if not isinstance(found, dict):
        raise ValueError(f"{path} must hold tables named {', '.join(TABLES)}, not {type(found).__name__}")
    return tables(found)


def tables(found: dict[str, Any]) -> Tables:
    """Return the tables of a file that has been read, made into Python."""
    for name in found:
        if name not in TABLES:
            raise AttributeError(f"no spec is called {name!r}.{nearest(name, TABLES)} Specs: {', '.join(TABLES)}")
    plain = {name: dict(table or {}) for name, table in found.items()}
    return {name: _options(name, table) for name, table in _without_old_forms(plain).items()}


def _read_yaml(path: Path) -> Any:
    try:
        import yaml
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            f"reading {path} needs PyYAML: pip install 'libensemble[yaml]' (TOML and JSON need nothing)", name="yaml"
        ) from None
    with path.open(encoding="utf-8") as file:
        return yaml.load(file, Loader=yaml.FullLoader)  # builds plain values only


def _read_toml(path: Path) -> Any:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        try:
            import tomli as tomllib
        except ModuleNotFoundError:
            raise ModuleNotFoundError(
                f"reading {path} on Python 3.10 needs tomli: pip install tomli", name="tomli"
            ) from None
    with path.open("rb") as file:
        return tomllib.load(file)


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _without_old_forms(found: Tables) -> Tables:
    """Translate what older files say, with a DeprecationWarning for each."""
    nested = found.get("libE_specs", {}).pop("exit_criteria", None)
    if nested is not None:
        _deprecated("'exit_criteria' inside libE_specs", "a table 'exit_criteria' of its own")
        found["exit_criteria"] = {**nested, **found.get("exit_criteria", {})}
    for name, table in found.items():
        if "function" in table and name in OLD_FUNCTION:
            _deprecated(f"'function' in {name}", repr(OLD_FUNCTION[name]))
            table.setdefault(OLD_FUNCTION[name], table.pop("function"))
        if "persistent_inputs" in table:
            _deprecated(f"'persistent_inputs' in {name}", "'persis_in'")
            table.setdefault("persis_in", table.pop("persistent_inputs"))
    return found


def _deprecated(old: str, new: str) -> None:
    warnings.warn(f"{old} is deprecated: use {new}.", DeprecationWarning, stacklevel=2)


def _options(name: str, table: dict[str, Any]) -> dict[str, Any]:
    options = dict(table)
    for key in FUNCTION_KEYS:
        if isinstance(options.get(key), str):
            options[key] = _imported(name, key, options[key])
    for key in ("outputs", "out"):
        if isinstance(options.get(key), dict):
            options[key] = [_field(*item) for item in options[key].items()]
    return options


def _imported(table: str, key: str, dotted: str) -> Any:
    try:
        return lookup(dotted)
    except (AttributeError, ModuleNotFoundError) as error:
        logger.log(MANAGER_WARNING, "%s names %s = %r, which cannot be imported: %s", table, key, dotted, error)
        raise


def _field(name: str, facts: Any) -> tuple[Any, ...]:
    """Turn ``name: {type: T, size: S}`` into ``(name, dtype[, shape])``."""
    if not isinstance(facts, dict):
        facts = {"type": facts}
    if "type" not in facts or set(facts) - {"type", "size"}:
        raise ValueError(f"output {name!r} must be a mapping with 'type' and perhaps 'size', not {facts!r}")
    kind = getattr(builtins, str(facts["type"]), None)
    dtype = kind if isinstance(kind, type) else facts["type"]
    size = facts.get("size")
    if size is None:
        return (name, dtype)
    if isinstance(size, list):
        size = tuple(size)
    return (name, dtype, (1,) if size == 1 else size)
