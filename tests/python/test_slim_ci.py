"""The workflow slim-ci: its steps, on the embedded BigQuery."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, Run, Warehouse

WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/slim-ci.yml").read_text())
DBT = ["dbt_project.yml", "macros", "models", "packages.yml", "seeds", "snapshots", "tests"]
MODELS = {path.stem for path in ROOT.glob("models/**/*.sql")}


class PullRequest:
    """A checkout of the project with something changed in it, and datasets of its own."""

    def __init__(self, run: Run, folder: Path, changed: str | None) -> None:
        self.dataset = f"{run.analytics}_{folder.name}"
        self._folder = folder
        self._environment = run.environment | {
            "ANALYTICS_DATASET": self.dataset,
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


@pytest.fixture
def production(run: Run) -> Run:
    """50 users that are built, and 7 that have landed since."""
    assert run("ingest", "--users", "50").returncode == 0
    assert run("dbt", "build", "--exclude-resource-type", "test", "unit_test").returncode == 0
    assert run("ingest", "--users", "7").returncode == 0
    return run


def test_a_pull_request_builds_what_it_changes_upon_clones_of_production(
    production: Run, warehouse: Warehouse, tmp_path: Path
) -> None:
    nothing = PullRequest(production, tmp_path / "nothing", None)
    nothing.step("Build and test what is changed")
    assert nothing.ran("model") == set()

    # The other two hang on it by foreign keys.
    mart = PullRequest(production, tmp_path / "mart", "marts/locations.sql")
    mart.step("Build and test what is changed")
    assert mart.ran("model") == {"users", "logins", "locations"}
    assert "unique_locations_location_id" in mart.ran("test")
    assert warehouse.rows(f"select count(*) from {mart.dataset}.users") == [(50,)]

    base = PullRequest(
        production, tmp_path / "base", "staging/randomuser/base/base_randomuser__users.sql"
    )
    base.step("Build and test what is changed")
    assert base.ran("model") == MODELS
    assert warehouse.rows(f"select count(*) from {base.dataset}.users") == [(57,)]

    base.step("Drop the pull request's datasets")
    datasets = {it.dataset_id for it in warehouse.client.list_datasets()}
    assert {production.analytics, mart.dataset} <= datasets
    assert not [it for it in datasets if it.startswith(base.dataset)]
