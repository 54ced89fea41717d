"""The limits of the embedded BigQuery, so that a workaround is removed when it is not needed.

Each limit of emulator_limits.toml is checked on the package's own server, without the patches of
local/emulator.py. A failed test means that the emulator has changed, not that the project is wrong;
its message is what docs/local-bigquery.md says to remove.
"""

import gzip
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

import bqemulator
import pytest
import requests
from google.api_core.exceptions import GoogleAPIError
from google.auth.credentials import AnonymousCredentials
from google.cloud.bigquery import (
    Client,
    LoadJobConfig,
    QueryJobConfig,
    ScalarQueryParameter,
    SchemaField,
)
from google.cloud.bigquery.retry import DEFAULT_RETRY
from support.commands import ROOT
from support.warehouse import Warehouse

from ingest import tables

Limit = dict[str, Any]
LIMITS: dict[str, Limit] = tomllib.loads(
    Path(__file__).with_name("emulator_limits.toml").read_text("utf-8")
)
PAGE = (ROOT / "docs/local-bigquery.md").read_text("utf-8")
ROWS = [[cell.strip() for cell in row.split("|")] for row in re.findall(r"^\|(.*)\|$", PAGE, re.M)]
DOCUMENTED = {name: cells for name, *cells in ROWS[2:]}  # without the head of the table
RETRY = DEFAULT_RETRY.with_timeout(10)
PACKAGE = "p"  # the project of the package's own server
FIVE = [ScalarQueryParameter("five", "INT64", 5)]


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


def prepare(client: Client) -> Client:
    """Create the dataset in which the limits are checked."""
    dataset = f"{client.project}.limits"
    client.create_dataset(tables.define_dataset(dataset, "US"))
    client.create_table(tables.define_users(f"{dataset}.users"))
    return client


@pytest.fixture(scope="module")
def package(warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    assert warehouse.url  # its start has installed the extension that the package needs
    with unpatched(tmp_path_factory.mktemp("unpatched"), sys.prefix) as output:
        url = f"http://127.0.0.1:{json.loads(output.splitlines()[-1])['port']}"
        anonymous = AnonymousCredentials()  # type: ignore[no-untyped-call]
        yield prepare(Client(PACKAGE, credentials=anonymous, client_options={"api_endpoint": url}))


@pytest.fixture(scope="module")
def project(warehouse: Warehouse) -> Client:
    return prepare(warehouse.client)


def query(client: Client, sql: str, job_id: str | None = None) -> list[tuple[object, ...]]:
    config = QueryJobConfig(query_parameters=FIVE if "@five" in sql else [])
    job = client.query(sql, config, job_id=job_id, retry=RETRY, job_retry=None)
    return [tuple(row.values()) for row in job.result(retry=RETRY)]


def load(client: Client, text: str, limit: Limit) -> str:
    file = io.BytesIO(gzip.compress(text.encode()) if "gzip" in limit else text.encode())
    config = LoadJobConfig(source_format="NEWLINE_DELIMITED_JSON")
    config.write_disposition = limit.get("write_disposition", "WRITE_APPEND")
    options: dict[str, Any] = {"job_id": limit.get("job_id"), "job_config": config}
    job = client.load_table_from_file(file, "limits.t", **options)
    job.result(retry=RETRY)
    return f"output_rows {job.output_rows}"


def bytes_of_a_dry_run(client: Client, _: Path) -> str:
    query(client, "insert into limits.t (a) values (1)")
    job = client.query("select a from limits.t", QueryJobConfig(dry_run=True), retry=RETRY)
    return f"{job.total_bytes_processed} bytes"


def column_added_over_the_api(client: Client, _: Path) -> str:
    table = client.get_table("limits.t")
    table.schema = [*table.schema, SchemaField("c", "STRING")]
    client.update_table(table, ["schema"])
    return str(query(client, "select count(c) from limits.t"))


def rows_of_a_missing_table(client: Client, _: Path) -> str:
    return str(list(client.query_and_wait("select * from limits.missing", retry=RETRY)))


def id_of_a_request(client: Client, _: Path) -> str:
    headers = requests.get(f"{client._connection.API_BASE_URL}/healthz", timeout=10).headers
    return "has an id" if "x-correlation-id" in headers else "has no id"


def rows_of_one_partition(client: Client, _: Path) -> str:
    column = [SchemaField("load_id", "STRING")]
    return str(list(client.list_rows("limits.users$20260101", selected_fields=column, retry=RETRY)))


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
            patch = "" if client.project == PACKAGE else "import local.emulator\n"
            result = run_python(patch + limit["code"])
        for sql in limit.get("run", []):
            result = query(client, sql, limit.get("job_id"))
        for text in limit.get("load", []):
            result = load(client, text, limit)
    except GoogleAPIError as error:
        result = " ".join(f"refused: {error}".split())
    if "load" in limit:
        result = f"{result}, holds {query(client, 'select count(*) from limits.t')}"
    return str(result)


@pytest.mark.parametrize("name", LIMITS)
def test_emulator_still_has_limit(name: str, package: Client, tmp_path: Path) -> None:
    limit = LIMITS[name]
    result = run_limit(package, limit, tmp_path)
    is_like_bigquery = limit["bigquery"] in result
    if limit["emulator"] not in result or is_like_bigquery:
        difference = "like BigQuery" if is_like_bigquery else "unlike BigQuery"
        change = f"the emulator now returns {result[:400]}, {difference}"
        pytest.fail(f"no longer true: {name}: {change}: {DOCUMENTED[name][-1]}")


@pytest.mark.parametrize("name", [name for name, limit in LIMITS.items() if "patched" in limit])
def test_patch_behaves_like_bigquery(name: str, project: Client, tmp_path: Path) -> None:
    assert LIMITS[name]["bigquery"] in run_limit(project, LIMITS[name], tmp_path)


def test_moment_without_copies_is_refused(project: Client) -> None:
    with pytest.raises(GoogleAPIError, match="no table is kept as it was at 2026-01-01"):
        query(
            project, "select 1 from limits.t for system_time as of timestamp '2026-01-01 00:00+00'"
        )


def test_read_only_steps_do_not_change_trees() -> None:
    steps = run_python("from local.emulator import READ_ONLY_STEPS; print(*READ_ONLY_STEPS)")
    changes = re.compile(
        r"\.(?:set|append|pop|transform|replace_children|add_comments)\([\"']|\.transform\("
        r"|\.replace\((?![\"'])|\.pop\(\)|\.(?:args|meta)\[[^]]*\] =|\.type = |copy=False"
        r"|(?:qualify|annotate_types|optimize)\("
    )
    for name in steps.split():
        [module] = Path(bqemulator.__file__).parent.rglob(f"{name}.py")
        source = module.read_text("utf-8")
        assert "parse_one" in source, name
        assert changes.findall(source) == [], name


def test_docs_have_a_row_for_each_limit() -> None:
    assert list(DOCUMENTED) == list(LIMITS)
    path = re.compile(r"`(\w[\w./-]*/[\w.-]*)`")
    assert [name for name, cells in DOCUMENTED.items() if not path.search(cells[-1])] == []
    files = set(path.findall(PAGE))
    assert [file for file in files if not (ROOT / file).exists()] == []
    assert {f"macros/local/{file.name}" for file in (ROOT / "macros/local").iterdir()} <= files
