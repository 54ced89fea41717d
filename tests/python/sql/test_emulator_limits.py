"""The limits of the embedded BigQuery, so that a workaround is removed when it is not needed.

Each limit of emulator_limits.toml is checked on the package's own server, without the patches of
local/patches.py. A failed test means that the emulator has changed, not that the project is wrong;
its message is what docs/local-bigquery.md says that the project does, which may go.
"""

import io
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from google.api_core.exceptions import GoogleAPIError
from google.auth.credentials import AnonymousCredentials
from google.cloud.bigquery import Client, LoadJobConfig, SchemaField
from google.cloud.bigquery.retry import DEFAULT_RETRY
from support.commands import ROOT
from support.warehouse import Warehouse

Limit = dict[str, Any]
LIMITS: dict[str, Limit] = tomllib.loads(
    Path(__file__).with_name("emulator_limits.toml").read_text("utf-8")
)
PAGE = (ROOT / "docs/local-bigquery.md").read_text("utf-8")
ROWS = [[cell.strip() for cell in row.split("|")] for row in re.findall(r"^\|(.*)\|$", PAGE, re.M)]
DOCUMENTED = {name: cells for name, *cells in ROWS[2:]}  # without the head of the table
RETRY = DEFAULT_RETRY.with_timeout(10)
PACKAGE = "p"  # the project of the package's own server


@contextmanager
def unpatched(data_dir: Path, home: str) -> Iterator[str]:
    """Run the package's own server without network, and yield its output until it is ready."""
    program = str(Path(sys.executable).with_name("bqemulator"))
    offline = {"HTTP_PROXY": "http://127.0.0.1:9", "BQEMU_ENABLE_FORMAT_EXTENSIONS": "false"}
    with subprocess.Popen(
        [program, "start", "--data-dir", data_dir, "--rest-port", "0", "--grpc-port", "0"],
        env=os.environ | offline | {"HOME": home},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout
        output = ""
        while "rest.listen" not in output and (line := process.stdout.readline()):
            output += line
        drain = Thread(target=process.stdout.read)  # otherwise the pipe would fill up
        drain.start()
        try:
            yield output
        finally:
            process.terminate()
            drain.join()


@pytest.fixture(scope="module")
def package(warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    assert warehouse.url  # its start has installed the extension that the package needs
    with unpatched(tmp_path_factory.mktemp("unpatched"), sys.prefix) as output:
        url = f"http://127.0.0.1:{json.loads(output.splitlines()[-1])['port']}"
        anonymous = AnonymousCredentials()  # type: ignore[no-untyped-call]
        client = Client(PACKAGE, credentials=anonymous, client_options={"api_endpoint": url})
        client.create_dataset("limits")
        yield client


@pytest.fixture(scope="module")
def project(warehouse: Warehouse) -> Client:
    warehouse.client.create_dataset("limits")
    return warehouse.client


def query(client: Client, sql: str, job_id: str | None = None) -> list[tuple[object, ...]]:
    job = client.query(sql, job_id=job_id, retry=RETRY, job_retry=None)
    return [tuple(row.values()) for row in job.result(retry=RETRY)]


def two_loads_with_one_job_id(client: Client, _: Path) -> str:
    config = LoadJobConfig(source_format="NEWLINE_DELIMITED_JSON")
    for _attempt in range(2):
        file = io.BytesIO(b'{"a": 1}')
        job = client.load_table_from_file(file, "limits.t", job_id="same-load", job_config=config)
        job.result(retry=RETRY)
    return str(query(client, "select count(*) from limits.t"))


def column_added_over_the_api(client: Client, _: Path) -> str:
    table = client.get_table("limits.t")
    table.schema = [*table.schema, SchemaField("c", "STRING")]
    client.update_table(table, ["schema"])
    return str(query(client, "select count(c) from limits.t"))


def rows_of_a_missing_table(client: Client, _: Path) -> str:
    return str(list(client.query_and_wait("select * from limits.missing", retry=RETRY)))


def start_without_home_or_network(_: Client, tmp_path: Path) -> str:
    with unpatched(tmp_path / "data", str(tmp_path)) as output:
        return output


def run_python(code: str) -> str:
    """Return the last line that the code prints; the lines before may be the emulator's log."""
    output = subprocess.check_output([sys.executable, "-c", code], text=True, cwd=ROOT)
    return output.splitlines()[-1]


def run_limit(client: Client, limit: Limit, tmp_path: Path) -> str:
    """Return the result of a limit on a server: its rows, its output or its error."""
    query(client, "create or replace table limits.t (a int64, b string)")
    result: object = ""
    try:
        if "call" in limit:
            result = globals()[limit["call"]](client, tmp_path)
        if "code" in limit:
            patch = "" if client.project == PACKAGE else "import local.patches\n"
            result = run_python(patch + limit["code"])
        for sql in limit.get("run", []):
            result = query(client, sql, limit.get("job_id"))
    except GoogleAPIError as error:
        return " ".join(f"refused: {error}".split())
    return str(result)


@pytest.mark.parametrize("name", LIMITS)
def test_emulator_still_has_limit(name: str, package: Client, tmp_path: Path) -> None:
    limit = LIMITS[name]
    result = run_limit(package, limit, tmp_path)
    if limit["emulator"] not in result or limit["bigquery"] in result:
        pytest.fail(
            f"no longer true: {name}: the emulator now returns {result[:400]}; so what the project "
            f"does about it may go: {DOCUMENTED[name][-1]}"
        )


@pytest.mark.parametrize("name", [name for name, limit in LIMITS.items() if "patched" in limit])
def test_patch_behaves_like_bigquery(name: str, project: Client, tmp_path: Path) -> None:
    assert LIMITS[name]["bigquery"] in run_limit(project, LIMITS[name], tmp_path)


def test_moment_without_copies_is_refused(project: Client) -> None:
    with pytest.raises(GoogleAPIError, match="no table is kept as it was at 2026-01-01"):
        query(
            project, "select 1 from limits.t for system_time as of timestamp '2026-01-01 00:00+00'"
        )


def test_docs_have_a_row_for_each_limit() -> None:
    assert list(DOCUMENTED) == list(LIMITS)
    files = {*re.findall(r"`(\w[\w./-]*/[\w.-]*)`", PAGE)}
    assert [file for file in files if not (ROOT / file).exists()] == []
    assert {f"macros/local/{file.name}" for file in (ROOT / "macros/local").iterdir()} <= files
