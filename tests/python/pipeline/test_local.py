"""`python -m local` runs a command on the embedded BigQuery and the fake API."""

import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import duckdb
import pytest
from google.api_core.exceptions import Conflict
from support.commands import ROOT
from support.warehouse import client

from local import local_dir
from local.__main__ import PROJECT
from local.bigquery import start

PROXY = dict.fromkeys(("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"), "http://[::1]:1")
# A child of the command, like those of `make`, that would go on without a server.
KILL_BIGQUERY = """
import os, psutil, subprocess
child = subprocess.Popen(["sh", "-c", "sleep 60; echo went on"])
for process in psutil.Process(os.getppid()).children():
    if "local.emulator" in process.cmdline():
        process.kill()
child.wait()
"""
# The API server responds late, and SIGTERM comes while a finalizer runs.
RUN_AIRFLOW = """
import os, pathlib, signal, sys
from local import airflow
class Finalized:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
def is_reachable(url, responses=[True, False]):
    print(*sorted(file.stem for file in pathlib.Path(os.environ["LOCAL_DIR"]).rglob("*.log")))
    if len(responses) == 1:
        Finalized()
    return responses.pop()
airflow.is_reachable, airflow.AIRFLOW = is_reachable, pathlib.Path(sys.argv.pop())
sys.exit(airflow.main())
"""


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
    names = "$BIGQUERY_EMULATOR_HOST $RANDOMUSER_URL $DBT_USE_COLORS $PYTHONWARNINGS $no_proxy"
    show = ("--", "sh", "-c", f"echo {names}; exit 7")
    done = local(tmp_path, *show, NO_PROXY="example.com", no_proxy="")
    assert done.returncode == 7
    *urls, is_colored, warnings, no_proxy = done.stdout.split()
    assert all(url.startswith("http://127.0.0.1:") for url in urls) and is_colored == "False"
    assert no_proxy == "example.com,127.0.0.1,localhost"
    assert warnings.endswith("ignore::RuntimeWarning:agate.type_tester")  # of `dbt docs generate`
    assert done.stderr == "local: users come from a fake API, because RANDOMUSER_URL is not set\n"

    done = local(tmp_path, *show, RANDOMUSER_URL="https://me:secret@example.com/api/")
    assert done.stdout.split()[1] == "https://me:secret@example.com/api/"
    assert done.stderr == "local: users come from the API of RANDOMUSER_URL\n"

    both = {"RANDOMUSER_URL": "https://example.com/", "RANDOMUSER_URL_FILE": "url"}
    done = local(tmp_path, *show, **both)
    assert done.returncode == 2 and "local: wrong settings: RANDOMUSER_URL and" in done.stderr


def test_keeps_tables_in_private_folder_and_shares_them(tmp_path: Path) -> None:
    folder, system = tmp_path / "new", tmp_path / "system"
    system.mkdir()
    settings = PROXY | {"NO_PROXY": "example.com", "TMPDIR": str(system)}
    ingest = ("python", "-m", "ingest", "--users", "5", "--load-id", "x")
    assert "Loaded 5 users" in local(folder, "--", *ingest, **settings).stdout
    assert {path.stat().st_mode & 0o777 for path in (folder, folder / "bigquery")} == {0o700}
    assert not [*system.iterdir()]  # an upload that is left in there holds passwords
    upload = folder / "bigquery/tmp/upload-to-a-killed-server"
    upload.touch()
    inner = local(folder, "--", sys.executable, "-m", "local", "--", *ingest)
    assert "Already loaded: 5 users" in inner.stdout
    assert "is served by another `python -m local`" in inner.stderr
    assert not upload.exists()


def test_command_ends_with_its_bigquery(tmp_path: Path) -> None:
    done = local(tmp_path, "--", "python", "-c", KILL_BIGQUERY)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("local: the embedded BigQuery has ended")
    assert f"{tmp_path}/bigquery/bigquery.log" in last
    assert not done.stdout


def test_deleted_values_leave_the_file(tmp_path: Path) -> None:
    def run(*statements: str) -> bytes:
        process, url = start(tmp_path)
        for statement in statements:
            client(url).query_and_wait(statement)
        assert process.stdin
        process.stdin.close()
        process.wait()
        return file.read_bytes()

    file = tmp_path / "bqemulator.duckdb"
    numbers = "unnest(generate_array(1, 100)) as number"
    table = f"create table d.t as select concat('person-', number, '@') as name from {numbers}"
    assert b"person-17@" in run("create schema d", table, "create view d.v as select * from d.t")
    delete = "delete from d.t where name = 'person-17@'"
    assert b"person-17@" not in run(f"begin transaction; {delete}; commit transaction")
    names = duckdb.connect(file).execute(f'select name from "{PROJECT}__d".v').fetchall()
    assert len(names) == 99 and ("person-18@",) in names


def test_used_job_id_is_refused_after_restart(tmp_path: Path) -> None:
    for is_first in (True, False):
        process, url = start(tmp_path)
        bigquery = client(url)
        with nullcontext() if is_first else pytest.raises(Conflict):
            bigquery.query("select 1", job_id="chosen", job_retry=None).result()
        assert bigquery.get_job("chosen").ended
        assert process.stdin
        process.stdin.close()
        process.wait()


def test_airflow_starts_scheduler_last_and_stops_on_any_signal(tmp_path: Path) -> None:
    program = tmp_path / "airflow-stub"
    program.write_text('#!/bin/sh\n[ "$1" = db ] || exec sleep 600\n')
    program.chmod(0o700)
    done = subprocess.run(
        [sys.executable, "-c", RUN_AIRFLOW, program],
        cwd=ROOT,
        env=os.environ | {"LOCAL_DIR": str(tmp_path)},
        text=True,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    *logs, started = done.stdout.splitlines()
    assert logs == ["api-server dag-processor db"] * 2
    assert started.startswith("Airflow: http://127.0.0.1:")
    assert (tmp_path / "airflow/scheduler.log").exists()


def test_unusable_folder_is_reported_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    done = local(Path("/etc/passwd"), "--", "true")
    assert done.returncode == 1
    last = "local: [Errno 20] Not a directory: '/etc/passwd/bigquery' (LOCAL_DIR is /etc/passwd)"
    assert done.stderr.splitlines()[1:] == [last]
    monkeypatch.setenv("LOCAL_DIR", "")
    assert local_dir() == Path(".local")


def test_unknown_command_is_reported_in_one_line(tmp_path: Path) -> None:
    help_text = local(tmp_path, "--help")
    assert help_text.returncode == 0 and "python -m local -- COMMAND" in help_text.stdout
    assert local(tmp_path).returncode == 2
    done = local(tmp_path, "--", "no-such-command")
    assert done.returncode == 127
    last = done.stderr.splitlines()[-1]
    assert last == "local: cannot run no-such-command: No such file or directory"
