"""GoogleSQL and the embedded BigQuery give the same results for users with odd values."""

import json
import re
from collections.abc import Iterable
from pathlib import Path

from support.commands import BUILD, ROOT, Run, passes
from support.googlesql import GoogleSQL
from support.odd_users import ODD_KEYS, ODD_VALUES, PATHS, land_texts, make_user
from support.warehouse import Warehouse

Row = tuple[object, ...]

# What is compared, and its columns; the first column is the number of a row.
COLUMNS = {
    "base_randomuser__users": """
        cast(record_index as string), rejection_reason, user_id, username,
        cast(born_on as string), cast(registered_at as string), postcode,
        cast(cast(round(latitude * 10000) as int64) as string)
    """,
    "users_match_documented_fields": (
        "cast(first_record_index as string), field, sent, documented"
    ),
}
FIELDS = ["login", "login/uuid", "login/username", "dob/date", "registered/date"]
FIELDS += ["location/postcode", "location/coordinates/latitude", "location/street"]
# The embedded BigQuery differs here: docs/local-bigquery.md
KNOWN_DIFFERENCES = {
    '"2023-02-28T23:59:60Z"',
    "1e400",
    "-1e400",
    str(10**40),
    "12345678901234567890",
}


def make_odd_users() -> list[str]:
    """Return some 400 users, each with one odd value, key or missing field."""
    values = [odd for odd in ODD_VALUES if odd not in KNOWN_DIFFERENCES and len(odd) < 1500]
    changes = [[(tuple(path.split("/")), "replaced", odd)] for path in FIELDS for odd in values]
    changes += [[(path, "removed", "")] for path in PATHS]
    changes += [[(("nat",), f"beside {key}", "1")] for key in ODD_KEYS]
    changes += [[(("login", "salt"), f"beside {key}", "{}")] for key in ODD_KEYS]
    return values + [make_user(number, change) for number, change in enumerate(changes)]


def test_googlesql_and_embedded_bigquery_give_same_results(
    run: Run, warehouse: Warehouse, tmp_path: Path
) -> None:
    users = make_odd_users()
    land_texts(run, tmp_path / "users.json", "odd", users)
    select = ("--select", "+users_match_documented_fields", "--indirect-selection", "cautious")
    passes(run(*BUILD, *select))
    compiled = {
        name: next((tmp_path / "target/compiled").rglob(f"{name}.sql")).read_text()
        for name in COLUMNS
    }
    google = GoogleSQL({})
    for name, columns in COLUMNS.items():
        results: list[Row] = []
        for first in range(0, len(users), 100):
            query, base = compiled[name], f"({compiled['base_randomuser__users']})"
            tables = {"base_randomuser__users": base} | make_tables(users, first)
            for table, rows in tables.items():
                query = re.sub(rf"`[^`]*`\.`[^`]*`\.`{table}`", lambda _, rows=rows: rows, query)  # type: ignore[misc]
            results += google.evaluate(f"select {columns} from ({query})")
        expected = warehouse.rows(f"select {columns} from ({compiled[name]})")
        assert distinct(results) == distinct(expected)


def make_tables(users: list[str], first: int) -> dict[str, str]:
    """Return queries that give the rows of tables, with 100 users; GoogleSQL holds no tables."""
    texts = ",\n".join(json.dumps(user) for user in users[first : first + 100])
    return {
        "users": f"""
            (select '{first}' as load_id, {first} + nth as record_index, '1.4' as api_version,
                current_timestamp() as fetched_at, current_timestamp() as loaded_at,
                text as payload
            from unnest([{texts}]) as text with offset as nth)
        """,
        "loads": f"(select '{first}' as load_id, current_timestamp() as loaded_at)",
        "documented_fields": documented_fields(),
        "forgotten": "(select 'hash' as user_hash)",
        "forgotten_key": "(select 'key' as key)",
    }


def documented_fields() -> str:
    """Return a query that gives the rows of the seed."""
    lines = (ROOT / "seeds/documented_fields.csv").read_text().splitlines()[1:]
    rows = [
        ", ".join(f"'{cell}'" if cell else "null" for cell in line.split(",")) for line in lines
    ]
    columns = "path string, types string, first_version string, last_version string"
    structs = ", ".join(f"({row})" for row in rows)
    return f"(select * from unnest(array<struct<{columns}>>[{structs}]))"


def distinct(rows: Iterable[Row]) -> list[Row]:
    """Return the first of equal rows, without the quotes around names of fields."""
    first_index: dict[Row, int] = {}
    for index, *values in rows:
        key = tuple(
            re.sub(r'[\\"]', "", value.replace("\n", "n")) if isinstance(value, str) else value
            for value in values
        )
        first_index[key] = min(int(str(index)), first_index.get(key, 10**9))
    return sorted(((index, *key) for key, index in first_index.items()), key=str)
