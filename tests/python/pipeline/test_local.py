"""`python -m local` runs a command on the embedded BigQuery and the fake API."""

import os
import subprocess
import sys
from pathlib import Path

from support.commands import ROOT


def local(tmp_path: Path, *arguments: str, **extra: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "local", *arguments],
        cwd=ROOT,
        env=os.environ | {"LOCAL_DIR": str(tmp_path)} | extra,
        text=True,
        capture_output=True,
        check=False,
    )


def test_sets_environment_and_exits_with_status_of_command(tmp_path: Path) -> None:
    names = "$BIGQUERY_EMULATOR_HOST $RANDOMUSER_URL $DBT_USE_COLORS $PYTHONWARNINGS"
    show = ("--", "sh", "-c", f"echo {names}; exit 7")
    done = local(tmp_path, *show)
    assert done.returncode == 7
    *urls, is_colored, warnings = done.stdout.split()
    assert all(url.startswith("http://127.0.0.1:") for url in urls) and is_colored == "False"
    assert warnings.endswith("ignore::RuntimeWarning:agate.type_tester")  # of `dbt docs generate`
    assert done.stderr == "local: users come from a fake API, because RANDOMUSER_URL is not set\n"

    done = local(tmp_path, *show, RANDOMUSER_URL="https://me:secret@example.com/api/")
    assert done.stdout.split()[1] == "https://me:secret@example.com/api/"
    assert done.stderr == "local: users come from the API of RANDOMUSER_URL\n"

    both = {"RANDOMUSER_URL": "https://example.com/", "RANDOMUSER_URL_FILE": "url"}
    done = local(tmp_path, *show, **both)
    assert done.returncode == 2 and "local: wrong settings: RANDOMUSER_URL and" in done.stderr


def test_keeps_tables_and_refuses_second_run(tmp_path: Path) -> None:
    ingest = ("python", "-m", "ingest", "--users", "5", "--load-id", "x")
    assert "Loaded 5 users" in local(tmp_path, "--", *ingest).stdout
    assert "Already loaded: 5 users" in local(tmp_path, "--", *ingest).stdout
    inner = local(tmp_path, "--", sys.executable, "-m", "local", "--", "true")
    assert inner.returncode == 1
    assert "in use by another `python -m local`" in inner.stderr


def test_unknown_command_is_reported_in_one_line(tmp_path: Path) -> None:
    help_text = local(tmp_path, "--help")
    assert help_text.returncode == 0 and "python -m local -- COMMAND" in help_text.stdout
    assert local(tmp_path).returncode == 2
    done = local(tmp_path, "--", "no-such-command")
    assert done.returncode == 127
    last = done.stderr.splitlines()[-1]
    assert last == "local: cannot run no-such-command: No such file or directory"
