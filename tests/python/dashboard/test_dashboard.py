"""The dashboard in Superset, started like `make dashboard`: its numbers and its limits."""

import io
import json
import signal
import subprocess
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests
import yaml
from support.commands import BUILD_WITHOUT_TESTS, ROOT, Run, make_settings, passes
from support.factories import user
from support.odd_users import land_texts
from support.warehouse import Warehouse

from local.__main__ import environment

EXPORT = ROOT / "dashboards"
CHARTS = [yaml.safe_load(file.read_text()) for file in (EXPORT / "charts").glob("*.yaml")]
RAW = "raw_of_dashboard"
# The ids of the loads that are not used say their state.
UNUSED = "load_id in ('held-back', 'set-aside', 'not-built')"
IS_USER = "json_value(payload, '$.login.uuid') is not null"
# What the charts must show, from other tables than theirs where there are any.
EXPECTED = {
    "Users": f"""
        select count(distinct json_value(payload, '$.login.uuid')) from {RAW}.users
        where loaded_at > '2000-01-01' and {IS_USER} and not {UNUSED}
    """,
    "Users by country": """
        select country, count(*) from analytics.users
        join analytics.locations using (location_id) group by 1
    """,
    "Registrations by month": """
        select unix_millis(timestamp_trunc(registered_at, month)) as month, count(*)
        from analytics.users group by month
    """,
    "Rejected": f"""
        select (select count(*) from analytics_restricted.stg_randomuser__rejected)
            / (select sum(users_received) from {RAW}.loads where load_id != 'old')
    """,
    "Users of the loads by day": f"""
        select unix_millis(timestamp(day)), countif({IS_USER} and not {UNUSED}),
            countif(load_id = 'not-built' or {IS_USER} and {UNUSED}),
            countif(load_id != 'not-built' and not {IS_USER})
        from unnest(generate_date_array(current_date() - 30, current_date())) as day
        left join {RAW}.loads on day = date(loaded_at)
        left join (select load_id, payload from {RAW}.users where loaded_at > '2000-01-01')
            using (load_id)
        group by day
    """,
    "Newest loads": f"""
        select unix_micros(loads.loaded_at) / 1000, load_id, users_landed,
            if(load_id = 'not-built', null, countif(not {IS_USER})),
            if(load_id = 'not-built', null, countif({IS_USER})),
            if({UNUSED}, replace(load_id, '-', ' '), 'used')
        from {RAW}.loads join {RAW}.users using (load_id)
        where users.loaded_at > '2000-01-01' group by loads.loaded_at, load_id, users_landed
    """,
    "Freshness": f"""
        select timestamp_diff(current_timestamp(), max(loaded_at), minute) / 60 from {RAW}.loads
    """,
}


@dataclass
class Superset:
    """A running Superset, as its page uses it."""

    url: str
    session: requests.Session

    def get(self, path: str) -> requests.Response:
        """Send a GET request to its API."""
        return self.session.get(f"{self.url}/api/v1/{path}", timeout=60)

    def post(self, path: str, **body: object) -> requests.Response:
        """Send a POST request to its API."""
        return self.session.post(f"{self.url}/api/v1/{path}", json=body, timeout=60)

    def datasets(self) -> dict[str, int]:
        """Return the ids of its datasets by their UUIDs."""
        datasets = self.get("dataset/").json()["result"]
        return {dataset["uuid"]: dataset["id"] for dataset in datasets}

    def query(self, dataset: int, **query: object) -> requests.Response:
        """Query a dataset, as a chart does."""
        return self.post(
            "chart/data", datasource={"id": dataset, "type": "table"}, queries=[query], force=True
        )


@pytest.fixture(scope="module")
def superset(
    warehouse: Warehouse, api_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Superset]:
    folder = tmp_path_factory.mktemp("superset")
    settings = make_settings(folder) | {"ANALYTICS_DATASET": "analytics", "RAW_DATASET": RAW}
    run = Run(environment(warehouse.url, RANDOMUSER_URL=api_url) | settings)
    passes(run("ingest", "--users", "10", "--load-id", "old"))
    for table, column in (("users", "loaded_at"), ("loads", "loaded_at"), ("loads", "started_at")):
        warehouse.rows(
            f"update {RAW}.{table} set {column} = timestamp_sub({column}, interval 40 day) "
            "where loaded_at > '2000-01-01'"
        )
    passes(run("ingest", "--users", "200"))
    users = [json.dumps(user(number)) for number in range(40)]
    for load_id, texts in (
        ("odd", ['"no user"', *users[:30]]),
        ("held-back", ['"no user"', *users[30:33]]),
        ("set-aside", users[33:35]),
    ):
        land_texts(run, folder / "users.json", load_id, texts)
    passes(run("ingest", "--set-aside", "set-aside"))
    passes(run(*BUILD_WITHOUT_TESTS))
    land_texts(run, folder / "users.json", "not-built", ['"no user"', *users[35:]])
    passes(run("dbt", "run", "--select", "loads"))
    process = subprocess.Popen(
        [ROOT / ".venv/superset/bin/python", "-m", "local.superset"],
        cwd=ROOT,
        env=run.environment | {"LOCAL_DIR": str(folder)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        process.stdout.readline()  # that it starts
        url = process.stdout.readline().split()[1].split("/superset/")[0]
        superset = Superset(url, requests.Session())
        token = superset.get("security/csrf_token/").json()["result"]
        superset.session.headers.update({"X-CSRFToken": token, "Referer": url})
        yield superset
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=5)


@pytest.mark.parametrize("chart", CHARTS, ids=[chart["slice_name"] for chart in CHARTS])
def test_chart_shows_numbers_of_tables(
    superset: Superset, warehouse: Warehouse, chart: dict[str, Any]
) -> None:
    params = chart["params"]
    axis: Any = params.get("x_axis")
    if grain := params.get("time_grain_sqla"):
        column = {"expressionType": "SQL", "sqlExpression": axis, "label": axis}
        axis = column | {"columnType": "BASE_AXIS", "timeGrain": grain}
    columns = params.get("all_columns", [axis] if axis else [])
    metrics = params.get("metrics", [params["metric"]] if "metric" in params else None)
    dataset = superset.datasets()[chart["dataset_uuid"]]
    filters = [
        {"col": each["subject"], "op": each["operator"], "val": each["comparator"]}
        for each in params.get("adhoc_filters", [])
    ]

    def expected() -> list[tuple[object, ...]]:
        return sort_rows(warehouse.rows(EXPECTED[chart["slice_name"]]))

    before = expected()
    answer = superset.query(dataset, columns=columns, metrics=metrics, filters=filters)
    assert answer.ok, answer.text
    (result,) = answer.json()["result"]
    shown = sort_rows([tuple(row.values()) for row in result["data"]])
    assert before <= shown <= expected()  # all are the same, but the hours since the newest load


def sort_rows(rows: list[tuple[Any, ...]]) -> list[tuple[object, ...]]:
    """Return rows in order, with floating-point numbers rounded to 12 digits."""
    return sorted(
        tuple(float(f"{v:.12g}") if isinstance(v, float) else v for v in row) for row in rows
    )


@pytest.mark.parametrize(
    "sql",
    [
        "select * from analytics_restricted.logins",
        "select * from `local-project.analytics_restricted`.logins",
        "select user_id, (select max(password) from analytics_restricted.logins) from users",
        f"select payload from {RAW}.users where loaded_at > '2000-01-01'",
        "select table_name from analytics_restricted.INFORMATION_SCHEMA.TABLES",
    ],
)
def test_restricted_dataset_is_out_of_reach(superset: Superset, sql: str) -> None:
    (database,) = superset.get("database/").json()["result"]
    allowed = superset.post(
        "sqllab/execute/", database_id=database["id"], sql="select user_id from analytics.users"
    )
    assert len(allowed.json()["data"]) == 240
    refused = superset.post("sqllab/execute/", database_id=database["id"], sql=sql)
    assert "Access Denied" in refused.json()["errors"][0]["message"]


def test_only_analytics_is_listed(superset: Superset) -> None:
    (database,) = superset.get("database/").json()["result"]
    path = f"database/{database['id']}"
    assert superset.get(f"{path}/schemas/").json()["result"] == ["analytics"]
    tables = {
        dataset: superset.get(f"{path}/tables/?q=(schema_name:{dataset})").json()["count"]
        for dataset in ("analytics", "analytics_restricted")
    }
    assert tables["analytics"] > 0
    assert tables["analytics_restricted"] == 0


def test_page_calls_no_other_server(superset: Superset) -> None:
    page = superset.session.get(f"{superset.url}/superset/dashboard/randomuser/", timeout=60)
    assert page.ok
    assert "." not in page.headers["Content-Security-Policy"]


def test_export_is_what_is_in_git(superset: Superset) -> None:
    (dashboard,) = superset.get("dashboard/").json()["result"]
    answer = superset.get(f"dashboard/export/?q=!({dashboard['id']})")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as bundle:
        exported = read_export([bundle.read(name) for name in bundle.namelist()])
    kept = read_export([file.read_bytes() for file in EXPORT.rglob("*.yaml")])
    assert kept.keys() == exported.keys()
    assert_contains(exported, kept)


def read_export(texts: list[bytes]) -> dict[str, Any]:
    """Return the files of an export by their UUIDs; columns and metrics are in no order."""
    files = [file for file in map(yaml.safe_load, texts) if "uuid" in file]
    for file in files:
        for kind in {"column", "metric"} & {key.removesuffix("s") for key in file}:
            file[f"{kind}s"] = {item[f"{kind}_name"]: item for item in file[f"{kind}s"]}
    return {file["uuid"]: file for file in files}


def assert_contains(exported: Any, kept: Any) -> None:
    """Check that all that is kept is in the export, which adds defaults and has other ids."""
    if isinstance(kept, dict):
        for key in kept.keys() - {"chartId"}:
            assert_contains(exported[key], kept[key])
    else:
        assert exported == kept
