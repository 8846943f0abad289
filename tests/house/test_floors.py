"""The floors hold: a file imports from lower floors or from its own folder, and there without circles."""

import ast
import sys

import pytest

from tests.house.source import sources

FLOORS = [
    {"errors", "message_numbers", "version", "tests"},  # leaves, which import nothing (`tests`: constants for scripts)
    {"utils", "logger"},
    {"history", "comms", "resources", "store"},
    {"specs", "executors", "tools", "jobs", "dashboard"},
    {"manager", "worker", "sim_funcs", "gen_funcs", "alloc_funcs", "generators"},
    {"libE", "gen_classes"},
    {"ensemble"},
    {"cli"},
    {"", "__main__"},  # the package's head shows all, on first use
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}

# Rooms that, beyond the order of the floors, know only some of what lies below them.
KNOWS_ONLY = {
    "dashboard": {"store", "utils", "errors", "version"},
    "jobs": {"store", "resources", "utils", "errors", "logger", "version"},
}
ENGINE = {"libE", "manager", "worker"}
LIBRARY = {"sim_funcs", "gen_funcs", "alloc_funcs", "gen_classes", "generators"}

REQUIRED = {"numpy", "psutil", "pydantic", "pydantic_core", "gest_api"}


def inside_imports(source):
    """Pairs (import, module of the package that it names)."""
    return [(item, item.module) for item in source.imports if item.module.split(".")[0] == "libensemble"]


def room_of(module):
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def living():
    """Files that are held to the floors: all but stubs."""
    return [source for source in sources().values() if not source.is_stub]


def test_every_room_has_a_floor():
    assert {source.room for source in sources().values()} <= set(FLOOR)


def test_imports_go_down_or_stay_in_the_room():
    wrong = []
    for source in living():
        for item, module in inside_imports(source):
            room = room_of(module)
            if room == source.room:
                continue
            if room not in FLOOR or FLOOR[room] >= FLOOR[source.room]:
                wrong.append(f"{source.name}:{item.line} imports {module}: not on a lower floor")
            elif room not in KNOWS_ONLY.get(source.room, {room}):
                wrong.append(f"{source.name}:{item.line} imports {module}: {source.room} does not know {room}")
            elif source.room in ENGINE and room in LIBRARY:
                wrong.append(f"{source.name}:{item.line} imports {module}: the engine knows no library")
    assert not wrong, "\n".join(wrong)


def test_imports_of_the_package_stand_at_the_head():
    wrong = [
        f"{source.name}:{item.line} imports {module} inside a function"
        for source in living()
        if source.room != ""
        for item, module in inside_imports(source)
        if not item.is_at_head
    ]
    assert not wrong, "\n".join(wrong)


def circle_in(graph):
    """A path that comes back to where it began, or None."""
    done, path = set(), []

    def walk(node):
        if node in path:
            return [*path[path.index(node) :], node]
        if node in done:
            return None
        path.append(node)
        for following in graph.get(node, ()):
            found = walk(following)
            if found:
                return found
        path.pop()
        done.add(node)
        return None

    for node in graph:
        found = walk(node)
        if found:
            return found
    return None


def test_no_circles_within_a_room():
    rooms = {source.room for source in living()}
    for room in sorted(rooms):
        graph = {
            source.module: [module for _, module in inside_imports(source) if room_of(module) == room]
            for source in living()
            if source.room == room
        }
        circle = circle_in(graph)
        assert circle is None, f"{room}: " + " imports ".join(circle)


def test_the_circle_finder_finds_circles():
    assert circle_in({"a": ["b"], "b": ["c"], "c": ["b"]}) == ["b", "c", "b"]
    assert circle_in({"a": ["b", "c"], "b": ["c"], "c": []}) is None


def test_stubs_are_not_imported_from_inside():
    stubs = {source.module for source in sources().values() if source.is_stub}
    wrong = [
        f"{source.name}:{item.line} imports the stub {module}"
        for source in sources().values()
        for item, module in inside_imports(source)
        if module in stubs
    ]
    assert not wrong, "\n".join(wrong)


def optional_imports(source):
    """Imports of what is neither ours, nor Python's, nor required."""
    known = REQUIRED | {"libensemble"} | set(sys.stdlib_module_names)
    return [item for item in source.imports if item.module.split(".")[0] not in known]


def is_guarded(source, line):
    """Whether a line at the head stands in a `try` (which says what to do where the package is missing)."""
    return any(isinstance(node, ast.Try) and node.lineno < line <= node.end_lineno for node in source.tree.body)


def test_optional_packages_are_imported_when_used():
    wrong = [
        f"{source.name}:{item.line} imports {item.module} at its head"
        for source in sources().values()
        for item in optional_imports(source)
        if item.is_at_head and not is_guarded(source, item.line)
    ]
    assert not wrong, "\n".join(wrong)


def test_each_optional_package_is_imported_in_one_file_of_the_engine():
    where = {}
    for source in sources().values():
        if source.room not in LIBRARY:  # user functions that ship with us import what they compute with
            for item in optional_imports(source):
                where.setdefault(item.module.split(".")[0], set()).add(source.name)
    wrong = {package: sorted(names) for package, names in where.items() if len(names) > 1}
    assert not wrong


@pytest.mark.parametrize(
    ("floor", "lower"), [("manager", "comms"), ("libE", "manager"), ("ensemble", "libE"), ("gen_classes", "gen_funcs")]
)
def test_the_table_reads_as_drawn(floor, lower):
    assert FLOOR[lower] < FLOOR[floor]
