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

WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/slim-ci.yml").read_text())
MODELS = {path.stem for path in ROOT.glob("models/**/*.sql")}


class PullRequest:
    """A copy of the project with one changed model, and its own datasets."""

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
        if changed:
            with (folder / "models" / changed).open("a") as model:
                model.write("\n-- changed\n")
        (folder / "state").mkdir()
        shutil.copy(Path(run.environment["DBT_TARGET_PATH"]) / "manifest.json", folder / "state")

    def step(self, name: str) -> None:
        """Run a step of the job."""
        steps = WORKFLOW["jobs"]["changed"]["steps"]
        (command,) = (step["run"] for step in steps if step.get("name") == name)
        done = subprocess.run(
            ["bash", "-e", "-c", command.replace("--target ci", "--target local")],
            cwd=self._folder,
            env=self._environment,
            text=True,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

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
        nothing.step("Build and test what is changed")
        assert nothing.built("model") == set()

        mart = PullRequest(run, served.url, tmp_path / "mart", "marts/locations.sql")
        mart.step("Build and test what is changed")
        assert mart.built("model") == MODELS - {"calendar_days"}  # which no model reads
        tests = {"unique_locations_location_id", "users_match_documented_fields"}
        assert tests <= mart.built("test")
        assert warehouse.rows(f"select count(*) from {mart.dataset}.users") == [(100,)]

        for pull_request in (nothing, mart):
            pull_request.step("Drop the pull request's datasets")
    named = find_names(served.requests, run.analytics, run.raw)
    assert {mart.dataset, f"{mart.dataset}_raw", f"{mart.dataset}_restricted"} <= named
    assert not production & named
    datasets = {dataset.dataset_id for dataset in warehouse.client.list_datasets()}
    assert production <= datasets
    assert not [name for name in datasets if name.startswith((nothing.dataset, mart.dataset))]
