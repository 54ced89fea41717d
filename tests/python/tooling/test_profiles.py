"""profiles.yml: made from profiles.yml.example, and then the user's own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from support.commands import ROOT


def test_setup_makes_profiles_once_and_keeps_changes(tmp_path: Path) -> None:
    for name in ("Makefile", "profiles.yml.example"):
        shutil.copy(ROOT / name, tmp_path)

    def setup() -> str:
        command = ["make", "--old-file=.venv/ready", "setup"]
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
