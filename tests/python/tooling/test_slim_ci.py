"""The steps of slim-ci, on an embedded BigQuery that has production's datasets too."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import yaml
from support.commands import BUILD_WITHOUT_TESTS, ROOT, Run, passes
from support.project_copy import copy_project
from support.proxy import Request, proxy
from support.warehouse import Warehouse

JOBS = yaml.safe_load((ROOT / ".github/workflows/slim-ci.yml").read_text())["jobs"]
BUILD = "Build and test what is changed"
MODELS = {path.stem for path in ROOT.glob("models/**/*.sql")}
UNIT_TESTS = {
    test["name"]: test["model"]
    for path in ROOT.glob("models/**/*_unit_tests.yml")
    for test in yaml.safe_load(path.read_text())["unit_tests"]
}
# What `locations` is made from and, by a test, what comes after it; tables and ephemeral models.
CHANGED = {"base_randomuser__users", "loads", "locations", "users"}
EPHEMERAL = {"stg_randomuser__locations", "stg_randomuser__users"}


class PullRequest:
    """A copy of the project with one changed file, and its own datasets."""

    def __init__(self, run: Run, url: str, folder: Path, changed: str | None) -> None:
        self.dataset = f"{run.analytics}_{folder.name}"
        self._folder = folder
        self._environment = run.environment | {
            "BIGQUERY_EMULATOR_HOST": url,
            "ANALYTICS_DATASET": self.dataset,
            "RAW_DATASET": f"{self.dataset}_raw",
            "DBT_TARGET_PATH": str(folder / "target"),
        }
        copy_project(folder)
        self._commit("git init --quiet")
        (folder / "target").mkdir()
        commands = [step.get("run", "") for step in JOBS["manifest"]["steps"]]
        self._bash(next(command for command in commands if "files.txt" in command))
        (folder / "target").rename(folder / "state")
        shutil.copy(Path(run.environment["DBT_TARGET_PATH"]) / "manifest.json", folder / "state")
        if changed:
            with (folder / changed).open("a") as file:
                file.write("\n{#- changed -#}\n")
        self._commit("true")

    def step(self, name: str, build: str = "build") -> str:
        """Run a step of the job, with another command of dbt in place of build."""
        (command,) = (step["run"] for step in JOBS["changed"]["steps"] if step.get("name") == name)
        return self._bash(command.replace("build --target ci", f"{build} --target local"))

    def _commit(self, first: str) -> None:
        identity = "-c user.name=me -c user.email=me@localhost"
        names = "dbt_project.yml packages.yml macros models seeds snapshots tests"
        self._bash(f"{first}; git add {names}; git {identity} commit --quiet --allow-empty -m x")

    def _bash(self, command: str) -> str:
        done = subprocess.run(
            ["bash", "-e", "-c", command],
            cwd=self._folder,
            env=self._environment,
            text=True,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def built(self, kind: str) -> set[str]:
        """Return the models or tests that were run."""
        results = json.loads((self._folder / "target/run_results.json").read_text())["results"]
        ids = [result["unique_id"].split(".") for result in results]
        return {name for node_kind, _, name, *_ in ids if node_kind == kind}


def find_names(requests: list[Request], *prefixes: str) -> set[str]:
    """Return the names with these prefixes in the addresses and contents of requests."""
    sent = "\n".join(request.path + request.body.decode(errors="ignore") for request in requests)
    return set(re.findall(rf"\b(?:{'|'.join(prefixes)})\w*", sent))


def test_pull_request_builds_only_changed_models_without_production(
    run: Run, warehouse: Warehouse, tmp_path: Path
) -> None:
    production = {run.raw, *(f"{run.analytics}{end}" for end in ("", "_restricted", "_snapshots"))}
    passes(run("ingest", "--users", "20"))
    passes(run(*BUILD_WITHOUT_TESTS))
    with proxy(warehouse.url) as served:
        nothing = PullRequest(run, served.url, tmp_path / "nothing", None)
        nothing.step(BUILD)
        assert nothing.built("model") == set()

        mart = PullRequest(run, served.url, tmp_path / "mart", "models/marts/locations.sql")
        output = mart.step(BUILD)
        of_changed = {name for name, model in UNIT_TESTS.items() if model in CHANGED | EPHEMERAL}
        assert {*re.findall(r"START unit_test \w+::(\w+)", output)} == of_changed != {*UNIT_TESTS}
        assert mart.built("model") == CHANGED
        tests = {"unique_locations_location_id", "users_match_documented_fields"}
        assert tests <= mart.built("test")
        assert warehouse.rows(f"select count(*) from {mart.dataset}.users") == [(100,)]

        # An override of dbt's macro, which `state:modified` does not see.
        macro = PullRequest(
            run, served.url, tmp_path / "macro", "macros/incremental/bigquery__get_merge_sql.sql"
        )
        listed = macro.step(BUILD, "ls --resource-type model --output name")
        assert set(listed.split()) >= MODELS

        for pull_request in (nothing, mart, macro):
            pull_request.step("Drop the pull request's datasets")
    named = find_names(served.requests, run.analytics, run.raw)
    assert {mart.dataset, f"{mart.dataset}_raw", f"{mart.dataset}_restricted"} <= named
    assert not production & named
    datasets = {dataset.dataset_id for dataset in warehouse.client.list_datasets()}
    assert production <= datasets
    assert not [name for name in datasets if name.startswith((nothing.dataset, mart.dataset))]


def test_files_that_build_everything_exist() -> None:
    (command,) = (step["run"] for step in JOBS["changed"]["steps"] if step.get("name") == BUILD)
    (names,) = re.findall(r"unseen='(.+)'", command)
    assert all((ROOT / name).exists() for name in names.split("|"))
