"""`python -m local` runs a command on the embedded BigQuery and the fake API."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import duckdb
import pytest
from google.api_core.exceptions import Conflict
from support.commands import ROOT
from support.warehouse import Warehouse, client

from local import __main__ as module
from local import local_dir
from local.__main__ import PROJECT
from local.bigquery import bigquery, start

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


def local(tmp_path: Path, *arguments: str, **extra: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "local", *arguments],
        cwd=ROOT,
        env=os.environ | {"LOCAL_DIR": str(tmp_path)} | extra,
        text=True,
        capture_output=True,
        check=False,
    )


@pytest.fixture
def main(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """`python -m local` in this process, on a BigQuery that runs."""

    def run_main(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["local", *arguments])
        return module.main()

    monkeypatch.setattr(module, "bigquery", lambda _: nullcontext(warehouse.url))
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # the handlers are those of pytest
    return run_main


def test_gives_settings_to_command_and_keeps_tables_in_private_folder(tmp_path: Path) -> None:
    folder, system = tmp_path / "new", tmp_path / "system"
    system.mkdir()
    names = "$BIGQUERY_EMULATOR_HOST $RANDOMUSER_URL $DBT_USE_COLORS $PYTHONWARNINGS $no_proxy"
    ingest = "python -m ingest --users 5 --load-id x"
    upload = folder / "bigquery/tmp/upload"  # that a killed server has left
    upload.parent.mkdir(parents=True)
    upload.touch()
    script = f"echo {names}; {ingest} && python -m local -- {ingest}; exit 7"
    settings = PROXY | {"NO_PROXY": "example.com", "no_proxy": "", "TMPDIR": str(system)}
    done = local(folder, "--", "sh", "-c", script, **settings)
    assert done.returncode == 7
    *urls, is_colored, warnings, no_proxy = done.stdout.splitlines()[0].split()
    assert all(url.startswith("http://127.0.0.1:") for url in urls) and is_colored == "False"
    assert no_proxy == "example.com,127.0.0.1,localhost"
    assert warnings.endswith("ignore::RuntimeWarning:agate.type_tester")  # of `dbt docs generate`
    first = done.stderr.splitlines()[0]
    assert first == "local: users come from a fake API, because RANDOMUSER_URL is not set"
    assert "Loaded 5 users" in done.stdout and "Already loaded: 5 users" in done.stdout
    assert "is served by another `python -m local`" in done.stderr
    assert (folder / "bigquery").stat().st_mode & 0o777 == 0o700
    assert [*system.iterdir()] == []  # an upload that is left in there holds passwords
    assert not upload.exists()


def test_command_ends_with_its_bigquery(tmp_path: Path) -> None:
    done = local(tmp_path, "--", "python", "-c", KILL_BIGQUERY)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("local: the embedded BigQuery has ended")
    assert f"{tmp_path}/bigquery/bigquery.log" in last
    assert not done.stdout


def test_used_job_ids_stay_and_deleted_values_leave_the_file(tmp_path: Path) -> None:
    def restart(*statements: str) -> bytes:
        process, url = start(tmp_path)
        bigquery = client(url)
        for statement in statements:
            bigquery.query_and_wait(statement)
        with pytest.raises(Conflict) if is_used else nullcontext():
            bigquery.query("select 1", job_id="chosen", job_retry=None).result()
        assert bigquery.get_job("chosen").ended
        assert process.stdin
        process.stdin.close()
        process.wait()
        return file.read_bytes()

    file, is_used = tmp_path / "bqemulator.duckdb", False
    numbers = "unnest(generate_array(1, 100)) as number"
    table = f"create table d.t as select concat('person-', number, '@') as name from {numbers}"
    assert b"person-17@" in restart(
        "create schema d", table, "create view d.v as select * from d.t"
    )
    is_used, delete = True, "delete from d.t where name = 'person-17@'"
    assert b"person-17@" not in restart(f"begin transaction; {delete}; commit transaction")
    names = duckdb.connect(file).execute(f'select name from "{PROJECT}__d".v').fetchall()
    assert len(names) == 99 and ("person-18@",) in names


def test_api_of_settings_is_used_and_not_printed(
    main: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    url = "https://me:secret@example.com/api/"
    monkeypatch.setenv("RANDOMUSER_URL", url)
    assert main("--", "sh", "-c", "echo $RANDOMUSER_URL") == 0
    assert capfd.readouterr() == (f"{url}\n", "local: users come from the API of RANDOMUSER_URL\n")
    monkeypatch.setenv("RANDOMUSER_URL_FILE", "url")
    assert main("--", "true") == 2
    assert "local: wrong settings: RANDOMUSER_URL and" in capfd.readouterr().err


def test_wrong_use_is_reported_in_one_line(
    main: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main("--help") == 0 and "python -m local -- COMMAND" in capfd.readouterr().out
    assert main() == 2 and "usage: python -m local -- COMMAND" in capfd.readouterr().err
    assert main("--", "no-such-command") == 127
    last = capfd.readouterr().err.splitlines()[-1]
    assert last == "local: cannot run no-such-command: No such file or directory"
    monkeypatch.setenv("LOCAL_DIR", "/etc/passwd")
    monkeypatch.setattr(module, "bigquery", bigquery)
    assert main("true") == 1
    last = "local: [Errno 20] Not a directory: '/etc/passwd/bigquery' (LOCAL_DIR is /etc/passwd)"
    assert capfd.readouterr().err.splitlines()[1:] == [last]
    monkeypatch.setenv("LOCAL_DIR", "")
    assert local_dir() == Path(".local")
