"""Files stay small enough to be read in one go."""

import ast

from tests.house.source import sources

HARD_LIMIT = 600  # lines of a file; the house aims at 400
AIM_FILE, AIM_FUNCTION = 400, 40


def line_count(source):
    return len(source.path.read_text().splitlines())


def functions(source):
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [node for node in ast.walk(source.tree) if isinstance(node, kinds)]


def test_no_file_is_above_the_hard_limit():
    too_long = {source.name: line_count(source) for source in sources().values() if line_count(source) > HARD_LIMIT}
    assert not too_long


def test_report_what_is_longer_than_aimed_at():
    """Never fails: `pytest -rP tests/house/test_sizes.py` shows what it prints."""
    for source in sources().values():
        if line_count(source) > AIM_FILE:
            print(f"{source.name}: {line_count(source)} lines")
        for node in functions(source):
            length = node.end_lineno - node.lineno + 1
            if length > AIM_FUNCTION:
                print(f"{source.name}:{node.lineno} {node.name}: {length} lines")


def test_every_file_says_what_it_is_for():
    silent = [source.name for source in sources().values() if source.tree.body and not ast.get_docstring(source.tree)]
    assert not silent, f"no module docstring in {silent}"
