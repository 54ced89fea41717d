"""`python -m publish history`: what became of dbt's commands is recorded, each once."""

import json
import shutil
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from support.commands import Run, passes
from support.proxy import proxy
from support.warehouse import Warehouse


@pytest.fixture
def host(built: Run, tmp_path: Path) -> Run:
    """A copy of what dbt wrote, and a raw dataset of its own."""
    left = Path(built.environment["DBT_TARGET_PATH"]).parent / "left"
    folder = shutil.copytree(left, tmp_path / "left")
    settings = {"DBT_TARGET_PATH": f"{folder}/target", "DBT_LOG_PATH": f"{folder}/logs"}
    return Run(built.environment | settings | {"RAW_DATASET": f"raw_{uuid4().hex[:12]}"})


def read_results(host: Run, name: str) -> list[dict[str, Any]]:
    file = Path(host.environment["DBT_TARGET_PATH"], f"{name}.json")
    results: list[dict[str, Any]] = json.loads(file.read_text())["results"]
    return results


def remove_results(host: Run, name: str, **metadata: str) -> None:
    """Leave no results in a file of dbt, as a later command does that was interrupted."""
    file = Path(host.environment["DBT_TARGET_PATH"], f"{name}.json")
    content = json.loads(file.read_text())
    content["metadata"] |= metadata
    file.write_text(json.dumps(content | {"results": []}))


def test_results_are_recorded_once(host: Run, warehouse: Warehouse) -> None:
    with proxy(warehouse.url) as served:
        served.before = lambda sent: served.fail(sent, "lost") if "upload" in sent.path else None
        cut = host("publish", "history", BIGQUERY_EMULATOR_HOST=served.url, RETRY_SECONDS="1")
        assert cut.returncode == 1
    running = [host.start("publish", "history", "--load-id", "05:00") for _ in range(2)]
    outputs = [process.communicate() for process in running]
    assert [process.returncode for process in running] == [0, 0], outputs
    passes(host("publish", "history"))
    expected = {("build", "", "success"), ("source freshness", "", "success")}
    for command, name in (("build", "run_results"), ("source freshness", "sources")):
        results = read_results(host, name)
        expected |= {(command, result["unique_id"], result["status"]) for result in results}
    rows = warehouse.rows(f"select command, node, status from {host.raw}.runs")
    assert len(rows) == len(expected) and {*rows} == expected
    loads = f"select distinct load_id, is_part, is_full_refresh from {host.raw}.runs"
    assert warehouse.rows(loads) == [("05:00", False, False)]


def test_failure_that_nothing_explains_is_recorded_once(host: Run, warehouse: Warehouse) -> None:
    def read_commands() -> list[tuple[object, ...]]:
        sql = f"select command, status from {host.raw}.runs where node = '' order by 1, 2"
        return warehouse.rows(sql)

    def record(*statuses: int) -> None:
        for status in statuses:
            done = host("publish", "history", "--exit-status", f"{status}")
            assert done.returncode == status

    record(0, 137, 137, 1)  # dbt was killed before it wrote, or writes no log that can be read
    unknown, build, check = (
        ("", "no results"),
        ("build", "success"),
        ("source freshness", "success"),
    )
    assert read_commands() == [unknown, unknown, build, check]
    assert "error: a command of dbt left no results" in passes(host("publish", "report"))
    remove_results(host, "sources", invocation_id="b", generated_at="2100-01-01T00:00:00Z")
    record(1)
    no_check = ("source freshness", "no results")
    assert read_commands() == [unknown, unknown, build, no_check, check]
    shutil.rmtree(host.environment["DBT_LOG_PATH"])  # it has another id
    remove_results(host, "run_results", invocation_id="c", generated_at="2100-01-02T00:00:00Z")
    record(2, 0)
    assert read_commands() == [unknown, unknown, ("build", "no results"), build, no_check, check]


def test_table_of_an_earlier_version_gets_the_new_columns(host: Run, warehouse: Warehouse) -> None:
    columns = "invocation_id string not null, command string not null, node string not null"
    columns += ", status string not null, ended_at timestamp not null"
    passes(host("ingest", "--users", "1"))
    warehouse.rows(f"create table {host.raw}.runs ({columns})")
    warehouse.rows(
        f"insert into {host.raw}.runs values ('a', 'build', 'b', 'c', timestamp '2026-01-01')"
    )
    assert "no whole `dbt build`" in passes(host("publish", "report"))
    passes(host("publish", "history"))
    ((count,),) = warehouse.rows(f"select count(distinct details) from {host.raw}.runs")
    assert isinstance(count, int) and count > 30
    assert "tests passed" in passes(host("publish", "report"))
