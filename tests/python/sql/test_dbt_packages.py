"""The stub dbt packages return the same results as the real packages on BigQuery.

`MACRO_CASES` has the failures that the real macros return on BigQuery. dbt runs all cases on the
embedded BigQuery with the stubs and, if they are installed (by `dbt deps`, or by hand into
`dbt_packages/`), with the real packages.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from local.packages import DBT, STUBS, install_path, is_real

PROJECT = Path(__file__).parents[3]

# `all_rows` has a null, an empty string, two equal rows, two rows equal in their nulls, numbers at
# and beyond a boundary, letters beyond ASCII, and special characters of regular expressions. It has
# no tests, because dbt skips the models after a model with a failed test.
MODELS = {
    "all_rows": r"""
        select 1 as id, 'abc' as word, 'x' as team, 0 as points, date '2024-02-29' as day
        union all select 2, 'abc', 'x', 100, date '2024-03-01'
        union all select 3, 'ABC', 'x', -1, date '1899-12-31'
        union all select 4, '', 'y', 101, date '2100-01-01'
        union all select 5, 'a.c', 'y', 50, null
        union all select 6, 'a\nc', 'y', 50, null
        union all select 7, 'été', null, null, null
        union all select 8, '日本', null, null, null
        union all select 9, "it's [a] \\d+", 'z', 50, date '2024-02-29'
        union all select 10, null, 'z', 50, date '2024-02-29'
    """,
    "clean": """
        select 1 as id, 'abc' as word, 'x' as team, 0 as points, date '2024-02-29' as day
        union all select 2, 'été', 'x', 50, date '2024-03-01'
        union all select 3, '日本語', 'y', 100, date '2024-03-02'
    """,
    "dirty": "select * from {{ ref('all_rows') }}",
    "empty": "select * from {{ ref('all_rows') }} where false",
}

# For each macro: the title of the case, the model (and column), the expected number of failures
# (None: an error), and the arguments of the macro. `where` is a config of dbt, not an argument.
MACRO_CASES: dict[str, list[tuple[str, str, int | None, dict[str, Any]]]] = {
    "dbt_utils.expression_is_true": [
        (
            "passes where the expression is true",
            "clean",
            0,
            {"expression": "points between 0 and 100"},
        ),
        ("passes without rows", "empty", 0, {"expression": "false"}),
        ("passes nulls", "dirty", 2, {"expression": "points between 0 and 100"}),
        ("fails if any part is false", "dirty", 2, {"expression": "points > 0 and id > 0"}),
        ("accepts an expression with or", "dirty", 1, {"expression": "points > 0 or id < 3"}),
        ("puts the column before the expression", "dirty.points", 2, {"expression": "> 0"}),
        (
            "applies the where of dbt",
            "dirty",
            1,
            {"expression": "points >= 0", "where": "team = 'x'"},
        ),
    ],
    "dbt_expectations.expect_column_values_to_match_regex": [
        ("passes letters beyond ASCII", "clean.word", 0, {"regex": "^.{3}$"}),
        ("passes without rows", "empty.word", 0, {"regex": "^x$"}),
        ("fails all but nulls and matches", "dirty.word", 7, {"regex": "^[a-z]+$"}),
        ("searches if not anchored", "dirty.word", 7, {"regex": "b"}),
        ("always fails an empty string", "dirty.word", 7, {"regex": "^[a-z]*$"}),
        ("fails all rows for an empty pattern", "dirty.word", 9, {"regex": ""}),
        ("matches one letter beyond ASCII", "dirty.word", 8, {"regex": "^é"}),
        ("matches any character but a new line", "dirty.word", 6, {"regex": "a.c"}),
        ("reads a raw pattern", "dirty.word", 8, {"regex": r"a\.c", "is_raw": True}),
        ("unescapes a pattern that is not raw", "dirty.word", 8, {"regex": r"a\\.c"}),
        ("accepts an escaped quote", "dirty.word", 8, {"regex": r"it\'s"}),
        ("raises an error for an unknown escape", "clean.word", None, {"regex": r"\S"}),
        ("accepts brackets", "dirty.word", 8, {"regex": r"\[a\] \\d\+$", "is_raw": True}),
        ("accepts alternatives", "dirty.word", 6, {"regex": "^(?:abc|ABC)$"}),
        ("accepts a capturing group", "dirty.word", 7, {"regex": "^a(b)c$"}),
        ("accepts a flag", "dirty.word", 6, {"regex": "^abc$", "flags": "i"}),
        ("accepts a flag for new lines", "dirty.word", 5, {"regex": "a.c", "flags": "s"}),
        (
            "accepts flags with a raw pattern",
            "dirty.word",
            8,
            {"regex": r"^A\.C$", "is_raw": True, "flags": "is"},
        ),
        (
            "applies the row condition",
            "dirty.word",
            1,
            {"regex": "^abc$", "row_condition": "team = 'x'"},
        ),
        (
            "applies a row condition with or",
            "dirty.word",
            2,
            {"regex": "^abc$", "row_condition": "team = 'x' or team = 'z'"},
        ),
    ],
}
# The failures of the real macros on the emulator, where they differ from BigQuery.
REAL_ON_EMULATOR = {
    # BigQuery's regexp_instr is 0 for an empty string; the emulator's is 1 if the pattern matches.
    "always fails an empty string": 6,
    # BigQuery: "Illegal escape sequence"; the emulator keeps the backslash.
    "raises an error for an unknown escape": 0,
}


class Case(NamedTuple):
    """A case of a macro."""

    test: str
    title: str
    target: str
    failures: int | None
    arguments: dict[str, Any]

    @property
    def package(self) -> str:
        return self.test.partition(".")[0]

    @property
    def name(self) -> str:
        return re.sub(r"\W+", "_", f"{self.test} {self.title}")


CASES = [Case(test, *line) for test, lines in MACRO_CASES.items() for line in lines]
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.test} {case.title}")
Results = dict[str, dict[str, Any]]


def real_packages() -> dict[str, Path]:
    """Return the folders of the installed real packages."""
    parents = [PROJECT / "dbt_packages", install_path(PROJECT)]
    return {
        folder.name: folder for parent in parents for folder in parent.glob("*") if is_real(folder)
    }


REAL = real_packages()  # empty where the dbt hub cannot be reached
PACKAGE_SETS = ["stub", "real"] if REAL else ["stub"]


def write_project(folder: Path, packages: Path) -> None:
    """Write a dbt project with all models, and the cases of the macros in `packages`."""
    models: dict[str, dict[str, Any]] = {name: {"name": name, "data_tests": []} for name in MODELS}
    for case in CASES:
        if (packages / case.package).exists():
            model, _, column = case.target.partition(".")
            arguments = case.arguments | ({"column_name": column} if column else {})
            config = {"where": arguments.pop("where", None)}
            entry = {"name": case.name, "arguments": arguments, "config": config}
            models[model]["data_tests"].append({case.test: entry})
    settings = {
        "name": "stub_cases",
        "profile": "randomuser",
        "packages-install-path": str(packages),
        "models": {"+materialized": "table"},
        "flags": {"require_generic_test_arguments_property": True},
    }
    (folder / "models").mkdir(parents=True)
    (folder / "dbt_project.yml").write_text(json.dumps(settings))  # JSON is YAML, too
    (folder / "models" / "models.yml").write_text(json.dumps({"models": list(models.values())}))
    for name, sql in MODELS.items():
        (folder / "models" / f"{name}.sql").write_text(sql)
    shutil.copy(PROJECT / "profiles.yml.example", folder / "profiles.yml")


@pytest.fixture(scope="module")
def results(warehouse: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Results]:
    """Return dbt's result of each case with the stubs, and with installed real packages.

    These are two runs, because dbt cannot tell tests of the same name in two packages apart.
    """
    scratch = tmp_path_factory.mktemp("dbt_packages")
    sets = {"stub": STUBS}
    for name, package in REAL.items():
        sets["real"] = scratch / "packages"
        sets["real"].mkdir(exist_ok=True)
        (sets["real"] / name).symlink_to(package)
    settings = {
        "BIGQUERY_EMULATOR_HOST": warehouse.url,
        "GOOGLE_CLOUD_PROJECT": warehouse.project,
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }
    command = [DBT, "--log-level-file", "none", "build", "--target", "local", "--profiles-dir", "."]
    runs = {}
    for name, packages in sets.items():
        write_project(scratch / name, packages)
        runs[name] = subprocess.Popen(
            command,
            cwd=scratch / name,
            env=os.environ | settings | {"ANALYTICS_DATASET": f"dbt_packages_{name}"},
            stdout=subprocess.PIPE,
            text=True,
        )
    by_name: dict[str, Results] = {}
    for name, process in runs.items():
        output, _ = process.communicate()
        path = scratch / name / "target" / "run_results.json"
        assert path.exists(), output
        case_results = json.loads(path.read_text())["results"]
        by_name[name] = {result["unique_id"].split(".")[2]: result for result in case_results}
    return by_name


def check_result(result: dict[str, Any], failures: int | None) -> None:
    """Check status and number of failures of a result, and show dbt's message if they differ."""
    status = "error" if failures is None else "fail" if failures else "pass"
    assert (result["status"], result["failures"]) == (status, failures), result["message"]


@pytest.mark.parametrize("packages", PACKAGE_SETS)
@each_case
def test_macro_returns_expected_failures(
    case: Case, packages: str, results: dict[str, Results]
) -> None:
    failures = case.failures
    if packages == "real":
        failures = REAL_ON_EMULATOR.get(case.title, failures)
    check_result(results[packages][case.name], failures)


def read_arguments(package: Path, macro: str) -> list[str]:
    """Return the arguments of a generic test, with defaults, as its source declares them."""
    source = "".join(path.read_text() for path in package.glob("macros/**/*.sql"))
    declared = re.search(rf"{{%-?\s*test {macro}\((.*?)\)\s*-?%}}", source, re.DOTALL)
    assert declared, f"{package} has no test {macro}"
    return re.sub(r"\s", "", declared[1]).lower().split(",")


def test_stubs_have_arguments_of_installed_real_macros() -> None:
    for test in MACRO_CASES:
        package, _, macro = test.partition(".")
        if package in REAL:
            assert read_arguments(STUBS / package, macro) == read_arguments(REAL[package], macro)


def test_every_stub_has_cases() -> None:
    assert {f"{p.parents[1].name}.{p.stem}" for p in STUBS.glob("*/macros/*.sql")} == set(
        MACRO_CASES
    )


def test_stubs_are_the_macros_that_the_project_calls() -> None:
    macro = r"(?:dbt_utils|dbt_expectations)\.\w+"
    called: set[str] = set()
    for folder in ("models", "tests", "snapshots", "macros"):
        for path in (PROJECT / folder).rglob("*"):
            if path.suffix in {".sql", ".yml"}:
                called |= set(re.findall(rf"(?<=- ){macro}|{macro}(?=\()", path.read_text()))
    assert called == set(MACRO_CASES)
