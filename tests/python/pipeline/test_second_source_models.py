"""The models of the example `orders`, in a copy of the project, beside those of users.

The builds follow one another, each a fixture; the tests look at what each has left.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.column_classes import ColumnClasses
from support.commands import BUILD, Run, make_settings, passes
from support.factories import Load, land, make_raw, user
from support.forgetting import FORGET
from support.project_copy import add_source, copy_project
from support.warehouse import Warehouse

from local.__main__ import environment

NOW = datetime.now(UTC)
FIRST, EMPTY, SECOND, THIRD = ((NOW - timedelta(hours=n)).isoformat() for n in (4, 3, 2, 1))
WARNINGS = {"orders_are_not_rejected": "warn", "orders_match_documented_fields": "warn"}
HELD_BACK = {"loads_have_few_rejected_orders": "fail", "loads_have_few_rejected_users": "fail"}


def make_id(number: int) -> str:
    return f"aaaaaaaa-0000-4000-8000-{number:012}"


def order(number: int, **fields: Any) -> dict[str, Any]:
    """Return an order as the API sends one; each has a customer of its own."""
    line = {"sku": "A-1", "name": "Lamp", "quantity": 2, "price": "19.90"}
    customer = {"id": make_id(number).upper(), "name": f"Ann {number}"}
    customer |= {"email": f"ann{number}@example.com"}
    sent: dict[str, Any] = {"id": make_id(1000 + number), "customer": customer, "note": None}
    sent |= {"created_at": "2026-01-01T00:20:00Z", "currency": "EUR", "lines": [line, line]}
    return sent | {"total": "39.80"} | fields


@dataclass
class Build:
    """What a build has left."""

    shop: "Shop"
    output: str
    problems: dict[str, str]  # how each node ended that did not end well
    failures: dict[str, list[dict[str, Any]]]  # rows of tests that warned or failed
    rows: dict[str, list[tuple[object, ...]]]  # of the marts that were built


@dataclass
class Shop:
    """The copy of the project, which builds users and orders."""

    run: Run
    orders: Run  # its raw dataset is that of orders
    warehouse: Warehouse
    project: Path

    def land(self, *loads: Load) -> None:
        """Land loads of orders."""
        land(self.orders, self.warehouse, *loads, records="orders")

    def build(self, *flags: str) -> Build:
        """Build the project and read what it left."""
        output = self.run(*BUILD, *flags, "--project-dir", self.project).stdout
        target, data = Path(self.run.environment["DBT_TARGET_PATH"]), self.run.analytics
        results = json.loads((target / "run_results.json").read_text())["results"]
        ended = {result["unique_id"].split(".")[2]: result["status"] for result in results}
        problems = {n: how for n, how in ended.items() if how not in ("success", "pass", "no-op")}
        failed = [name for name, status in problems.items() if status in ("warn", "fail")]
        queries = {
            "users": f"select load_id, count(*) from {data}.users group by 1",
            "loads": f"select load_id, state, users_accepted from {data}.loads",
            "orders": f"select * except (fetched_at, loaded_at) from {data}.orders",
            "orders_loads": f"select load_id, state, orders_accepted from {data}.orders_loads",
        }
        rows = {
            name: self.warehouse.rows(f"{query} order by 1")
            for name, query in queries.items()
            if name not in problems
        }
        failures = {name: self.warehouse.read_failures(target, name) for name in failed}
        return Build(self, output, problems, failures, rows)


@pytest.fixture(scope="module")
def shop(warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    folder = tmp_path_factory.mktemp("orders")
    settings = environment(warehouse.url) | make_settings(folder)
    run = Run(settings | {"ORDERS_RAW_DATASET": f"{settings['RAW_DATASET']}_of_orders"})
    orders = Run(run.environment | {"RAW_DATASET": run.environment["ORDERS_RAW_DATASET"]})
    return Shop(run, orders, warehouse, add_source(copy_project(folder / "project")))


@pytest.fixture(scope="module")
def before(shop: Shop) -> Build:
    """The build before the first load of orders."""
    make_raw(shop.run, shop.warehouse)
    land(shop.run, shop.warehouse, Load(FIRST, NOW, [user(1), user(2)]))
    return shop.build()


@pytest.fixture(scope="module")
def first(before: Build) -> Build:
    """The build after a load with a bad order and one with a new field, and a load of no orders."""
    shop, odd = before.shop, [order(30, total="much"), order(31, coupon="X")]
    make_raw(shop.orders, shop.warehouse, "orders")
    orders = [*map(order, range(1, 24)), *odd]
    shop.land(Load(FIRST, NOW, orders, ""), Load(EMPTY, NOW, [], ""))
    return shop.build()


@pytest.fixture(scope="module")
def second(first: Build) -> Build:
    """The build after two hours, of which the first has bad orders, the other bad users."""
    shop, bad_users = first.shop, Load(THIRD, NOW, [user(4), "bad"])
    land(shop.run, shop.warehouse, Load(SECOND, NOW, [user(3)]), bad_users)
    bad = Load(SECOND, NOW, [order(41), order(40, customer=None)], "")
    shop.land(bad, Load(THIRD, NOW, [order(1, total="10.00"), order(42)], ""))
    return shop.build()


@pytest.fixture(scope="module")
def forgotten(second: Build) -> tuple[str, Build]:
    """The receipt of forgetting the customer of order 1, who is in two loads, and a rebuild."""
    shop, args = second.shop, json.dumps({"emails": ["ANN1@example.com"]})
    receipt = passes(shop.run(*FORGET, "--args", args, "--project-dir", shop.project))
    return receipt, shop.build("--full-refresh")


def test_users_are_built_before_first_load_of_orders(before: Build) -> None:
    assert before.rows == {"users": [(FIRST, 2)], "loads": [(FIRST, "used", 2)]}
    errors = [name for name, status in before.problems.items() if status == "error"]
    assert errors == ["source_unique_orders_loads_load_id"]
    assert {*before.problems.values()} == {"error", "skipped"}
    assert (
        f"Not found: Dataset local-project:{before.shop.orders.raw} was not found" in before.output
    )


def test_orders_reach_mart_and_bad_order_is_rejected(first: Build) -> None:
    orders = first.rows["orders"]
    assert [row[0] for row in orders] == [make_id(1000 + n) for n in (*range(1, 24), 31)]
    bought, customer = datetime(2026, 1, 1, 0, 20, tzinfo=UTC), (make_id(1), "Ann 1")
    expected = (*customer, "ann1@example.com", bought, "EUR", Decimal("39.8"), 2, FIRST)
    assert orders[0] == (make_id(1001), *expected)
    reason = "total is missing or not a number (1)"
    rejected = {"load_id": FIRST, "orders": 1, "reasons": reason}
    assert first.failures["orders_are_not_rejected"] == [rejected]


def test_empty_load_is_used_and_no_test_complains(first: Build) -> None:
    assert first.rows["orders_loads"] == [(FIRST, "used", 24), (EMPTY, "used", 0)]
    assert first.problems == WARNINGS


def test_new_field_of_orders_is_named(first: Build) -> None:
    (row,) = first.failures["orders_match_documented_fields"]
    sent = {"field": "coupon", "sent": "new", "first_record_index": 24, "orders": 1}
    assert row == {"load_id": FIRST, "api_version": "", "documented": "nothing"} | sent


def test_load_is_held_back_alone_though_other_source_has_its_id(second: Build) -> None:
    assert second.problems == WARNINGS | HELD_BACK
    for load_id, test in zip((SECOND, THIRD), HELD_BACK, strict=True):
        assert [row["load_id"] for row in second.failures[test]] == [load_id]
    (held_back,) = second.failures["loads_have_few_rejected_orders"]
    to_do = f"python -m ingest orders --accept {SECOND}, or --set-aside {SECOND}"
    assert held_back["to_do"] == to_do
    assert second.rows["loads"][1:] == [(SECOND, "used", 1), (THIRD, "held back", 1)]
    assert second.rows["users"] == [(FIRST, 2), (SECOND, 1)]
    assert second.rows["orders_loads"][2:] == [(SECOND, "held back", 1), (THIRD, "used", 2)]


def test_newest_version_of_order_wins(first: Build, second: Build) -> None:
    changed, *others = first.rows["orders"]
    newest, *rest = second.rows["orders"]
    assert newest == (*changed[:6], Decimal(10), 2, THIRD)
    assert rest[:-1] == others and rest[-1][0] == make_id(1042)


def test_forgotten_customer_is_nowhere_and_rebuild_gives_same_rows(
    second: Build, forgotten: tuple[str, Build]
) -> None:
    shop, (receipt, rebuilt) = second.shop, forgotten
    assert rebuilt.problems == second.problems
    assert rebuilt.rows == second.rows | {"orders": second.rows["orders"][1:]}
    for name, text in shop.warehouse.read_texts(shop.orders.raw, shop.run.analytics).items():
        assert make_id(1) not in text.lower() and "ann1@" not in text, name
    ((known,),) = shop.warehouse.rows(f"select user_hash from {shop.orders.raw}.forgotten")
    assert str(known) in receipt
    ledger = f"select load_id from {shop.orders.raw}.loads where orders_forgotten = 1 order by 1"
    assert shop.warehouse.rows(ledger) == [(FIRST,), (THIRD,)]


def test_columns_of_orders_have_classes_that_protect_them(first: Build) -> None:
    manifest = Path(first.shop.run.environment["DBT_TARGET_PATH"], "manifest.json").read_text()
    classes, client = ColumnClasses(json.loads(manifest)), first.shop.warehouse.client
    built = {name: [*node["columns"]] for name, node in classes.tables.items()}
    for name in built:
        if "order" in name:
            built[name] = [column.name for column in client.get_table(name).schema]
    assert not classes.find_problems(built)
