"""profiles.yml: made from profiles.yml.example, and then the user's own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml
from dbt.config.renderer import ProfileRenderer
from dbt_common.context import set_invocation_context
from support.commands import ROOT

EXAMPLE = ROOT / "profiles.yml.example"
USUAL_LIMITS = {"dev": 10**9, "ci": 10**9, "prod": 10**11}


def test_setup_makes_profiles_once_and_keeps_changes(tmp_path: Path) -> None:
    for file in (ROOT / "Makefile", EXAMPLE):
        shutil.copy(file, tmp_path)

    def setup() -> str:
        command = ["make", "--no-print-directory", "--old-file=.venv/ready", "setup"]
        environment = os.environ | {"MAKEFLAGS": ""}
        return subprocess.check_output(command, cwd=tmp_path, env=environment, text=True)

    profiles = tmp_path / "profiles.yml"
    assert setup().startswith("Made profiles.yml from profiles.yml.example")
    assert profiles.read_text() == EXAMPLE.read_text()
    profiles.write_text("mine")
    os.utime(profiles, (0, 0))  # the example is newer
    assert "Made" not in setup()
    assert profiles.read_text() == "mine"


def test_local_names_setup_if_there_are_no_profiles(tmp_path: Path) -> None:
    for name in ("local", "ingest"):
        shutil.copytree(ROOT / name, tmp_path / name)
    local = [sys.executable, "-m", "local", "--", "true"]
    done = subprocess.run(local, cwd=tmp_path, text=True, capture_output=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "`make setup`" in done.stderr


def test_environment_sets_limit_of_bytes() -> None:
    outputs = yaml.safe_load(EXAMPLE.read_text())["randomuser"]["outputs"]
    for target, usual in USUAL_LIMITS.items():
        for setting, expected in {None: usual, "5000000000": 5 * 10**9}.items():
            limit = {"DBT_MAXIMUM_BYTES_BILLED": setting} if setting else {}
            set_invocation_context({"GOOGLE_CLOUD_PROJECT": "p"} | limit)
            profile = ProfileRenderer({}).render_data(outputs[target])
            assert profile["maximum_bytes_billed"] == expected
