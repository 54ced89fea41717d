"""The loader, run as its users run it, against the embedded BigQuery and the fake API."""

import json
import re
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.api_core.exceptions import NotFound
from support.commands import ROOT, Run
from support.log_lines import for_people
from support.warehouse import Warehouse as Tables

from ingest import __version__, answers, api, tables
from ingest.settings import Settings, SettingsError
from ingest.warehouse import Warehouse

EVER = "loaded_at >= timestamp '1970-01-01'"
USERS: list[Any] = [
    {"login": {"uuid": "a"}, "name": {"first": "Żaneta", "last": "O'Дар\u200c 👩‍🚀"}},
    {"b": [1, {"c": [None, True, 1.5]}], "a": '"quoted"\\ \t', "": {}},
    "a text",
    17,
    None,
]

Landed = Callable[[], list[tuple[object, ...]]]


@pytest.fixture
def raw(run: Run) -> str:
    return run.raw


@pytest.fixture
def landed(raw: str, warehouse: Tables) -> Landed:
    """Give every load in the tables: its id, its rows in the ledger, its users."""

    def loads() -> list[tuple[object, ...]]:
        try:
            return warehouse.rows(
                "select load_id, "
                f"(select count(*) from {raw}.loads as ledger where ledger.load_id = u.load_id), "
                f"count(*) from {raw}.users as u where {EVER} group by load_id order by load_id"
            )
        except NotFound:
            return []

    return loads


def test_a_ledger_of_an_earlier_version_is_given_the_columns_that_it_lacks(
    run: Run, raw: str, warehouse: Tables
) -> None:
    old = tables.loads(f"{warehouse.project}.{raw}.loads")
    old.schema = [it for it in old.schema if it.name not in ("decision", "decided_at")]
    warehouse.client.create_dataset(raw)
    warehouse.client.create_table(old)
    warehouse.client.create_table(tables.users(f"{warehouse.project}.{raw}.users"))
    assert last_line(run("ingest", "--users", "5", "--load-id", "x")).startswith("Loaded 5 users")
    assert "Load x is set aside" in last_line(run("ingest", "--set-aside", "x"))
    decided = f"select load_id, decision, decided_at > loaded_at from {raw}.loads"
    assert warehouse.rows(decided) == [("x", "set aside", True)]
    nothing = run("ingest", "--accept", "y")
    assert nothing.returncode == 1 and "has no load y: nothing was accepted" in nothing.stderr


def test_a_column_of_raw_is_described_as_the_sources_yaml_begins_to_describe_it() -> None:
    folder = ROOT / "models/staging/randomuser"
    docs = (folder / "_randomuser__docs.md").read_text()
    blocks = dict(re.findall(r"{% docs (\w+) %}\n(.*?)\n{% enddocs %}", docs, re.DOTALL))
    (source,) = yaml.safe_load((folder / "_randomuser__sources.yml").read_text())["sources"]
    for table, schema in zip(source["tables"], (tables.USERS, tables.LOADS), strict=True):
        assert [it["name"] for it in table["columns"]] == [it.name for it in schema]
        for column, ours in zip(table["columns"], schema, strict=True):
            text = re.sub(r"{{ doc\('(\w+)'\) }}", lambda it: blocks[it[1]], column["description"])
            assert ours.description and text.startswith(ours.description.removesuffix("."))


def answer(file: Path, users: list[Any]) -> Path:
    info = {"seed": "abc", "results": len(users), "page": 1, "version": "1.4"}
    file.write_text(json.dumps({"results": users, "info": info}, ensure_ascii=False), "utf-8")
    return file


def closed_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def last_line(done: "subprocess.CompletedProcess[str]") -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def test_users_of_three_pages_land_in_order_and_once(
    run: Run, raw: str, landed: Landed, warehouse: Tables, api_url: str
) -> None:
    load = ("ingest", "--users", "2500", "--load-id", "x")
    table = f"{warehouse.project}.{raw}.users"
    assert last_line(run(*load)) == f"Loaded 2,500 users into {table} (load x)"
    rows = warehouse.rows(
        "select record_index, page, json_value(payload, '$.login.uuid'), seed, api_version, "
        "length(json_value(payload, '$.login.password')) "
        f"from {raw}.users where {EVER} order by record_index"
    )
    assert [row[0] for row in rows] == list(range(2500))
    assert [row[1] for row in rows] == [1 + index // 1000 for index in range(2500)]
    assert len({row[2] for row in rows}) == 2500
    assert {row[3:5] for row in rows} == {(api.seed_of("x"), "1.4")}
    assert {row[5] for row in rows} <= set(range(24, 33))
    password = Settings.model_fields["randomuser_password"].default
    pages = api.pages(api_url, 2500, api.seed_of("x"), password, 60)
    sent = [json.loads(bytes(user))["login"]["uuid"] for page in pages for user in page.users]
    assert [row[2] for row in rows] == sent

    ledger = (
        "select source, api_version, seed, users_asked, users_received, users_landed, "
        f"loader_version, loaded_at, started_at <= loaded_at from {raw}.loads"
    )
    (before,) = warehouse.rows(ledger)
    assert before[:7] == (api_url, "1.4", api.seed_of("x"), 2500, 2500, 2500, __version__)
    assert before[8] is True

    again = last_line(run(*load))
    assert again == f"Already loaded: 2,500 users in {table} (load x); nothing to do"
    more = run("ingest", "--users", "3000", "--load-id", "x")
    assert more.returncode == 2
    (line,) = for_people(more.stderr)
    assert "load x holds 2,500 users, and 3,000 were to be landed" in line
    assert warehouse.rows(ledger) == [before] and landed() == [("x", 1, 2500)]

    assert last_line(run("ingest", "--version")) == f"randomuser {__version__}"
    shown = run("ingest", "--list").stdout.splitlines()[-1]
    assert re.search(r"^\d{4}-\d\d-\d\d \d\d:\d\d +2,500  1\.4 +x  http://", shown)


def test_an_empty_password_setting_leaves_the_service_to_choose_words(
    run: Run, raw: str, warehouse: Tables
) -> None:
    assert "Loaded 50 users" in last_line(run("ingest", "--users", "50", RANDOMUSER_PASSWORD=""))
    length = f"select max(length(json_value(payload, '$.login.password'))) from {raw}.users"
    ((longest,),) = warehouse.rows(f"{length} where {EVER}")
    assert isinstance(longest, int) and longest < 24


def test_a_replay_lands_as_sent_whatever_a_user_is_and_a_second_one_lands_nothing(
    run: Run, raw: str, landed: Landed, warehouse: Tables, tmp_path: Path
) -> None:
    file = answer(tmp_path / "answer.json", [*USERS, {"far": "PAST"}])
    file.write_text(file.read_text("utf-8").replace('"PAST"', "1e400"), "utf-8")
    dry = last_line(run("ingest", "--dry-run", "--from-file", file))
    assert dry.startswith("Would load 6 users") and dry.endswith("nothing was landed")
    assert landed() == []

    assert last_line(run("ingest", "--from-file", file)).startswith("Loaded 6 users")
    payloads = warehouse.rows(
        f"select to_json_string(payload) from {raw}.users where {EVER} order by record_index"
    )
    came = [json.loads(str(payload)) for (payload,) in payloads]
    assert came[:5] == USERS
    assert "1e400" in str(payloads[5][0])  # past every range: the digits that were sent stay

    assert last_line(run("ingest", "--from-file", file)).startswith("Already loaded: 6 users")
    assert landed() == [(answers.load_id_of([file]), 1, 6)]
    ledger = f"select source, users_asked, users_received, seed from {raw}.loads"
    assert warehouse.rows(ledger) == [(str(file), None, 6, "abc")]


class Dying(Warehouse):
    """The process is killed before this statement."""

    before = ""

    def _once(self, step: str, *arguments: Any) -> int | None:
        if step == self.before:
            raise KeyboardInterrupt
        return super()._once(step, *arguments)


@pytest.fixture
def dying(raw: str, warehouse: Tables) -> Dying:
    return Dying(
        Settings.read(
            google_cloud_project=warehouse.project,
            bigquery_emulator_host=warehouse.url,
            raw_dataset=raw,
        )
    )


@pytest.mark.parametrize("step", ["users", "ledger"])
def test_a_load_that_died_before_a_statement_is_finished_by_the_next_run(
    run: Run, dying: Dying, landed: Landed, tmp_path: Path, step: str
) -> None:
    file = answer(tmp_path / "answer.json", USERS)
    dying.before = step
    dying.prepare()
    with pytest.raises(KeyboardInterrupt):
        dying.land("died", answers.saved_pages([file]), None, str(file))
    assert landed() == ([] if step == "users" else [("died", 0, 5)])

    done = run("ingest", "--load-id", "died", "--from-file", file)
    assert last_line(done).startswith("Loaded 5 users")
    assert landed() == [("died", 1, 5)]


def test_a_load_asks_for_the_same_users_each_time_with_a_seed_that_the_api_reads_as_one() -> None:
    seeds = [api.seed_of(load) for load in ("a", "b", "2026-01-01T00:00:00+00:00")]
    assert len(set(seeds)) == 3 and api.seed_of("a") == seeds[0]
    assert all(seed[-1].isalpha() and len(seed) != 18 for seed in seeds)


def test_a_flag_is_stronger_than_the_environment_and_that_than_the_env_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("RANDOMUSER_USERS", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SettingsError, match="GOOGLE_CLOUD_PROJECT: is not set"):
        Settings.read()
    Path(".env").write_text("GOOGLE_CLOUD_PROJECT=of-the-file\nRANDOMUSER_USERS=1\n")
    read = Settings.read(randomuser_users=None)
    assert (read.google_cloud_project, read.randomuser_users) == ("of-the-file", 1)
    monkeypatch.setenv("RANDOMUSER_USERS", "2")
    assert Settings.read().randomuser_users == 2
    assert Settings.read(randomuser_users=3).randomuser_users == 3


@pytest.mark.parametrize(
    ("flags", "environment", "named"),
    [
        (["--wrong"], {}, "unrecognized arguments: --wrong"),
        (["--users", "0"], {}, "wrong settings: --users: "),
        (["--user", "5"], {}, "unrecognized arguments: --user"),
        ([], {"RANDOMUSER_USERS": "0"}, "RANDOMUSER_USERS: "),
        ([], {"RETRY_SECONDS": "0"}, "RETRY_SECONDS: "),
        ([], {"GOOGLE_CLOUD_PROJECT": ""}, "GOOGLE_CLOUD_PROJECT: "),
    ],
    ids=["wrong flag", "no users", "half a flag", "no users set", "no time", "no project"],
)
def test_wrong_use_ends_with_status_2_and_says_what_is_wrong(
    run: Run, landed: Landed, flags: list[str], environment: dict[str, str], named: str
) -> None:
    done = run("ingest", *flags, **environment)
    assert done.returncode == 2 and named in done.stderr and "Traceback" not in done.stderr
    assert landed() == []


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (None, "cannot read {}: No such file"),
        ("<html>", "{} is not JSON: "),
        ("[1]", "{} is not an answer of the randomuser API: "),
        ('{"error": "Uh oh"}', "{} is not an answer of the randomuser API: "),
        (
            '{"results": [], "info": {"seed": "s", "results": 0, "page": 1, "version": "1.4"}}',
            "{} holds no users",
        ),
    ],
    ids=["missing", "no JSON", "no answer", "an error", "empty"],
)
def test_a_file_that_is_no_answer_fails_in_one_line_and_lands_nothing(
    run: Run, landed: Landed, tmp_path: Path, text: str | None, named: str
) -> None:
    file = tmp_path / "answer.json"
    if text is not None:
        file.write_text(text)
    assert named.format(file) in failed_in_one_line(run("ingest", "--from-file", file))
    assert landed() == []


@pytest.mark.parametrize("missing", ["RANDOMUSER_URL", "BIGQUERY_EMULATOR_HOST"])
def test_a_server_that_does_not_answer_fails_in_one_line_that_names_the_setting(
    run: Run, landed: Landed, missing: str
) -> None:
    nobody = {missing: f"http://127.0.0.1:{closed_port()}/", "RETRY_SECONDS": "1"}
    assert missing in failed_in_one_line(run("ingest", "--users", "5", **nobody))
    assert landed() == []


def failed_in_one_line(done: "subprocess.CompletedProcess[str]") -> str:
    """Check that it failed as it should and return what it said, its log lines aside."""
    assert done.returncode == 1 and not done.stdout and "Traceback" not in done.stderr
    (line,) = for_people(done.stderr)
    assert line.startswith("ingest: ") and "Retrying" not in done.stderr
    return line


def test_a_check_says_of_every_need_whether_it_is_met_and_lands_nothing(
    run: Run, raw: str, landed: Landed, warehouse: Tables
) -> None:
    done = run("ingest", "--check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line[:9] for line in done.stdout.splitlines()] == ["ok       "] * 5
    assert f"{raw} is not there; the first load makes it" in done.stdout
    assert raw not in [dataset.dataset_id for dataset in warehouse.client.list_datasets()]

    last_line(run("ingest", "--users", "1"))
    before = landed()
    assert f"{raw} takes tables" in last_line(run("ingest", "--check"))
    assert landed() == before
    elsewhere = run("ingest", "--check", BIGQUERY_LOCATION="EU")
    assert elsewhere.returncode == 1
    assert "lies in US, and BIGQUERY_LOCATION is EU" in elsewhere.stdout

    nobody = f"http://127.0.0.1:{closed_port()}"
    down = {"RANDOMUSER_URL": f"{nobody}/", "BIGQUERY_EMULATOR_HOST": nobody}
    done = run("ingest", "--check", **down, RETRY_SECONDS="1")
    missing = [line for line in done.stdout.splitlines() if line.startswith("MISSING  ")]
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert [line[9:].split()[0].rstrip(":") for line in missing] == ["API", "queries", "raw"]
