"""`python -m ingest` as a command, with the embedded BigQuery and the fake API."""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.api_core.exceptions import NotFound
from support.commands import ROOT, Run
from support.log_lines import for_people
from support.warehouse import Warehouse as Tables

from ingest import __version__, api, replay, tables
from ingest.landing import Load, land
from ingest.load_id import normalize
from ingest.settings import Settings, SettingsError
from ingest.warehouse import Warehouse
from publish.alerts.sent import ALERTS
from publish.runs import COLUMNS

ALL_TIME = "loaded_at >= timestamp '1970-01-01'"
USERS: list[Any] = [
    {"login": {"uuid": "a"}, "name": {"first": "Żaneta", "last": "O'Дар\u200c 👩‍🚀"}},
    {"b": [1, {"c": [None, True, 1.5]}], "a": '"quoted"\\ \t', "": {}},
    "a text",
    17,
    None,
]

ReadLoads = Callable[[], list[tuple[object, ...]]]


@pytest.fixture
def raw(run: Run) -> str:
    return run.raw


@pytest.fixture
def read_loads(raw: str, warehouse: Tables) -> ReadLoads:
    """Return a function that reads each load: its id, its rows in the ledger, its users."""

    def read() -> list[tuple[object, ...]]:
        try:
            return warehouse.rows(
                "select load_id, "
                f"(select count(*) from {raw}.loads as ledger where ledger.load_id = u.load_id), "
                f"count(*) from {raw}.users as u where {ALL_TIME} group by load_id order by load_id"
            )
        except NotFound:
            return []

    return read


def test_descriptions_of_raw_columns_match_sources_yaml() -> None:
    folder = ROOT / "models/staging/randomuser"
    docs = (folder / "_randomuser__docs.md").read_text()
    blocks = dict(re.findall(r"{% docs (\w+) %}(.*?){% enddocs %}", docs, re.DOTALL))
    (source,) = yaml.safe_load((folder / "_randomuser__sources.yml").read_text())["sources"]
    schemas = {"users": tables.USERS, "loads": tables.LOADS, "forgotten": tables.FORGOTTEN}
    columns_by_table = {table["name"]: table["columns"] for table in source["tables"]}
    for table, schema in (schemas | {"alerts": ALERTS, "runs": COLUMNS}).items():
        columns = columns_by_table[table]
        assert [column["name"] for column in columns] == [field.name for field in schema]
        for column, field in zip(columns, schema, strict=True):
            doc = re.fullmatch(r"{{ doc\('(\w+)'\) }}", column["description"])
            text = blocks[doc[1]] if doc else column["description"]
            assert field.description and text.startswith(field.description.removesuffix("."))


def save_response(file: Path, users: list[Any]) -> Path:
    info = {"seed": "abc", "results": len(users), "page": 1, "version": "1.4"}
    file.write_text(json.dumps({"results": users, "info": info}, ensure_ascii=False), "utf-8")
    return file


def find_closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def read_output(done: "subprocess.CompletedProcess[str]") -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_load_lands_three_pages_in_order_once(
    run: Run, raw: str, read_loads: ReadLoads, warehouse: Tables, api_url: str
) -> None:
    load = ("ingest", "--users", "2500", "--load-id", "x")
    table = f"{warehouse.project}.{raw}.users"
    assert read_output(run(*load)) == f"Loaded 2,500 users into {table}\n  load x"
    rows = warehouse.rows(
        "select record_index, page, json_value(payload, '$.login.uuid'), seed, api_version, "
        "length(json_value(payload, '$.login.password')) "
        f"from {raw}.users where {ALL_TIME} order by record_index"
    )
    assert [row[0] for row in rows] == list(range(2500))
    assert [row[1] for row in rows] == [1 + index // 1000 for index in range(2500)]
    assert len({row[2] for row in rows}) == 2500
    seed = api.derive_seed("x", 2500)
    assert {row[3:5] for row in rows} == {(seed, "1.4")}
    assert {row[5] for row in rows} <= set(range(24, 33))
    settings = Settings.read(randomuser_url=api_url, google_cloud_project="p")
    pages = api.fetch_pages(settings, 2500, seed)
    sent = [json.loads(bytes(user))["login"]["uuid"] for page in pages for user in page.users]
    assert [row[2] for row in rows] == sent

    ledger = (
        "select source, api_version, seed, users_asked, users_received, users_landed, "
        f"loader_version, loaded_at, started_at <= loaded_at from {raw}.loads"
    )
    (before,) = warehouse.rows(ledger)
    assert before[:7] == (api_url, "1.4", seed, 2500, 2500, 2500, __version__)
    assert before[8] is True

    again = read_output(run(*load))
    assert again == f"Already loaded: 2,500 users in {table}\n  load x; nothing to do"
    conflict = run("ingest", "--users", "3000", "--load-id", "x")
    assert conflict.returncode == 2
    (line,) = for_people(conflict.stderr)
    assert "load x is another load, of 2,500 users: its request or its files differ" in line
    assert warehouse.rows(ledger) == [before] and read_loads() == [("x", 1, 2500)]

    assert read_output(run("ingest", "--version")) == f"randomuser {__version__}"
    listed = read_output(run("ingest", "--list"))
    assert re.search(r"\n\d{4}-\d\d-\d\d \d\d:\d\d +2,500  1\.4 +x\n  from http://", listed)


def test_empty_password_setting_gives_default_passwords(
    run: Run, raw: str, warehouse: Tables
) -> None:
    assert "Loaded 50 users" in read_output(run("ingest", "--users", "50", RANDOMUSER_PASSWORD=""))
    length = f"select max(length(json_value(payload, '$.login.password'))) from {raw}.users"
    ((longest,),) = warehouse.rows(f"{length} where {ALL_TIME}")
    assert isinstance(longest, int) and longest < 24


def test_replay_lands_any_json_byte_for_byte_once(
    run: Run, raw: str, read_loads: ReadLoads, warehouse: Tables, tmp_path: Path
) -> None:
    # BigQuery's JSON would keep neither the order, nor the doubled name, nor these numbers.
    users = [*(json.dumps(user) for user in USERS), '{"b":1.0, "a" : 1e400,"b":"\\u00e9\\/"}']
    info = '"info": {"seed": "abc", "results": 6, "page": 1, "version": "1.4"}'
    file = tmp_path / "response.json"
    file.write_text(f'{{"results": [{", ".join(users)}], {info}}}', "utf-8")
    dry_run = read_output(run("ingest", "--dry-run", "--from-file", file))
    assert dry_run.startswith("Would load 6 users") and dry_run.endswith("nothing was landed")
    assert read_loads() == []

    assert read_output(run("ingest", "--from-file", file)).startswith("Loaded 6 users")
    payloads = f"select payload from {raw}.users where {ALL_TIME} order by record_index"
    assert [payload for (payload,) in warehouse.rows(payloads)] == users

    assert read_output(run("ingest", "--from-file", file)).startswith("Already loaded: 6 users")
    assert read_loads() == [(replay.derive_load_id([file]), 1, 6)]
    ledger = f"select source, users_asked, users_received, seed from {raw}.loads"
    assert warehouse.rows(ledger) == [(str(file), None, 6, "abc")]


@pytest.mark.parametrize("step", ["users", "ledger"])
def test_next_run_finishes_load_interrupted_between_steps(
    run: Run, warehouse: Tables, read_loads: ReadLoads, tmp_path: Path, step: str
) -> None:
    class InterruptedWarehouse(Warehouse):
        def run_once(self, name: str, *arguments: Any) -> Any:
            if name == step:
                raise KeyboardInterrupt
            return super().run_once(name, *arguments)

    settings = Settings.read(
        google_cloud_project=warehouse.project,
        bigquery_emulator_host=warehouse.url,
        raw_dataset=run.raw,
    )
    file = save_response(tmp_path / "response.json", USERS)
    load = Load("died", str(file), None, replay.derive_load_id([file]))
    with pytest.raises(KeyboardInterrupt):
        land(InterruptedWarehouse(settings, "died"), load, lambda: replay.read_pages([file]))
    assert read_loads() == ([] if step == "users" else [("died", 0, 5)])

    done = run("ingest", "--load-id", "died", "--from-file", file)
    assert read_output(done).startswith("Loaded 5 users")
    assert read_loads() == [("died", 1, 5)]


def test_seed_is_stable_and_safe_for_api() -> None:
    seeds = [api.derive_seed(load_id, 5000) for load_id in ("a", "b", "2026-01-01T00:00:00+00:00")]
    assert len(set(seeds)) == 3 and api.derive_seed("a", 5000) == seeds[0]
    assert all(seed[-1].isalpha() and len(seed) != 18 for seed in seeds)


def test_flags_override_environment_and_environment_overrides_env_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("RANDOMUSER_USERS", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SettingsError, match="GOOGLE_CLOUD_PROJECT: is not set"):
        Settings.read()
    Path(".env").write_text("GOOGLE_CLOUD_PROJECT=file-project\nRANDOMUSER_USERS=1\n")
    settings = Settings.read(randomuser_users=None)
    assert (settings.google_cloud_project, settings.randomuser_users) == ("file-project", 1)
    monkeypatch.setenv("RANDOMUSER_USERS", "2")
    assert Settings.read().randomuser_users == 2
    assert Settings.read(randomuser_users=3).randomuser_users == 3


@pytest.mark.parametrize(
    ("flags", "environment", "message"),
    [
        (["--wrong"], {}, "unrecognized arguments: --wrong"),
        (["--users", "0"], {}, "wrong settings: --users: "),
        (["--user", "5"], {}, "unrecognized arguments: --user"),
        ([], {"RANDOMUSER_USERS": "0"}, "RANDOMUSER_USERS: "),
        ([], {"RETRY_SECONDS": "0"}, "RETRY_SECONDS: "),
        ([], {"GOOGLE_CLOUD_PROJECT": ""}, "GOOGLE_CLOUD_PROJECT: "),
        *(
            ([*flags, *other], {}, "--dry-run and --load-id are of a load: nothing was done")
            for flags in (["--dry-run"], ["--load-id", "x"])
            for other in (["--list"], ["--check"], ["--accept", "x"], ["--set-aside", "x"])
        ),
    ],
)
def test_wrong_usage_exits_with_2_and_names_problem(
    run: Run, read_loads: ReadLoads, flags: list[str], environment: dict[str, str], message: str
) -> None:
    done = run("ingest", *flags, **environment)
    assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr
    assert read_loads() == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot read {}: No such file"),
        ("<html>", "{} is not JSON: "),
        ("[1]", "{} is not in the format of the randomuser API: "),
        ('{"error": "Uh oh"}', "{} is not in the format of the randomuser API: "),
        (
            '{"results": [], "info": {"seed": "s", "results": 0, "page": 1, "version": "1.4"}}',
            "{} holds no users",
        ),
    ],
    ids=["missing file", "HTML", "list", "API error", "no users"],
)
def test_replay_rejects_invalid_file_in_one_line(
    run: Run, read_loads: ReadLoads, tmp_path: Path, text: str | None, message: str
) -> None:
    file = tmp_path / "response.json"
    if text is not None:
        file.write_text(text)
    assert message.format(file) in read_failure(run("ingest", "--from-file", file))
    assert read_loads() == []


@pytest.mark.parametrize("setting", ["RANDOMUSER_URL", "BIGQUERY_EMULATOR_HOST"])
def test_unreachable_server_fails_and_names_setting(
    run: Run, read_loads: ReadLoads, setting: str
) -> None:
    unreachable = {setting: f"http://127.0.0.1:{find_closed_port()}/", "RETRY_SECONDS": "1"}
    assert setting in read_failure(run("ingest", "--users", "5", **unreachable))
    assert read_loads() == []


def read_failure(done: "subprocess.CompletedProcess[str]") -> str:
    """Check that the loader failed in one line for people, and return the line."""
    assert done.returncode == 1 and not done.stdout and "Traceback" not in done.stderr
    (line,) = for_people(done.stderr)
    assert line.startswith("ingest: ") and "Retrying" not in done.stderr
    return line


def test_check_reports_each_requirement_and_lands_nothing(
    run: Run, raw: str, read_loads: ReadLoads, warehouse: Tables
) -> None:
    done = run("ingest", "--check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line[:9] for line in done.stdout.splitlines()] == ["ok       "] * 5
    assert f"{raw} does not exist; the first load creates it" in done.stdout
    assert raw not in read_datasets(warehouse)

    read_output(run("ingest", "--users", "1"))
    before = read_loads()
    assert f"tables can be created in {warehouse.project}.{raw}" in read_output(
        run("ingest", "--check")
    )
    assert read_loads() == before
    elsewhere = run("ingest", "--check", BIGQUERY_LOCATION="EU")
    assert elsewhere.returncode == 1
    assert "is in US, but BIGQUERY_LOCATION is EU" in elsewhere.stdout

    url = f"http://127.0.0.1:{find_closed_port()}"
    unreachable = {"RANDOMUSER_URL": f"{url}/", "BIGQUERY_EMULATOR_HOST": url}
    done = run("ingest", "--check", **unreachable, RETRY_SECONDS="1")
    missing = [line for line in done.stdout.splitlines() if line.startswith("MISSING  ")]
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert [line[9:].split()[0].rstrip(":") for line in missing] == ["API", "queries", "raw"]


def read_datasets(warehouse: Tables) -> list[str]:
    return [dataset.dataset_id for dataset in warehouse.client.list_datasets()]


def test_empty_warehouse_is_named_and_stays_empty(run: Run, raw: str, warehouse: Tables) -> None:
    listed = read_output(run("ingest", "--list"))
    assert listed.startswith(f"No load has landed in {warehouse.project}.{raw} ")
    line = read_failure(run("ingest", "--accept", "x"))
    assert f"{raw}.loads has no load x: nothing was accepted" in line
    assert raw not in read_datasets(warehouse)


@pytest.mark.parametrize(
    "given",
    [
        "2026-01-01",
        "2026-01-01T00",
        "2026-01-01T00:00Z",
        "2026-01-01 02:00+02:00",
        "2026-01-01T00:00:00.000+00",
        "2025-12-31T19:00:00-05:00",
    ],
)
def test_interval_has_one_load_id(given: str) -> None:
    assert normalize(given) == "2026-01-01T00:00:00+00:00"


@pytest.mark.parametrize(
    "load_id",
    [
        "2026-01-01T00:00:00.123456+00:00",
        "20260101",
        "2026-W01-1",
        "2026-02-30",
        "2026-01-01T25",
        "9999-12-31T23-01",
        "2026-01-01_00",
        "2026-01-01T0000",
        "٢٠٢٦-01-01",
        "manual__2026-01-01T00:00:00+00:00",
        "1.4",
    ],
)
def test_other_load_id_stays_as_given(load_id: str) -> None:
    assert normalize(load_id) == load_id


def test_interval_lands_once_in_any_spelling(run: Run, read_loads: ReadLoads) -> None:
    load, interval = ("ingest", "--users", "5", "--load-id"), "2026-01-01T00:00:00+00:00"
    assert read_output(run(*load, "2026-01-01T00")).endswith(f"users\n  load {interval}")
    assert read_output(run(*load, "2026-01-01 02:00+02:00")).startswith("Already loaded: 5 users")
    assert read_loads() == [(interval, 1, 5)]
    removes = f"Load {interval} is set aside: the next `dbt build` removes its users from the marts"
    assert read_output(run("ingest", "--set-aside", "2026-01-01")).startswith(removes)


def test_raw_of_earlier_version_is_refused_until_it_is_converted(
    run: Run, raw: str, read_loads: ReadLoads, warehouse: Tables
) -> None:
    load = ("ingest", "--users", "5", "--load-id")
    read_output(run(*load, "2026-01-01T00"))
    (sent,) = warehouse.rows(f"select payload from {raw}.users where {ALL_TIME} limit 1")
    old_users = (
        "select '2026-01-01T00' as load_id, record_index, page, "
        "if(record_index = 1, to_json('1e400'), parse_json(payload)) as payload, api_version, "
        f"seed, fetched_at, loaded_at from {raw}.users where {ALL_TIME}"
    )
    warehouse.rows(f"create or replace table {raw}.users as {old_users}")
    old_loads = f"select '2026-01-01T00' as load_id, * except (load_id, load_hash) from {raw}.loads"
    warehouse.rows(f"create or replace table {raw}.loads as {old_loads}")
    line = read_failure(run(*load, "x"))
    assert line.endswith(
        "is of an earlier version: docs/upgrade.md has the statements that convert it"
    )

    page = (ROOT / "docs" / "upgrade.md").read_text()
    (script,) = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    for statement in script.replace("raw_randomuser", raw).split(";\n")[:-1]:
        warehouse.rows(statement)
    payloads = f"select payload from {raw}.users where {ALL_TIME} order by record_index"
    converted = [str(payload) for (payload,) in warehouse.rows(payloads)]
    assert json.loads(converted[0]) == json.loads(str(sent[0])) and converted[1] == "1e400"
    assert read_output(run(*load, "2026-01-01T00")).startswith("Already loaded: 5 users")
    assert read_output(run(*load, "x")).startswith("Loaded 5 users")
    assert read_loads() == [("2026-01-01T00:00:00+00:00", 1, 5), ("x", 1, 5)]


def test_missing_credentials_fail_and_say_how_to_log_in(run: Run) -> None:
    settings = {"BIGQUERY_EMULATOR_HOST": "", "GOOGLE_APPLICATION_CREDENTIALS": "/no/key.json"}
    line = read_failure(run("ingest", "--users", "5", **settings))
    assert "/no/key.json was not found" in line
    assert "run `gcloud auth application-default login`" in line
    checked = run("ingest", "--check", **settings).stdout.splitlines()[-1]
    assert checked.startswith("MISSING  credentials: ") and "gcloud auth" in checked


def test_full_disk_fails_and_names_temporary_folder(run: Run, read_loads: ReadLoads) -> None:
    limited = f"ulimit -f 8; exec {sys.executable} -m ingest --users 1000"  # KB of a file
    done = subprocess.run(
        ["bash", "-c", limited],
        cwd=ROOT,
        env=run.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    line = read_failure(done)
    assert f"cannot write a temporary file in {tempfile.gettempdir()}: [Errno 27]" in line
    assert "set TMPDIR to another folder, then run the load again with --load-id manual-" in line
    assert read_loads() == []


def test_make_pipeline_keeps_load_id(tmp_path: Path) -> None:
    for name in ("python", "dbt"):
        (tmp_path / name).write_text('#!/bin/sh\necho "$(basename $0) $*, LOAD_ID=$LOAD_ID"\n')
        (tmp_path / name).chmod(0o755)
    make = ["make", "--no-print-directory", "pipeline", f"BIN={os.path.relpath(tmp_path, ROOT)}"]
    for load_id in ("a 'load' of $5", ""):
        environment = os.environ | {"LOAD_ID": load_id}
        done = subprocess.run(
            make, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        lines = [line for line in read_output(done).splitlines() if ", LOAD_ID=" in line]
        used = lines[0].partition(", LOAD_ID=")[2]
        assert re.fullmatch(re.escape(load_id) or r"manual-\d{8}T\d{6}Z-\d+", used)
        assert lines[0] == f"python -m ingest --load-id {used}, LOAD_ID={used}"
        assert len(lines) == 7 and all(line.endswith(f", LOAD_ID={used}") for line in lines)
