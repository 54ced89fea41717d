"""`python -m ingest` that cannot land: one line says why and what to do, and nothing lands."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from support.commands import ROOT, Run, passes
from support.load_checks import landed_loads
from support.log_lines import for_people
from support.warehouse import Warehouse

from ingest import cli, tables

CLOSED_URL = "http://127.0.0.1:1/"  # no service uses this port


def read_failure(done: "subprocess.CompletedProcess[str]") -> str:
    """Check that the loader failed in one line for people, and return the line."""
    assert done.returncode == 1 and not done.stdout and "Traceback" not in done.stderr
    (line,) = for_people(done.stderr)
    assert line.startswith("ingest: ") and "Retrying" not in done.stderr
    return line


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (["--wrong"], "unrecognized arguments: --wrong"),
        (["--user", "5"], "unrecognized arguments: --user"),
        (["--load-id", " "], "a load id is 1 to 200 printable characters"),
        *(
            (["--dry-run", *other], "--dry-run and --load-id are of a load: nothing was done")
            for other in (["--list"], ["--check"], ["--accept", "x"], ["--set-aside", "x"])
        ),
        (["--load-id", "x", "--list"], "--dry-run and --load-id are of a load"),
    ],
)
def test_wrong_flags_exit_with_2_and_are_named(
    flags: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exited:
        cli.main(flags)
    assert exited.value.code == 2 and problem in capsys.readouterr().err


def test_all_wrong_settings_are_named_in_one_line(run: Run) -> None:
    wrong = {"RETRY_SECONDS": "0", "GOOGLE_CLOUD_PROJECT": "", "LOG_LEVEL": "loud"}
    done = run("ingest", "--users", "0", **wrong)
    assert done.returncode == 2
    (line,) = for_people(done.stderr)
    assert line.startswith("ingest: wrong settings: ")
    for problem in ("--users: ", "LOG_LEVEL: Input should be 'DEBUG', 'INFO'", *list(wrong)[:2]):
        assert problem in line


@pytest.mark.parametrize("setting", ["RANDOMUSER_URL", "BIGQUERY_EMULATOR_HOST"])
def test_unreachable_server_fails_and_names_setting(
    run: Run, warehouse: Warehouse, setting: str
) -> None:
    unreachable = {setting: CLOSED_URL, "RETRY_SECONDS": "1"}
    assert setting in read_failure(run("ingest", "--users", "5", **unreachable))
    assert landed_loads(run, warehouse) == []


def test_check_reports_each_requirement_and_lands_nothing(run: Run, warehouse: Warehouse) -> None:
    checked = passes(run("ingest", "--check"))
    assert [line[:9] for line in checked.splitlines()] == ["ok       "] * 5
    assert f"{run.raw} does not exist; the first load creates it" in checked
    assert run.raw not in list_datasets(warehouse)

    warehouse.client.create_dataset(tables.define_dataset(f"{warehouse.project}.{run.raw}", "US"))
    checked = passes(run("ingest", "--check"))
    assert f"tables can be created in {warehouse.project}.{run.raw}" in checked
    assert not list(warehouse.client.list_tables(run.raw)) and landed_loads(run, warehouse) == []

    settings = {"BIGQUERY_LOCATION": "EU", "RANDOMUSER_URL": CLOSED_URL}
    done = run("ingest", "--check", **settings, RETRY_SECONDS="1")
    missing = [line for line in done.stdout.splitlines() if line.startswith("MISSING  ")]
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert [line[9:12] for line in missing] == ["API", "raw"]
    assert "is in US, but BIGQUERY_LOCATION is EU" in missing[1]


def list_datasets(warehouse: Warehouse) -> list[str]:
    return [dataset.dataset_id for dataset in warehouse.client.list_datasets()]


def test_empty_warehouse_is_named_and_stays_empty(run: Run, warehouse: Warehouse) -> None:
    listed = passes(run("ingest", "--list"))
    assert listed.startswith(f"No load has landed in {warehouse.project}.{run.raw} ")
    line = read_failure(run("ingest", "--accept", "x"))
    assert f"{run.raw}.loads has no load x: nothing was accepted" in line
    assert run.raw not in list_datasets(warehouse)


def test_wrong_file_is_named_and_lands_nothing(
    run: Run, warehouse: Warehouse, tmp_path: Path
) -> None:
    file = tmp_path / "response.json"
    line = read_failure(run("ingest", "--from-file", file))
    assert line == f"ingest: cannot read {file}: No such file or directory; nothing was landed"
    file.write_text('{"error": "Uh oh"}')
    line = read_failure(run("ingest", "--from-file", file))
    assert f"{file} is not in the format of the randomuser API: " in line
    assert landed_loads(run, warehouse) == []


def test_missing_credentials_fail_and_say_how_to_log_in(run: Run) -> None:
    settings = {"BIGQUERY_EMULATOR_HOST": "", "GOOGLE_APPLICATION_CREDENTIALS": "/no/key.json"}
    line = read_failure(run("ingest", "--users", "5", **settings))
    assert "/no/key.json was not found" in line
    assert "run `gcloud auth application-default login`" in line
    checked = run("ingest", "--check", **settings).stdout.splitlines()[-1]
    assert checked.startswith("MISSING  credentials: ") and "gcloud auth" in checked


def run_in_shell(script: str, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    bash = ["bash", "-c", script]
    return subprocess.run(
        bash, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_full_disk_fails_and_names_temporary_folder(run: Run, warehouse: Warehouse) -> None:
    limited = f"ulimit -f 8; exec {sys.executable} -m ingest --users 1000"  # KB of a file
    line = read_failure(run_in_shell(limited, run.environment))
    assert f"cannot write a temporary file in {tempfile.gettempdir()}: [Errno 27]" in line
    assert "set TMPDIR to another folder, then run the load again with --load-id manual-" in line
    assert landed_loads(run, warehouse) == []


def test_make_pipeline_keeps_load_id(tmp_path: Path) -> None:
    for name in ("python", "dbt"):
        (tmp_path / name).write_text('#!/bin/sh\necho "$(basename $0) $*, LOAD_ID=$LOAD_ID"\n')
        (tmp_path / name).chmod(0o755)
    make = f"make --no-print-directory pipeline BIN={os.path.relpath(tmp_path, ROOT)}"
    for load_id in ("a 'load' of $5", ""):
        made = passes(run_in_shell(make, os.environ | {"LOAD_ID": load_id}))
        lines = [line for line in made.splitlines() if ", LOAD_ID=" in line]
        used = lines[0].partition(", LOAD_ID=")[2]
        assert re.fullmatch(re.escape(load_id) or r"manual-\d{8}T\d{6}Z-\d+", used)
        assert lines[0] == f"python -m ingest --load-id {used}, LOAD_ID={used}"
        assert len(lines) > 5 and all(line.endswith(f", LOAD_ID={used}") for line in lines)
