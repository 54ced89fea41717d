"""Fields that are not as documented are named by a dbt test, and stay in raw."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from support.commands import BUILD, RESPONSES, Run, passes
from support.factories import Load, User, land, make_raw, user
from support.warehouse import Warehouse

# Only what the drift test reads: base and the documented fields.
DRIFT_TEST = ("--select", "+users_match_documented_fields", "--indirect-selection", "empty")


def find_drift(run: Run, warehouse: Warehouse, *loads: Load) -> list[dict[str, Any]]:
    """Land and build the loads, and return the rows of drift."""
    make_raw(run, warehouse)
    land(run, warehouse, *loads)
    passes(run(*BUILD, *DRIFT_TEST))
    target = Path(run.environment["DBT_TARGET_PATH"])
    return warehouse.read_failures(target, "users_match_documented_fields")


def user_with(number: int, path: str, value: Any) -> User:
    """Return a user with another value at a path; `...` removes the field."""
    container = changed = user(number)
    *parents, name = path.split("/")
    for parent in parents:
        container = container[parent]
    container[name] = value
    if value is ...:
        del container[name]
    return changed


# where a user is changed to what, what was sent and what is documented
CHANGES: list[tuple[str, Any, str, str]] = [
    ("rank", 7, "new", "nothing"),
    ("login/a.b", {"c": 1}, "new", "nothing"),
    ("location/street/it's", [1, 2], "new", "nothing"),
    ('say "hi"', None, "new", "nothing"),
    ("📮", "x", "new", "nothing"),
    ("nat", ..., "missing", "string"),
    ("picture", ..., "missing", "object"),
    ("location/coordinates/latitude", ..., "missing", "string"),
    ("dob/age", "36", "string", "number"),
    ("email", None, "null", "string"),
    ("name", "Ann", "string", "object"),
    ("id/value", 7, "number", "string null"),
]


def test_changed_field_is_named_with_its_load(run: Run, warehouse: Warehouse) -> None:
    now = datetime.now(UTC)
    users = [user(10), *(user_with(20 + n, *change[:2]) for n, change in enumerate(CHANGES))]
    # two with the structure of the first, and one whose postcode is a number
    users += [user_with(number, "rank", 8) for number in (98, 99)]
    before = Load("before", now, [user(0), user(1)])
    drift = find_drift(run, warehouse, before, Load("with", now, users))
    expected = [
        ("with", "1.4", path.replace("/", "."), *types, 1 + n, 3 if path == "rank" else 1)
        for n, (path, _, *types) in enumerate(CHANGES)
    ]
    assert sorted(tuple(row.values()) for row in drift) == sorted(expected)
    passes(run("publish", "history"))
    recorded = f"select details from {run.raw}.runs where node like '%documented_fields%'"
    *shown, more = json.loads(str(warehouse.rows(f"{recorded} and status = 'warn'")[0][0]))["rows"]
    assert len(shown) == 10 and more == f"... and {len(CHANGES) - 10} more"
    assert all(row.startswith("load_id=with, api_version=1.4, field=") for row in shown)


# What the service has sent; it sends the same fields in versions that are not there yet.
VERSIONS = {version: version for version in ("1.0", "1.1", "1.2", "1.3", "1.4")}
VERSIONS |= {"1.5": "1.4", "1.10": "1.4"}
WITHOUT_KEY = "login.uuid is missing: the API gives no key before version 1.2"
OLDER = user_with(99, "dob/age", "36")  # the field came with version 1.2, before 1.10


def test_api_versions_give_same_columns_or_are_rejected(run: Run, warehouse: Warehouse) -> None:
    loads = [Load("older", datetime.now(UTC), [OLDER], "1.10")]
    for load_id, name in (*VERSIONS.items(), ("1.4 partial", "1.4-partial")):
        users = json.loads((RESPONSES / f"randomuser-{name}.json").read_text())["results"]
        loads.append(Load(load_id, datetime.now(UTC), users, load_id.split()[0]))
    drift = find_drift(run, warehouse, *loads)
    partial = {row["field"] for row in drift if row["load_id"] == "1.4 partial"}
    assert partial > {"gender", "location", "dob", "picture"}
    others = [(row["load_id"], row["field"]) for row in drift if row["load_id"] != "1.4 partial"]
    assert others == [("older", "dob.age")]

    columns = "street_number, street_name, city, postcode, latitude, timezone_offset, picture_url, "
    columns += "gender, born_on, registered_at"
    outcomes = warehouse.rows(
        "select load_id, rejection_reason, count(*), "
        f"countif(to_json_string(struct({columns})) not like '%:null%' and user_id is not null) "
        f"from {run.analytics}_restricted.base_randomuser__users "
        "where loaded_at >= timestamp '1970-01-01' and load_id != 'older' group by 1, 2"
    )
    accepted = [version for version in VERSIONS if version not in ("1.0", "1.1")]
    assert {*outcomes} == {
        *((version, WITHOUT_KEY, 50, 0) for version in ("1.0", "1.1")),
        *((version, None, 50, 50) for version in accepted),
        ("1.4 partial", None, 20, 0),
    }
