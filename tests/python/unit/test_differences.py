"""What `make diff` says about two tables."""

from datetime import UTC, datetime, timedelta
from typing import Any

from local.differences import Table, describe

START = datetime(2026, 1, 1, tzinfo=UTC)
BUILDS = [(START, START + timedelta(minutes=1))]


def table(*rows: Any, **types: str) -> Table:
    return types, [dict(zip(types, row, strict=True)) for row in rows]


def compare(before: Table, after: Table) -> list[str]:
    return describe(before, after, BUILDS, examples=2)


def test_row_is_known_by_the_first_columns_that_are_unique() -> None:
    before = table(("a", 1, "x"), ("a", 2, "x"), id="STRING", version="INTEGER", city="STRING")
    after = table(("a", 1, "x"), ("a", 2, None), id="STRING", version="INTEGER", city="STRING")
    assert compare(before, after) == [
        "- rows changed in `city`: 1 of 2",
        "  - `id=a, version=2`: `x` → `null`",
    ]


def test_one_more_of_two_equal_rows_is_added() -> None:
    before, after = table(("a",), ("a",), id="STRING"), table(("a",), ("a",), ("a",), id="STRING")
    assert compare(before, after) == ["- rows added: 1 of 3", "  - `id=a`"]


def test_value_of_another_type_is_the_same_but_null_is_no_text() -> None:
    before = table((1, None), id="INTEGER", city="STRING")
    after = table(("1", "null"), id="STRING", city="STRING")
    assert compare(before, after) == [
        "- column `id`: INTEGER → STRING",
        "- rows changed in `city`: 1 of 1",
        "  - `id=1`: `null` → `'null'`",
    ]


def test_times_differ_unless_the_clock_of_one_build_gave_both() -> None:
    later, outside = START + timedelta(seconds=9), START - timedelta(seconds=1)
    before = table(("a", START), ("b", START), id="STRING", built_at="TIMESTAMP")
    assert compare(before, table(("a", later), ("b", later), **before[0])) == []
    assert compare(before, table(("a", later), ("b", outside), **before[0])) == [
        "- rows changed in `built_at`: 1 of 2",
        "  - `id=b`: `the time of build 1` → `2025-12-31 23:59:59+00:00`",
    ]


def test_no_more_examples_are_shown_than_requested() -> None:
    before = table(*((n, "a") for n in range(1_200)), id="INTEGER", city="STRING")
    after = table(*((n, "b") for n in range(1_200)), id="INTEGER", city="STRING")
    assert compare(before, after) == [
        "- rows changed in `city`: 1,200 of 1,200",
        "  - `id=0`: `a` → `b`",
        "  - `id=1`: `a` → `b`",
    ]
