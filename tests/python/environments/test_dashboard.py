"""The dashboard in Superset, started like `make dashboard`: its numbers and its limits."""

import io
import json
import zipfile
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import yaml
from support.commands import BUILD_WITHOUT_TESTS, ROOT, Run, make_settings, passes
from support.factories import user
from support.odd_users import land_texts
from support.superset import Superset, start_superset
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


@pytest.fixture(scope="module")
def superset(
    warehouse: Warehouse, api_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Superset]:
    folder = tmp_path_factory.mktemp("superset")
    settings = make_settings(folder) | {"ANALYTICS_DATASET": "analytics", "RAW_DATASET": RAW}
    run = Run(environment(warehouse.url, RANDOMUSER_URL=api_url) | settings)
    passes(run("ingest", "--users", "10", "--load-id", "old"))
    for column in ("users.loaded_at", "loads.started_at", "loads.loaded_at"):
        table, _, name = column.partition(".")
        older = f"{name} = timestamp_sub({name}, interval 40 day) where loaded_at > '2000-01-01'"
        warehouse.rows(f"update {RAW}.{table} set {older}")
    passes(run("ingest", "--users", "200"))
    users = [json.dumps(user(number)) for number in range(40)]
    land = partial(land_texts, run, folder / "users.json")
    land("odd", ['"no user"', *users[:30]])
    land("held-back", ['"no user"', *users[30:33]])
    land("set-aside", users[33:35])
    passes(run("ingest", "--set-aside", "set-aside"))
    passes(run(*BUILD_WITHOUT_TESTS))
    land("not-built", ['"no user"', *users[35:]])
    passes(run("dbt", "run", "--select", "loads"))
    with start_superset(run.environment | {"LOCAL_DIR": str(folder)}) as superset:
        yield superset


@pytest.mark.parametrize("chart", CHARTS, ids=[chart["slice_name"] for chart in CHARTS])
def test_chart_shows_numbers_of_tables(
    superset: Superset, warehouse: Warehouse, chart: dict[str, Any]
) -> None:
    def expected() -> list[tuple[object, ...]]:
        return sort_rows(warehouse.rows(EXPECTED[chart["slice_name"]]))

    params = chart["params"]
    columns = params.get("all_columns", [params["x_axis"]] if "x_axis" in params else [])
    if grain := params.get("time_grain_sqla"):
        column = {"expressionType": "SQL", "sqlExpression": columns[0], "label": columns[0]}
        columns = [column | {"columnType": "BASE_AXIS", "timeGrain": grain}]
    query = {
        "columns": columns,
        "metrics": params.get("metrics", [params["metric"]] if "metric" in params else None),
        "filters": [
            {"col": each["subject"], "op": each["operator"], "val": each["comparator"]}
            for each in params.get("adhoc_filters", [])
        ],
    }
    dataset = {"id": superset.find("dataset")[chart["dataset_uuid"]]["id"], "type": "table"}
    before = expected()
    answer = superset.call("post", "chart/data", datasource=dataset, queries=[query], force=True)
    assert answer.ok, answer.text
    (result,) = answer.json()["result"]
    shown = sort_rows([tuple(row.values()) for row in result["data"]])
    assert before <= shown <= expected()  # all are the same, but the hours since the newest load


def sort_rows(rows: list[tuple[Any, ...]]) -> list[tuple[object, ...]]:
    """Return rows in order, with floating-point numbers rounded to 12 digits."""
    return sorted(
        tuple(float(f"{v:.12g}") if isinstance(v, float) else v for v in row) for row in rows
    )


def test_only_analytics_is_within_reach(superset: Superset) -> None:
    def run(sql: str) -> Any:
        return superset.call("post", "sqllab/execute/", database_id=database["id"], sql=sql).json()

    (database,) = superset.find("database").values()
    assert len(run("select user_id from analytics.users")["data"]) == 240
    for sql in (
        "select * from analytics_restricted.logins",
        "select * from `local-project.analytics_restricted`.logins",
        "select user_id, (select max(password) from analytics_restricted.logins) from users",
        f"select payload from {RAW}.users where loaded_at > '2000-01-01'",
        "select table_name from analytics_restricted.INFORMATION_SCHEMA.TABLES",
    ):
        assert "Access Denied" in run(sql)["errors"][0]["message"], sql
    path = f"database/{database['id']}"
    assert superset.call("get", f"{path}/schemas/").json()["result"] == ["analytics"]
    for dataset in ("analytics", "analytics_restricted"):
        tables = superset.call("get", f"{path}/tables/?q=(schema_name:{dataset})").json()["count"]
        assert bool(tables) is (dataset == "analytics")


def test_page_calls_no_other_server(superset: Superset) -> None:
    page = superset.request("get", f"{superset.url}/superset/dashboard/randomuser/", timeout=60)
    assert page.ok
    assert "." not in page.headers["Content-Security-Policy"]


def test_export_is_what_is_in_git(superset: Superset) -> None:
    (dashboard,) = superset.find("dashboard").values()
    answer = superset.call("get", f"dashboard/export/?q=!({dashboard['id']})")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as bundle:
        exported = by_uuid([bundle.read(name) for name in bundle.namelist()])
    kept = by_uuid([file.read_bytes() for file in EXPORT.rglob("*.yaml")])
    assert kept.keys() == exported.keys()
    for uuid, file in kept.items():
        assert contains(exported[uuid], file), (exported[uuid], file)


def by_uuid(texts: list[bytes]) -> dict[str, Any]:
    """Return the files of an export by their UUIDs."""
    return {file["uuid"]: file for file in map(yaml.safe_load, texts) if "uuid" in file}


def contains(exported: Any, kept: Any) -> bool:
    """Return whether all that is kept is in the export, which adds defaults and has other ids."""
    if isinstance(kept, dict):
        keys = kept.keys() - {"chartId"}
        return keys <= exported.keys() and all(contains(exported[key], kept[key]) for key in keys)
    if isinstance(kept, list):
        return all(any(contains(item, each) for item in exported) for each in kept)
    return bool(exported == kept)
