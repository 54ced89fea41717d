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

from local.__main__ import PROJECT


@pytest.fixture
def host(built: Run, tmp_path: Path) -> Run:
    """A copy of what dbt wrote, and a raw dataset of its own."""
    left = Path(built.environment["DBT_TARGET_PATH"]).parent / "left"
    folder = shutil.copytree(left, tmp_path / "left")
    settings = {"DBT_TARGET_PATH": f"{folder}/target", "DBT_LOG_PATH": f"{folder}/logs"}
    return Run(built.environment | settings | {"RAW_DATASET": f"raw_{uuid4().hex[:12]}"})


def read(host: Run, name: str) -> tuple[Path, dict[str, Any]]:
    """Return a file of dbt, and what is in it."""
    file = Path(host.environment["DBT_TARGET_PATH"], f"{name}.json")
    return file, json.loads(file.read_text())


def remove_results(host: Run, name: str, invocation_id: str, day: int) -> None:
    """Leave no results in a file of dbt, as a later command does that was interrupted."""
    file, content = read(host, name)
    ended_at = f"2100-01-{day:02}T00:00:00Z"
    content["metadata"] |= {"invocation_id": invocation_id, "generated_at": ended_at}
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
        results = read(host, name)[1]["results"]
        expected |= {(command, result["unique_id"], result["status"]) for result in results}
    rows = warehouse.rows(f"select command, node, status from {host.raw}.runs")
    assert len(rows) == len(expected) and {*rows} == expected
    loads = f"select distinct load_id, is_part, is_full_refresh from {host.raw}.runs"
    assert warehouse.rows(loads) == [("05:00", False, False)]


def test_marts_and_sources_are_recorded_with_what_publish_needs(
    built: Run, warehouse: Warehouse
) -> None:
    rows = warehouse.rows(f"select node, details from {built.raw}.runs where details != '{{}}'")
    details = {str(node).split(".")[2]: json.loads(str(text)) for node, text in rows if node}
    published = {name for name, each in details.items() if each.get("is_published")}
    assert published == {"users", "logins", "locations"}
    raw = f"{PROJECT}.{built.raw}"
    tables = {"raw": f"{raw}.users", "ledger": f"{raw}.loads"}
    sources = {name: each["source"] for name, each in details.items() if "source" in each}
    assert sources == {"loads": {"name": "randomuser", "records": "users", **tables}}
    tests = {name: each["held_back"] for name, each in details.items() if "held_back" in each}
    assert tests == {"loads_have_few_rejected_users": "randomuser"}


def test_failure_that_nothing_explains_is_recorded_once(host: Run, warehouse: Warehouse) -> None:
    def record(*statuses: int) -> list[str]:
        """Record what became of dbt, and return all commands without results."""
        for status in statuses:
            done = host("publish", "history", "--exit-status", f"{status}")
            assert done.returncode == status
        sql = f"select command, status from {host.raw}.runs where node = '' order by command"
        rows = [f"{command}: {status}" for command, status in warehouse.rows(sql)]
        assert {"build: success", "source freshness: success"} <= {*rows}
        return [row.partition(":")[0] for row in rows if "success" not in row]

    # dbt was killed before it wrote, or writes no log that can be read
    assert record(0, 137, 137, 1) == ["", ""]
    assert "error: a command of dbt left no results" in passes(host("publish", "report"))
    remove_results(host, "sources", "b", day=1)
    assert record(1) == ["", "", "source freshness"]
    shutil.rmtree(host.environment["DBT_LOG_PATH"])  # it has another id
    remove_results(host, "run_results", "c", day=2)
    assert record(2, 0) == ["", "", "build", "source freshness"]


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
