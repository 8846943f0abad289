"""The files of the package, and what each imports, read without importing anything."""

import ast
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "libensemble"


@dataclass(frozen=True)
class Import:
    """One module that a file names in an import statement."""

    module: str
    line: int
    is_at_head: bool  # of the file: not inside a function or a class


@dataclass
class Source:
    """One file of the package."""

    path: Path
    module: str
    tree: ast.Module
    imports: list[Import] = field(default_factory=list)

    @property
    def name(self):
        return str(self.path.relative_to(ROOT))

    @property
    def room(self):
        """The folder or top-level file it belongs to: "comms", "errors"; "" for the package's own head."""
        parts = self.module.split(".")
        return parts[1] if len(parts) > 1 else ""

    @property
    def is_package_head(self):
        return self.path.name == "__init__.py"

    @property
    def is_stub(self):
        """Whether it only shows another module of the package under an old name."""
        body = [node for node in self.tree.body if not _is_docstring(node)]
        shows = [node for node in body if isinstance(node, ast.ImportFrom) and "libensemble" in (node.module or "")]
        others = [node for node in body if node not in shows and not _is_all(node)]
        return bool(shows) and not others and not self.is_package_head


def _is_docstring(node):
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_all(node):
    return isinstance(node, ast.Assign) and [getattr(target, "id", "") for target in node.targets] == ["__all__"]


def _module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _absolute(node, source):
    """The module that a `from` import names, relative ones resolved."""
    if not node.level:
        return node.module or ""
    base = source.module.split(".")
    base = base if source.is_package_head else base[:-1]
    base = base[: len(base) - node.level + 1]
    return ".".join([*base, node.module] if node.module else base)


def _collect(node, source, modules, inside):
    for child in ast.iter_child_nodes(node):
        head = not inside
        if isinstance(child, ast.Import):
            source.imports += [Import(alias.name, child.lineno, head) for alias in child.names]
        elif isinstance(child, ast.ImportFrom):
            base = _absolute(child, source)
            # `from package import x` names the module package.x where there is one
            names = {f"{base}.{alias.name}" if f"{base}.{alias.name}" in modules else base for alias in child.names}
            source.imports += [Import(name, child.lineno, head) for name in sorted(names)]
        deeper = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef))
        _collect(child, source, modules, inside or deeper)


@cache
def sources():
    """Every file of the package, by module name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        found[_module_name(path)] = Source(path, _module_name(path), ast.parse(path.read_text(), str(path)))
    for source in found.values():
        _collect(source.tree, source, found, inside=False)
    return found
