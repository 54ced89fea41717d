"""`python -m local.packages`: the dbt packages, or stubs where the hub is out of reach."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.commands import ROOT

from local.packages import is_real

CLOSED_HUB = "http://127.0.0.1:9/"  # nothing listens on the port of the discard protocol
PACKAGES = ("dbt_utils", "dbt_expectations")


@pytest.mark.parametrize(("setting", "expected"), [({}, "true"), ({"UV_SYSTEM_CERTS": "0"}, "0")])
def test_uv_uses_certificates_of_system_by_default(setting: dict[str, str], expected: str) -> None:
    show = ("make", "--silent", "--eval", "show: ; @echo $$UV_SYSTEM_CERTS", "show")
    usual = {name: value for name, value in os.environ.items() if name != "UV_SYSTEM_CERTS"}
    assert (
        subprocess.check_output(show, cwd=ROOT, env=usual | setting, text=True).strip() == expected
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A dbt project that asks for the packages of this one."""
    (tmp_path / "dbt_project.yml").write_text(
        "{name: scratch, profile: scratch, packages-install-path: .venv/dbt_packages}"
    )
    for name in ("packages.yml", "package-lock.yml"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def install(project: Path) -> subprocess.CompletedProcess[str]:
    """Run `python -m local.packages` in `project`, without a hub."""
    settings = {"DBT_PACKAGE_HUB_URL": CLOSED_HUB, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "local.packages"],
        cwd=project,
        env=os.environ | settings | {"DBT_SEND_ANONYMOUS_USAGE_STATS": "false"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_stubs_are_installed_if_hub_is_unreachable_and_real_packages_are_kept(
    project: Path,
) -> None:
    run = install(project)
    assert (run.returncode, run.stderr, run.stdout.count("\n")) == (0, "", 1)
    assert run.stdout.startswith(f"{CLOSED_HUB} is not reachable")
    folders = [project / ".venv/dbt_packages" / package for package in PACKAGES]
    for folder in folders:
        assert (folder / "macros").is_dir() and not is_real(folder)
        (folder / "dbt_project.yml").write_text("version: 1.0.0")
    run = install(project)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    assert {(folder / "dbt_project.yml").read_text() for folder in folders} == {"version: 1.0.0"}


def test_invalid_packages_yml_fails_without_stubs(project: Path) -> None:
    (project / "packages.yml").write_text("packages: [{packge: dbt-labs/dbt_utils}]")
    run = install(project)
    assert run.returncode == 1
    assert "packages.yml file in this project is malformed" in run.stderr
    assert "Traceback" not in run.stderr
    assert not (project / ".venv").exists()
