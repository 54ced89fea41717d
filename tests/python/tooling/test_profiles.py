"""profiles.yml: made from profiles.yml.example, and then the user's own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from dbt.config.renderer import ProfileRenderer
from dbt_common.context import set_invocation_context
from support.commands import ROOT


def test_setup_makes_profiles_once_and_keeps_changes(tmp_path: Path) -> None:
    for name in ("Makefile", "profiles.yml.example"):
        shutil.copy(ROOT / name, tmp_path)

    def setup() -> str:
        command = ["make", "--no-print-directory", "--old-file=.venv/ready", "setup"]
        environment = os.environ | {"MAKEFLAGS": ""}
        return subprocess.check_output(command, cwd=tmp_path, env=environment, text=True)

    example, profiles = tmp_path / "profiles.yml.example", tmp_path / "profiles.yml"
    assert setup().startswith("Made profiles.yml from profiles.yml.example")
    assert profiles.read_text() == example.read_text()
    profiles.write_text("mine")
    os.utime(profiles, (0, 0))  # the example is newer
    assert "Made" not in setup()
    assert profiles.read_text() == "mine"


def test_local_names_setup_if_there_are_no_profiles(tmp_path: Path) -> None:
    for name in ("local", "ingest"):
        shutil.copytree(ROOT / name, tmp_path / name)
    done = subprocess.run(
        [sys.executable, "-m", "local", "--", "true"],
        cwd=tmp_path,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "`make setup`" in done.stderr


@pytest.mark.parametrize(("target", "usual"), [("dev", 10**9), ("ci", 10**9), ("prod", 10**11)])
def test_environment_sets_limit_of_bytes(target: str, usual: int) -> None:
    outputs = yaml.safe_load((ROOT / "profiles.yml.example").read_text())["randomuser"]["outputs"]
    for environment, expected in (
        ({}, usual),
        ({"DBT_MAXIMUM_BYTES_BILLED": "5000000000"}, 5 * 10**9),
    ):
        set_invocation_context({"GOOGLE_CLOUD_PROJECT": "p"} | environment)
        profile = ProfileRenderer({}).render_data(outputs[target])
        assert profile["maximum_bytes_billed"] == expected
