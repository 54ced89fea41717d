"""`python -m local.packages`: the dbt packages, or stubs where the hub is out of reach."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.commands import ROOT

from local.packages import is_real


def test_uv_uses_certificates_of_system_by_default() -> None:
    show = ("make", "--silent", "--eval", "show: ; @echo $$UV_SYSTEM_CERTS", "show")
    usual = {name: value for name, value in os.environ.items() if name != "UV_SYSTEM_CERTS"}
    for environment, expected in ((usual, "true"), (usual | {"UV_SYSTEM_CERTS": "0"}, "0")):
        done = subprocess.run(
            show, cwd=ROOT, env=environment, text=True, capture_output=True, check=True
        )
        assert done.stdout.strip() == expected


@pytest.fixture
def closed_hub() -> Iterator[str]:
    """The address of a hub that refuses connections."""
    with socket.socket() as taken:  # bound, so that nobody else listens there
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A dbt project that asks for the packages of this one."""
    (tmp_path / "dbt_project.yml").write_text(
        "{name: scratch, profile: scratch, packages-install-path: .venv/dbt_packages}"
    )
    for name in ("packages.yml", "package-lock.yml"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def install(project: Path, hub: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m local.packages` in `project`."""
    settings = {"DBT_PACKAGE_HUB_URL": hub, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "local.packages"],
        cwd=project,
        env=os.environ | settings | {"DBT_SEND_ANONYMOUS_USAGE_STATS": "false"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_stubs_are_installed_if_hub_is_unreachable(project: Path, closed_hub: str) -> None:
    run = install(project, closed_hub)
    assert (run.returncode, run.stderr, run.stdout.count("\n")) == (0, "", 1)
    assert run.stdout.startswith(f"{closed_hub} is not reachable")
    for package in ("dbt_utils", "dbt_expectations"):
        assert (project / ".venv/dbt_packages" / package / "macros").is_dir()
        assert not is_real(project / ".venv/dbt_packages" / package)


def test_installed_packages_are_kept(project: Path, closed_hub: str) -> None:
    for package in ("dbt_utils", "dbt_expectations"):
        folder = project / ".venv/dbt_packages" / package
        folder.mkdir(parents=True)
        (folder / "dbt_project.yml").write_text(f"name: {package}")
    run = install(project, closed_hub)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    assert (folder / "dbt_project.yml").read_text() == f"name: {package}"


def test_invalid_packages_yml_fails_without_stubs(project: Path, closed_hub: str) -> None:
    (project / "packages.yml").write_text("packages: [{packge: dbt-labs/dbt_utils}]")
    run = install(project, closed_hub)
    assert run.returncode == 1
    assert "packages.yml file in this project is malformed" in run.stderr
    assert "Traceback" not in run.stderr
    assert not (project / ".venv").exists()
