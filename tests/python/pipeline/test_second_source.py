"""A second source, examples/orders, lands by the same program as users, beside them."""

from collections.abc import Iterator
from pathlib import Path
from threading import Barrier

import pytest
from support.commands import Run, passes
from support.fault_proxy import LEDGER, UPLOADED, loader_step, proxied
from support.load_checks import expected_load, landed_loads
from support.log_lines import for_people
from support.project_copy import add_source, copy_project
from support.proxy import CutError, Request
from support.warehouse import Warehouse

from examples.orders.fake_orders_api import serve

HOUR, EMPTY_HOUR = "2026-01-01T00:00:00+00:00", "2019-01-01T00:00:00+00:00"
ALL_TIME = "loaded_at >= timestamp '1970-01-01'"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return add_source(copy_project(tmp_path_factory.mktemp("copy") / "project"))


@pytest.fixture(scope="module")
def orders_url() -> Iterator[str]:
    with serve() as url:
        yield url


@pytest.fixture
def orders(run: Run, project: Path, orders_url: str) -> Run:
    settings = {"ORDERS_URL": orders_url, "ORDERS_TOKEN": "a-fake-token"}
    settings |= {"ORDERS_RAW_DATASET": f"{run.raw}_orders", "PROJECT_FOLDER": str(project)}
    return Run(run.environment | settings | {"RETRY_SECONDS": "2"})


def count_landed(orders: Run, warehouse: Warehouse) -> list[tuple[object, ...]]:
    """Return each load of the ledger, with its counts and its rows in raw."""
    raw = f"{orders.raw}_orders"
    return warehouse.rows(
        "select load_id, orders_asked, orders_received, orders_landed, orders_forgotten, orders "
        "from (select load_id, count(distinct record_index) as orders "
        f"from {raw}.orders where {ALL_TIME} group by load_id) "
        f"full outer join {raw}.loads using (load_id) order by load_id"
    )


def test_interval_of_orders_lands_once_also_if_it_has_none(
    orders: Run, warehouse: Warehouse
) -> None:
    table = f"{warehouse.project}.{orders.raw}_orders.orders"
    for load_id, count, rows in ((HOUR, 250, 250), (EMPTY_HOUR, 0, None)):
        load = ("ingest", "orders", "--load-id", load_id)
        assert passes(orders(*load)).startswith(f"Loaded {count} orders into {table}\n")
        assert passes(orders(*load)).startswith(f"Already loaded: {count} orders in {table}\n")
        assert (load_id, None, count, count, 0, rows) in count_landed(orders, warehouse)
    pages = f"select distinct page, api_version, seed from `{table}` where {ALL_TIME} order by page"
    assert warehouse.rows(pages) == [(1, "", ""), (2, "", ""), (3, "", "")]
    listed = passes(orders("ingest", "orders", "--list"))
    assert " orders  API" in listed and HOUR in listed and EMPTY_HOUR in listed
    accepted = passes(orders("ingest", "orders", "--accept", HOUR))
    assert "adds its orders to the marts" in accepted
    assert landed_loads(orders, warehouse) == []  # none of users


WRONG = {
    "of a token": (
        {"ORDERS_TOKEN": "x"},
        (HOUR,),
        1,
        "page 1 of {}, received HTTP 401 Unauthorized",
    ),
    "of a URL": (
        {"ORDERS_URL": "http://127.0.0.1:1/"},
        (HOUR,),
        1,
        "check that ORDERS_URL is right",
    ),
    "without a token": ({"ORDERS_TOKEN": ""}, (HOUR,), 2, "ORDERS_TOKEN: "),
    "that is not over": ({}, ("2999-01-01",), 2, "ends at 2999-01-01T01:00:00+00:00"),
    "without an interval": ({}, ("x",), 2, "is not the start of an interval, such as 2026"),
    "of a dataset": (
        {"ORDERS_RAW_DATASET": "a-b"},
        (HOUR,),
        2,
        "is not like 'raw_orders', got 'a-b'",
    ),
}


@pytest.mark.parametrize(
    ("settings", "load_id", "status", "text"), WRONG.values(), ids=WRONG.keys()
)
def test_wrong_load_of_orders_is_one_line_and_lands_nothing(
    orders: Run, settings: dict[str, str], load_id: tuple[str], status: int, text: str
) -> None:
    done = orders("ingest", "orders", "--load-id", *load_id, **settings)
    assert done.returncode == status and not done.stdout and "Traceback" not in done.stderr
    assert text.format(orders.environment["ORDERS_URL"]) in for_people(done.stderr)[-1]
    assert "a-fake-token" not in done.stderr and "customer" not in done.stderr


def test_unknown_source_is_named_with_those_that_there_are(orders: Run) -> None:
    done = orders("ingest", "order", "--load-id", HOUR)
    line = "ingest: there is no source 'order', only orders, randomuser; nothing was done"
    assert done.returncode == 2 and for_people(done.stderr) == [line]


@pytest.mark.parametrize("step", [UPLOADED, LEDGER])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_loaders_of_both_sources_that_are_killed_at_once_finish_their_loads(
    orders: Run, warehouse: Warehouse, step: str, *, after: bool
) -> None:
    both, commands = Barrier(2, timeout=60), (("--users", "20"), ("orders",))
    with proxied(orders, "ingest", step_of=loader_step) as loader:

        def kill_both(_: Request) -> None:
            both.wait()
            for process in processes:
                process.kill()
            raise CutError

        loader.act_at(step, kill_both, after=after, times=(1, 2))
        processes = [loader.start(*words, "--load-id", HOUR) for words in commands]
        for process in processes:
            assert process.wait(60) and process.returncode
        for words in commands:
            loader.finish(*words, "--load-id", HOUR)
    assert count_landed(orders, warehouse) == [(HOUR, None, 250, 250, 0, 250)]
    assert landed_loads(orders, warehouse) == [expected_load(20, HOUR)]
