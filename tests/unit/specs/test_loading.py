"""Specs from files: forms of functions and outputs, old forms, errors."""

import json
import math
import sys

import pytest

from libensemble.specs import loading

SPECS = {
    "libE_specs": {"safe_mode": True},
    "sim_specs": {
        "sim_f": "math.sqrt",
        "inputs": ["x"],
        "outputs": {"f": {"type": "float"}, "name": {"type": "U70"}, "v": {"type": "int", "size": 3}},
        "user": {"lb": [0, 1]},
    },
    "exit_criteria": {"sim_max": 3},
}
EXPECTED = {
    **SPECS,
    "sim_specs": {
        "sim_f": math.sqrt,
        "inputs": ["x"],
        "outputs": [("f", float), ("name", "U70"), ("v", int, 3)],
        "user": {"lb": [0, 1]},
    },
}

YAML = """
libE_specs:
  safe_mode: True
sim_specs:
  sim_f: math.sqrt
  inputs: [x]
  outputs:
    f: {type: float}
    name: {type: U70}
    v: {type: int, size: 3}
  user:
    lb: [0, 1]
exit_criteria:
  sim_max: 3
"""
TOML = """
[libE_specs]
safe_mode = true
[sim_specs]
sim_f = "math.sqrt"
inputs = ["x"]
[sim_specs.outputs]
f = {type = "float"}
name = {type = "U70"}
v = {type = "int", size = 3}
[sim_specs.user]
lb = [0, 1]
[exit_criteria]
sim_max = 3
"""


@pytest.mark.parametrize(("kind", "text"), [("yaml", YAML), ("toml", TOML), ("json", json.dumps(SPECS))])
def test_all_kinds_of_files_say_the_same(tmp_path, kind, text):
    if kind == "yaml":
        pytest.importorskip("yaml")
    path = tmp_path / f"specs.{kind}"
    path.write_text(text)
    assert loading.load(path, kind) == loading.load(str(path), kind) == EXPECTED


@pytest.mark.parametrize(
    ("facts", "field"),
    [
        ({"type": "float"}, ("f", float)),
        ({"type": "bool", "size": 1}, ("f", bool, (1,))),
        ({"type": "float", "size": [2, 3]}, ("f", float, (2, 3))),
        ({"type": "U10", "size": 4}, ("f", "U10", 4)),
        ({"type": "print"}, ("f", "print")),  # a builtin, but no type
    ],
)
def test_outputs_as_mappings(facts, field):
    assert loading.tables({"gen_specs": {"outputs": {"f": facts}}})["gen_specs"]["outputs"] == [field]


def test_outputs_as_lists_stay_lists():
    assert loading.tables({"gen_specs": {"out": [["f", "float"]]}})["gen_specs"]["out"] == [["f", "float"]]


def test_an_output_without_a_type_is_refused():
    with pytest.raises(ValueError, match="'f'"):
        loading.tables({"gen_specs": {"outputs": {"f": {"kind": "float"}}}})


def test_a_table_of_another_name_is_refused():
    with pytest.raises(AttributeError, match="Did you mean 'sim_specs'"):
        loading.tables({"simspecs": {}})


def test_functions_that_cannot_be_imported_are_logged_and_raised(caplog):
    with pytest.raises(AttributeError):
        loading.tables({"sim_specs": {"sim_f": "math.no_such_function"}})
    with pytest.raises(ModuleNotFoundError):
        loading.tables({"alloc_specs": {"alloc_f": "no_such_module.f"}})
    assert [record.levelno for record in caplog.records] == [35, 35]


def test_old_forms_are_translated_with_a_warning():
    with pytest.warns(DeprecationWarning) as warned:
        tables = loading.tables(
            {
                "libE_specs": {"exit_criteria": {"sim_max": 5}, "safe_mode": True},
                "sim_specs": {"function": "math.sqrt"},
                "gen_specs": {"function": "math.cos", "persistent_inputs": ["f"]},
            }
        )
    assert len(warned) == 4
    assert tables == {
        "libE_specs": {"safe_mode": True},
        "exit_criteria": {"sim_max": 5},
        "sim_specs": {"sim_f": math.sqrt},
        "gen_specs": {"gen_f": math.cos, "persis_in": ["f"]},
    }


def test_a_missing_yaml_package_is_named_with_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    path = tmp_path / "specs.yaml"
    path.write_text(YAML)
    with pytest.raises(ModuleNotFoundError, match=r"libensemble\[yaml\]"):
        loading.load(path, "yaml")


def test_yaml_builds_plain_values_only(tmp_path):
    yaml = pytest.importorskip("yaml")
    path = tmp_path / "specs.yaml"
    path.write_text("libE_specs: !!python/object/apply:os.getcwd []")
    with pytest.raises(yaml.YAMLError):
        loading.load(path, "yaml")


@pytest.mark.parametrize("text", ["", "sim_specs:\n"])
def test_empty_files_and_tables_say_nothing(tmp_path, text):
    pytest.importorskip("yaml")
    path = tmp_path / "specs.yaml"
    path.write_text(text)
    assert not any(loading.load(path, "yaml").values())


def test_a_file_that_is_no_mapping_is_refused(tmp_path):
    path = tmp_path / "specs.json"
    path.write_text("[1, 2]")
    with pytest.raises(ValueError, match="tables"):
        loading.load(path, "json")
