"""The workflow slim-ci: its steps, on the embedded BigQuery."""

import json
import shutil
import subprocess
from pathlib import Path

import yaml
from support.commands import ROOT, Run
from support.warehouse import Warehouse

WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/slim-ci.yml").read_text())
DBT = ["dbt_project.yml", "macros", "models", "packages.yml", "snapshots", "tests"]
MODELS = {path.stem for path in ROOT.glob("models/**/*.sql")}


class PullRequest:
    """A checkout of the project with something changed in it, and datasets of its own."""

    def __init__(self, run: Run, folder: Path, changed: str | None) -> None:
        self.dataset = f"{run.analytics}_{folder.name}"
        self._folder = folder
        self._environment = run.environment | {
            "ANALYTICS_DATASET": self.dataset,
            "RAW_DATASET": f"{self.dataset}_raw",
            "DBT_TARGET_PATH": str(folder / "target"),
        }
        folder.mkdir()
        for name in (".venv", "ingest"):
            (folder / name).symlink_to(ROOT / name)
        for name in DBT:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, folder / name)
        if changed:
            with (folder / "models" / changed).open("a") as model:
                model.write("\n-- changed\n")
        (folder / "state").mkdir()
        shutil.copy(Path(run.environment["DBT_TARGET_PATH"]) / "manifest.json", folder / "state")

    def step(self, name: str) -> None:
        """Do a step of the job."""
        (found,) = (it for it in WORKFLOW["jobs"]["changed"]["steps"] if it.get("name") == name)
        done = subprocess.run(
            ["bash", "-e", "-c", found["run"].replace("--target ci", "--target local")],
            cwd=self._folder,
            env=self._environment,
            text=True,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def ran(self, kind: str) -> set[str]:
        """Return the models or tests that were run."""
        results = json.loads((self._folder / "target/run_results.json").read_text())["results"]
        ids = [it["unique_id"].split(".") for it in results]
        return {name for its_kind, _, name, *_ in ids if its_kind == kind}


def test_a_pull_request_builds_what_it_changes_and_reads_nothing_of_production(
    run: Run, warehouse: Warehouse, tmp_path: Path
) -> None:
    assert run("dbt", "parse").returncode == 0  # production's datasets are not even there
    nothing = PullRequest(run, tmp_path / "nothing", None)
    nothing.step("Build and test what is changed")
    assert nothing.ran("model") == set()

    mart = PullRequest(run, tmp_path / "mart", "marts/locations.sql")
    mart.step("Build and test what is changed")
    assert mart.ran("model") == MODELS
    assert "unique_locations_location_id" in mart.ran("test")
    assert warehouse.rows(f"select count(*) from {mart.dataset}.users") == [(100,)]

    for pull_request in (nothing, mart):
        pull_request.step("Drop the pull request's datasets")
    datasets = {it.dataset_id for it in warehouse.client.list_datasets()}
    assert not [it for it in datasets if it.startswith((run.analytics, run.raw))]
