"""Fields that are not as documented are named by a dbt test, and stay in raw."""

import json
from pathlib import Path
from typing import Any

from support.commands import RESPONSES, Run, passes
from support.factories import User, response_file, user
from support.warehouse import Warehouse

BUILD = ("dbt", "--quiet", "build", "--exclude-resource-type", "unit_test")
# Only what the drift test reads: base and the documented fields.
DRIFT_TEST = ("--select", "+users_match_documented_fields", "--indirect-selection", "cautious")


def build(run: Run, warehouse: Warehouse, *flags: str) -> list[dict[str, Any]]:
    """Build, and return the rows of drift."""
    passes(run(*BUILD, *flags))
    target = Path(run.environment["DBT_TARGET_PATH"])
    return warehouse.read_failures(target, "users_match_documented_fields")


def user_with(number: int, path: str, value: Any) -> User:
    """Return a user with another value at a path; `...` removes the field."""
    drifted = user(number)
    *parents, name = path.split("/")
    container = drifted
    for parent in parents:
        container = container[parent]
    if value is ...:
        del container[name]
    else:
        container[name] = value
    return drifted


# where a user is changed to what, and the field, what was sent and what is documented
CHANGES: list[tuple[str, Any, str, str, str]] = [
    ("rank", 7, "rank", "new", "nothing"),
    ("login/a.b", {"c": 1}, "login.a.b", "new", "nothing"),
    ("location/street/it's", [1, 2], "location.street.it's", "new", "nothing"),
    ('say "hi"', None, 'say "hi"', "new", "nothing"),
    ("📮", "x", "📮", "new", "nothing"),
    ("nat", ..., "nat", "missing", "string"),
    ("picture", ..., "picture", "missing", "object"),
    ("location/coordinates/latitude", ..., "location.coordinates.latitude", "missing", "string"),
    ("gender", 1, "gender", "number", "string"),
    ("dob/age", "36", "dob.age", "string", "number"),
    ("email", None, "email", "null", "string"),
    ("phone", True, "phone", "boolean", "string"),
    ("name", "Ann", "name", "string", "object"),
    ("cell", {"number": 1}, "cell", "object", "string"),
    ("id/value", 7, "id.value", "number", "string null"),
]


def test_changed_field_is_named_with_its_load(
    run: Run, warehouse: Warehouse, tmp_path: Path
) -> None:
    run(
        "ingest",
        "--load-id",
        "before",
        "--from-file",
        response_file(tmp_path, "a", [user(0), user(1)]),
    )
    assert build(run, warehouse, *DRIFT_TEST) == []

    users = [
        user(10),
        user(11),
        *(user_with(20 + n, *change[:2]) for n, change in enumerate(CHANGES)),
    ]
    users.append(user_with(99, "rank", 8))
    run("ingest", "--load-id", "with", "--from-file", response_file(tmp_path, "b", users))
    build(run, warehouse, "--store-failures")
    passes(run("publish", "history"))
    drift = f"select details from {run.raw}.runs where node like '%documented_fields%'"
    *shown, more = json.loads(str(warehouse.rows(f"{drift} and status = 'warn'")[0][0]))["rows"]
    assert len(shown) == 10 and more == f"... and {len(CHANGES) - 10} more"
    assert all(row.startswith("load_id=with, api_version=1.4, field=") for row in shown)
    table = f"{run.analytics}_restricted.users_match_documented_fields"
    stored = warehouse.rows(
        f"select field, sent, documented, load_id, first_record_index, users from {table}"
    )
    expected = [
        (*change[2:], "with", 2 + n, 2 if change[2] == "rank" else 1)
        for n, change in enumerate(CHANGES)
    ]
    assert sorted(stored) == sorted(expected)

    run("ingest", "--load-id", "after", "--from-file", response_file(tmp_path, "c", [user(100)]))
    build(run, warehouse, "--store-failures", *DRIFT_TEST)
    assert sorted(warehouse.rows(f"select distinct load_id from {table}")) == [("with",)]
    in_raw = f"""
        select json_value(payload, '$.rank') from {run.raw}.users
        where json_value(payload, '$.rank') is not null and loaded_at >= timestamp '1970-01-01'
    """
    assert sorted(warehouse.rows(in_raw)) == [("7",), ("8",)]


VERSIONS = ("1.0", "1.1", "1.2", "1.3", "1.4", "1.5", "1.10")


OLDER = user_with(99, "dob/age", "36")  # the field came with version 1.2, before 1.10


def test_api_versions_give_same_columns_or_are_rejected(
    run: Run, warehouse: Warehouse, tmp_path: Path
) -> None:
    for n, version in enumerate(VERSIONS):
        users = [user(10 * n, version), user(10 * n + 1, version)]
        file = response_file(tmp_path, version, users, version)
        assert run("ingest", "--load-id", version, "--from-file", file).returncode == 0
    assert build(run, warehouse, *DRIFT_TEST) == []
    base = f"{run.analytics}_restricted.base_randomuser__users"
    columns = """
        street_number, street_name, city, postcode, latitude, timezone_offset, identity_name,
        cast(born_on as string) as born_on, gender, picture_url is not null as has_picture
    """
    rows = warehouse.rows(
        f"select api_version, rejection_reason, to_json_string(struct({columns})) from {base} "
        "where loaded_at >= timestamp '1970-01-01' order by 1, record_index"
    )
    accepted: dict[str, list[object]] = {str(row[0]): [] for row in rows if not row[1]}
    for sent_by, reason, user_columns in rows:
        if str(sent_by) in accepted:
            assert reason is None
            accepted[str(sent_by)].append(user_columns)
        else:
            assert reason == "login.uuid is missing: the API gives no key before version 1.2"
    assert set(accepted) == {"1.2", "1.3", "1.4", "1.5", "1.10"}
    assert len({json.dumps(users) for users in accepted.values()}) == 1
    run("ingest", "--load-id", "x", "--from-file", response_file(tmp_path, "x", [OLDER], "1.10"))
    (age,) = build(run, warehouse, *DRIFT_TEST)
    assert (age["load_id"], age["field"], age["sent"]) == ("x", "dob.age", "string")


def test_real_responses_match_documented_fields_of_their_version(
    run: Run, warehouse: Warehouse
) -> None:
    for version in (*VERSIONS[:5], "1.4-partial"):
        file = RESPONSES / f"randomuser-{version}.json"
        assert run("ingest", "--load-id", version, "--from-file", file).returncode == 0
    warnings = build(run, warehouse, "--vars", "rejected_share: 1")
    assert {row["load_id"] for row in warnings} == {"1.4-partial"}
    assert {row["field"] for row in warnings} > {"gender", "location", "dob", "picture"}
    counts = "load_id, count(*), countif(location_id is not null and street_number is null)"
    accepted = warehouse.rows(
        f"select {counts} from {run.analytics}_restricted.base_randomuser__users where "
        "rejection_reason is null and loaded_at >= timestamp '1970-01-01' group by 1 order by 1"
    )
    # In version 1.2 the house number of DE and NO comes last.
    numbers = [("1.2", 50, 0), ("1.3", 50, 0), ("1.4", 50, 0)]
    assert [*accepted[:3], accepted[3][:2]] == [*numbers, ("1.4-partial", 20)]
