"""The stub dbt packages return the same results as the real packages on BigQuery.

`CASES` has the failures that the real macros return on BigQuery. dbt runs all cases on the embedded
BigQuery with the stubs and, if they are installed (by `dbt deps`, or by hand into `dbt_packages/`),
with the real packages.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from support.commands import ROOT, Run, make_settings
from support.warehouse import Warehouse

from local.__main__ import environment
from local.packages import STUBS, install_path, is_real

ROWS = r"""create or replace table packages.rows as
    select 1 as id, 'abc' as word, 'x' as team, 0 as points
    union all select 2, 'ABC', 'x', 100
    union all select 3, '', 'y', 101
    union all select 4, 'a.c', 'y', -1
    union all select 5, 'a\nc', 'z', null
    union all select 6, 'été', null, null
    union all select 7, "it's [a] \\d", null, null
    union all select 8, null, 'z', 50"""
TRUE = "dbt_utils.expression_is_true"
REGEX = "dbt_expectations.expect_column_values_to_match_regex"
CONDITION = {"regex": "^abc$", "row_condition": "id = 2 or team = 'z'"}
# The title of each case, the macro, the failures (None: an error), and the arguments. `where` is a
# config of dbt, not an argument.
CASES: dict[str, tuple[str, int | None, dict[str, Any]]] = {
    "passes nulls": (TRUE, 2, {"expression": "points between 0 and 100"}),
    "accepts an or": (TRUE, 1, {"expression": "points >= 0 or id = 9"}),
    "column stands before": (TRUE, 1, {"expression": ">= 0", "column_name": "points"}),
    "applies the where": (TRUE, 1, {"expression": "points > 0", "where": "team = 'x'"}),
    "fails all but nulls and matches": (REGEX, 6, {"regex": "^[a-z]+$"}),
    "searches beyond ASCII": (REGEX, 6, {"regex": "t.$"}),
    "always fails an empty string": (REGEX, 6, {"regex": "^[a-z]*$"}),
    "reads a raw pattern": (REGEX, 6, {"regex": r"^a\.c$", "is_raw": True}),
    "unescapes other patterns": (REGEX, 6, {"regex": r"^a\\.c$"}),
    "accepts an escaped quote": (REGEX, 6, {"regex": r"it\'s"}),
    "refuses an unknown escape": (REGEX, None, {"regex": r"\S"}),
    "accepts flags": (REGEX, 3, {"regex": "^(abc|a.c)$", "flags": "is"}),
    "applies the condition": (REGEX, 2, CONDITION),
}
# The failures of the real macros on the emulator, where they differ from BigQuery: its regexp_instr
# finds an empty string in an empty string, and it keeps the backslash of an unknown escape.
REAL_ON_EMULATOR = {"always fails an empty string": 5, "refuses an unknown escape": 1}
REAL = {
    folder.name: folder
    for parent in (ROOT / "dbt_packages", install_path(ROOT))
    for folder in parent.glob("*")
    if is_real(folder)
}  # empty where the dbt hub cannot be reached


def write_project(folder: Path, packages: Path) -> None:
    """Write a dbt project with the cases of the macros in `packages`."""
    tests = []
    for title, (macro, _, arguments) in CASES.items():
        if (packages / macro.partition(".")[0]).exists():
            given = arguments | ({"column_name": "word"} if macro == REGEX else {})
            config = {"where": given.pop("where", None)}
            name = title.replace(" ", "_")
            tests.append({macro: {"name": name, "arguments": given, "config": config}})
    settings = {
        "name": "cases",
        "profile": "randomuser",
        "packages-install-path": str(packages),
        "flags": {"require_generic_test_arguments_property": True},
    }
    table = {"name": "rows", "data_tests": tests}
    (folder / "models").mkdir(parents=True)
    (folder / "dbt_project.yml").write_text(json.dumps(settings))  # JSON is YAML, too
    sources = [{"name": "packages", "tables": [table]}]
    (folder / "models/sources.yml").write_text(json.dumps({"sources": sources}))


@pytest.mark.parametrize("kind", ["stub", "real"] if REAL else ["stub"])
def test_macros_return_expected_failures(kind: str, warehouse: Warehouse, tmp_path: Path) -> None:
    packages = STUBS
    if kind == "real":
        packages = tmp_path / "packages"
        packages.mkdir()
        for name, folder in REAL.items():
            (packages / name).symlink_to(folder)
    warehouse.client.create_dataset("packages", exists_ok=True)
    warehouse.rows(ROWS)
    write_project(tmp_path / "project", packages)
    run = Run(environment(warehouse.url) | make_settings(tmp_path))
    done = run("dbt", "test", "--project-dir", tmp_path / "project")
    results = json.loads((tmp_path / "target/run_results.json").read_text())["results"]
    found = {result["unique_id"].split(".")[2]: result["failures"] for result in results}
    expected = {title: failures for title, (_, failures, _) in CASES.items()}
    if kind == "real":
        expected |= REAL_ON_EMULATOR
    assert found == {
        title.replace(" ", "_"): failures
        for title, failures in expected.items()
        if (packages / CASES[title][0].partition(".")[0]).exists()
    }, done.stdout


def read_arguments(package: Path, macro: str) -> list[str]:
    """Return the arguments of a generic test, with defaults, as its source declares them."""
    source = "".join(path.read_text() for path in package.glob("macros/**/*.sql"))
    declared = re.search(rf"{{%-?\s*test {macro}\((.*?)\)\s*-?%}}", source, re.DOTALL)
    assert declared, f"{package} has no test {macro}"
    return re.sub(r"\s", "", declared[1]).lower().split(",")


def test_stubs_are_the_macros_that_the_project_calls() -> None:
    pattern = r"(?:dbt_utils|dbt_expectations)\.\w+(?=[(:])"
    files = [
        path
        for folder in ("models", "tests", "snapshots", "macros")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".sql", ".yml"}
    ]
    called = {name for path in files for name in re.findall(pattern, path.read_text())}
    assert called == {f"{p.parents[1].name}.{p.stem}" for p in STUBS.glob("*/macros/*.sql")}
    assert called == {macro for macro, _, _ in CASES.values()}
    for package, macro in (name.split(".") for name in called):
        if package in REAL:
            assert read_arguments(STUBS / package, macro) == read_arguments(REAL[package], macro)
