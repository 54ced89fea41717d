"""What the embedded BigQuery does otherwise is watched, so that no workaround outlives its reason.

Each limit of emulator_limits.toml is looked at on the package's own server, without the patches of
local/emulator.py. A test that fails means that the emulator has changed, not that the project is
wrong; it says what can go now, which stands in docs/local-bigquery.md.
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
DOCUMENTED = {what: cells for what, *cells in ROWS[2:]}  # below the head and its line
RETRY = DEFAULT_RETRY.with_timeout(10)
PACKAGE = "p"  # the project of the package's own server
FIVE = [ScalarQueryParameter("five", "INT64", 5)]


@contextmanager
def unpatched(data_dir: Path, home: str) -> Iterator[str]:
    """Run the package's own server, away from the network; yield what it says until it is up."""
    bqemulator = str(Path(sys.executable).with_name("bqemulator"))
    away = {"HTTP_PROXY": "http://127.0.0.1:9", "BQEMU_ENABLE_FORMAT_EXTENSIONS": "false"}
    with subprocess.Popen(
        [bqemulator, "start", "--data-dir", data_dir, "--rest-port", "0", "--grpc-port", "0"],
        env=os.environ | away | {"HOME": home},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout
        said = ""
        while "rest.listen" not in said and (line := process.stdout.readline()):
            said += line
        rest = Thread(target=process.stdout.read)  # or the pipe is full before long
        rest.start()
        try:
            yield said
        finally:
            process.terminate()
            rest.join()


def prepare(client: Client) -> Client:
    """Make the dataset that the limits are looked at in."""
    dataset = f"{client.project}.limits"
    client.create_dataset(tables.define_dataset(dataset, "US"))
    client.create_table(tables.define_users(f"{dataset}.users"))
    client.create_table(tables.define_staging(f"{dataset}.staging"))
    return client


@pytest.fixture(scope="module")
def package(warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    assert warehouse.url  # its start has put the extension in place that the package needs
    with unpatched(tmp_path_factory.mktemp("unpatched"), sys.prefix) as said:
        url = f"http://127.0.0.1:{json.loads(said.splitlines()[-1])['port']}"
        nobody = AnonymousCredentials()  # type: ignore[no-untyped-call]
        yield prepare(Client(PACKAGE, credentials=nobody, client_options={"api_endpoint": url}))


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
    named: dict[str, Any] = {"job_id": limit.get("job_id"), "job_config": config}
    job = client.load_table_from_file(file, "limits.t", **named)
    job.result(retry=RETRY)
    return f"says {job.output_rows}"


def bytes_of_a_dry_run(client: Client, _: Path) -> str:
    query(client, "insert into limits.t (a) values (1)")
    job = client.query("select a from limits.t", QueryJobConfig(dry_run=True), retry=RETRY)
    return f"{job.total_bytes_processed} bytes"


def column_added_over_the_api(client: Client, _: Path) -> str:
    table = client.get_table("limits.t")
    table.schema = [*table.schema, SchemaField("c", "STRING")]
    client.update_table(table, ["schema"])
    return str(query(client, "select count(c) from limits.t"))


def expiry_of_the_staging_table(client: Client, _: Path) -> str:
    return str(client.get_table("limits.staging").expires)


def rows_of_a_missing_table(client: Client, _: Path) -> str:
    return str(list(client.query_and_wait("select * from limits.missing", retry=RETRY)))


def name_of_a_request(client: Client, _: Path) -> str:
    headers = requests.get(f"{client._connection.API_BASE_URL}/healthz", timeout=10).headers
    return "named" if "x-correlation-id" in headers else "nameless"


def start_without_home_or_network(_: Client, tmp_path: Path) -> str:
    with unpatched(tmp_path / "data", str(tmp_path)) as said:
        return said


def printed(code: str) -> str:
    """Give the last line that Python prints; above it may be what the emulator logs."""
    output = subprocess.check_output([sys.executable, "-c", code], text=True, cwd=ROOT)
    return output.splitlines()[-1]


def answer(client: Client, limit: Limit, tmp_path: Path) -> str:
    """Give what the server answers; a refusal is an answer as well."""
    query(client, "create or replace table limits.t (a int64, b string)")
    said: object = ""
    try:
        if "ask" in limit:
            said = globals()[limit["ask"]](client, tmp_path)
        if "code" in limit:
            patch = "" if client.project == PACKAGE else "import local.emulator\n"
            said = printed(patch + limit["code"])
        for sql in limit.get("run", []):
            said = query(client, sql, limit.get("job_id"))
        for text in limit.get("load", []):
            said = load(client, text, limit)
    except GoogleAPIError as error:
        said = " ".join(f"refused: {error}".split())
    if "load" in limit:
        said = f"{said}, holds {query(client, 'select count(*) from limits.t')}"
    return str(said)


@pytest.mark.parametrize("what", LIMITS)
def test_the_emulator_is_as_limited_as_the_project_takes_it_to_be(
    what: str, package: Client, tmp_path: Path
) -> None:
    limit = LIMITS[what]
    said = answer(package, limit, tmp_path)
    if limit["today"] not in said or limit["bigquery"] in said:
        like = "as BigQuery does" if limit["bigquery"] in said else "not as BigQuery does"
        now = f"the emulator now answers {said[:400]}, {like}"
        pytest.fail(f"no longer true that {what}: {now}: {DOCUMENTED[what][-1]}")


@pytest.mark.parametrize("what", [what for what, limit in LIMITS.items() if "patched" in limit])
def test_a_patch_makes_the_emulator_do_as_bigquery_does(
    what: str, project: Client, tmp_path: Path
) -> None:
    assert LIMITS[what]["bigquery"] in answer(project, LIMITS[what], tmp_path)


def test_who_shares_a_parsed_statement_only_looks_at_it() -> None:
    looks_only = printed("from local.emulator import LOOKS_ONLY; print(*LOOKS_ONLY)").split()
    changes = re.compile(
        r"\.(?:set|append|pop|transform|replace_children|add_comments)\([\"']|\.transform\("
        r"|\.replace\((?![\"'])|\.pop\(\)|\.(?:args|meta)\[[^]]*\] =|\.type = |copy=False"
        r"|(?:qualify|annotate_types|optimize)\("
    )
    for name in looks_only:
        [module] = Path(bqemulator.__file__).parent.rglob(f"{name}.py")
        source = module.read_text("utf-8")
        assert "parse_one" in source, name
        assert changes.findall(source) == [], name


def test_every_limit_has_a_row_in_the_docs_that_names_files_of_the_project() -> None:
    assert list(DOCUMENTED) == list(LIMITS)
    path = re.compile(r"`(\w[\w./-]*/[\w.-]*)`")
    assert [what for what, cells in DOCUMENTED.items() if not path.search(cells[-1])] == []
    files = set(path.findall(PAGE))
    assert [file for file in files if not (ROOT / file).exists()] == []
    assert {f"macros/local/{file.name}" for file in (ROOT / "macros/local").iterdir()} <= files
