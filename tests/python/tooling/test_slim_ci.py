"""The steps of slim-ci, on an embedded BigQuery that has production's datasets too."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import yaml
from support.commands import BUILD_WITHOUT_TESTS, ROOT, Run, passes
from support.project_copy import copy_project
from support.proxy import proxy
from support.warehouse import Warehouse

JOBS = yaml.safe_load((ROOT / ".github/workflows/slim-ci.yml").read_text())["jobs"]
STEPS = {step.get("name"): step.get("run") for step in JOBS["changed"]["steps"]}
(LIST_FILES,) = [s["run"] for s in JOBS["manifest"]["steps"] if "files.txt" in s.get("run", "")]
MODELS = {path.stem for path in ROOT.glob("models/**/*.sql")}
COMMIT = """git add dbt_project.yml packages.yml macros models seeds snapshots tests
git -c user.name=me -c user.email=me@localhost commit --quiet --allow-empty --message x"""


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
        self._bash(f"git init --quiet; {COMMIT}; mkdir target; {LIST_FILES}; mv target state")
        shutil.copy(Path(run.environment["DBT_TARGET_PATH"]) / "manifest.json", folder / "state")
        if changed:
            with (folder / changed).open("a") as file:
                file.write("\n{#- changed -#}\n")
        self._bash(COMMIT)

    def build(self, command: str = "build") -> str:
        """Run the step that builds, with this command of dbt in place of build."""
        step = STEPS["Build and test what is changed"]
        return self._bash(step.replace("build --target ci", f"{command} --target local"))

    def drop(self) -> None:
        """Run the step that drops the datasets."""
        self._bash(STEPS["Drop the pull request's datasets"])

    def _bash(self, command: str) -> str:
        done = subprocess.run(
            ["bash", "-e", "-c", command],
            cwd=self._folder,
            env=self._environment,
            text=True,
            capture_output=True,
            check=False,
        )
        return passes(done)

    def built(self, kind: str) -> set[str]:
        """Return the models or tests that were run."""
        results = json.loads((self._folder / "target/run_results.json").read_text())["results"]
        ids = [result["unique_id"].split(".") for result in results]
        return {name for node_kind, _, name, *_ in ids if node_kind == kind}


def test_pull_request_builds_only_changed_models_without_production(
    run: Run, warehouse: Warehouse, tmp_path: Path
) -> None:
    production = {run.raw, *(f"{run.analytics}{end}" for end in ("", "_restricted", "_snapshots"))}
    passes(run("ingest", "--users", "20"))
    passes(run(*BUILD_WITHOUT_TESTS))
    with proxy(warehouse.url) as served:
        nothing = PullRequest(run, served.url, tmp_path / "nothing", None)
        nothing.build()
        assert nothing.built("model") == set()

        mart = PullRequest(run, served.url, tmp_path / "mart", "models/marts/locations.sql")
        output = mart.build()
        # What `locations` is made from and, by a test, what comes after it; ephemeral models.
        changed = {"base_randomuser__users", "loads", "locations", "users"}
        ephemeral = {"stg_randomuser__locations", "stg_randomuser__users"}
        assert mart.built("model") == changed
        assert "unique_locations_location_id" in mart.built("test")
        tested = {*re.findall(r"START unit_test (\w+)::", output)}
        assert {"users", "stg_randomuser__locations"} <= tested <= changed | ephemeral
        assert warehouse.rows(f"select count(*) from {mart.dataset}.users") == [(100,)]

        # An override of dbt's macro, which `state:modified` does not see.
        override = "macros/incremental/bigquery__get_merge_sql.sql"
        macro = PullRequest(run, served.url, tmp_path / "macro", override)
        assert {*macro.build("ls --resource-type model --output name").split()} >= MODELS

        for pull_request in (nothing, mart, macro):
            pull_request.drop()
    sent = "\n".join(r.path + r.body.decode(errors="ignore") for r in served.requests)
    named = {*re.findall(rf"\b(?:{run.analytics}|{run.raw})\w*", sent)}
    assert {mart.dataset, f"{mart.dataset}_raw", f"{mart.dataset}_restricted"} <= named
    assert not production & named
    datasets = {dataset.dataset_id for dataset in warehouse.client.list_datasets()}
    assert production <= datasets
    assert not [name for name in datasets if name.startswith((nothing.dataset, mart.dataset))]


def test_files_that_build_everything_exist() -> None:
    (names,) = re.findall(r"unseen='(.+)'", STEPS["Build and test what is changed"])
    assert all((ROOT / name).exists() for name in names.split("|"))
