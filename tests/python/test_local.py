"""`python -m local`: the command's status is its own, and mistakes are said in a line."""

import os
import subprocess
import sys
from pathlib import Path

from conftest import ROOT


def local(tmp_path: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "local", *words],
        cwd=ROOT,
        env=os.environ | {"LOCAL_DIR": str(tmp_path)},
        text=True,
        capture_output=True,
        check=False,
    )


def test_it_sets_the_environment_and_exits_with_the_commands_status(tmp_path: Path) -> None:
    done = local(tmp_path, "--", "sh", "-c", "echo $BIGQUERY_EMULATOR_HOST $RANDOMUSER_URL; exit 7")
    assert done.returncode == 7
    assert all(url.startswith("http://127.0.0.1:") for url in done.stdout.split())


def test_tables_are_kept_between_runs_and_two_runs_at_once_are_refused(tmp_path: Path) -> None:
    ingest = ("python", "-m", "ingest", "--users", "5", "--load-id", "x")
    assert "Loaded 5 users" in local(tmp_path, "--", *ingest).stdout
    assert "Already loaded: 5 users" in local(tmp_path, "--", *ingest).stdout
    inner = local(tmp_path, "--", sys.executable, "-m", "local", "--", "true")
    assert inner.returncode == 1
    assert "in use by another `python -m local`" in inner.stderr


def test_no_command_and_an_unknown_one_are_said_in_a_line(tmp_path: Path) -> None:
    assert local(tmp_path).returncode == 2
    done = local(tmp_path, "--", "no-such-command")
    assert done.returncode == 127
    assert done.stderr == "local: cannot run no-such-command: No such file or directory\n"
