"""Fields that are not as documented are named by a dbt test, and stay in raw."""

import json
import re
from pathlib import Path
from typing import Any

from support.commands import ANSWERS, Run
from support.factories import User, answer, user
from support.reliability_page import Reliability
from support.warehouse import Warehouse

DBT = ("dbt", "--quiet", "build", "--exclude-resource-type", "unit_test")
PART = "Schema drift"


def warned(said: str) -> list[dict[str, str]]:
    """Return the rows of `users_match_documented_fields` that dbt prints."""
    part = re.search(r"^warn: users_match_documented_fields\n((?:  .*\n)+)", said, re.M)
    rows = part[1].splitlines() if part else []
    row = re.compile(
        r"  load_id=(?P<load_id>.*), api_version=.*, field=(?P<field>.*), sent=(?P<sent>.*), docu"
    )
    return [found.groupdict() for found in map(row.match, rows) if found]


def build(run: Run, *words: str) -> list[dict[str, str]]:
    """Build and return the rows that are shown."""
    done = run(*DBT, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return warned(done.stdout)


def changed(number: int, at: str, value: Any) -> User:
    """Return a user with another value at a path; `...` takes the field away."""
    it = user(number)
    *parents, name = at.split("/")
    inside = it
    for parent in parents:
        inside = inside[parent]
    if value is ...:
        del inside[name]
    else:
        inside[name] = value
    return it


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


def test_a_changed_field_is_named_with_the_load_that_brought_it_and_raw_keeps_it(
    run: Run, warehouse: Warehouse, tmp_path: Path, reliability: Reliability
) -> None:
    run("ingest", "--load-id", "before", "--from-file", answer(tmp_path, "a", [user(0), user(1)]))
    assert build(run) == []

    users = [user(10), user(11), *(changed(20 + n, *it[:2]) for n, it in enumerate(CHANGES))]
    users.append(changed(99, "rank", 8))
    run("ingest", "--load-id", "with", "--from-file", answer(tmp_path, "b", users))
    shown = build(run, "--store-failures")
    assert len(shown) == 10 and {it["load_id"] for it in shown} == {"with"}
    assert {it["field"] for it in shown} < {it[2] for it in CHANGES}
    table = f"{run.analytics}_restricted.users_match_documented_fields"
    found = warehouse.rows(
        f"select field, sent, documented, load_id, first_record_index, users from {table}"
    )
    expected = [
        (*change[2:], "with", 2 + n, 2 if change[2] == "rank" else 1)
        for n, change in enumerate(CHANGES)
    ]
    assert sorted(found) == sorted(expected)

    run("ingest", "--load-id", "after", "--from-file", answer(tmp_path, "c", [user(100)]))
    build(run, "--store-failures")
    assert sorted(warehouse.rows(f"select distinct load_id from {table}")) == [("with",)]
    kept = f"""
        select json_value(payload, '$.rank') from {run.raw}.users
        where json_value(payload, '$.rank') is not null and loaded_at >= timestamp '1970-01-01'
    """
    assert sorted(warehouse.rows(kept)) == [("7",), ("8",)]
    for sent, case in (
        ("new", "a field that nobody knows, anywhere in the payload"),
        ("missing", "a field that is gone"),
        ("number", "a field of another type"),
    ):
        path, _, known = next(it[2:] for it in CHANGES if it[3] == sent)
        said = f"warning: load with, `{path}`: sent {sent}, documented {known}"
        reliability(PART, case, said, "raw has it as sent")


VERSIONS = ("1.0", "1.1", "1.2", "1.3", "1.4", "1.5", "1.10")


OLDER = changed(99, "dob/age", "36")  # the field came with version 1.2, before 1.10


def test_versions_with_a_key_are_read_alike_and_those_without_are_rejected_for_that(
    run: Run, warehouse: Warehouse, tmp_path: Path, reliability: Reliability
) -> None:
    for n, version in enumerate(VERSIONS):
        users = [user(10 * n, version), user(10 * n + 1, version)]
        file = answer(tmp_path, version, users, version)
        assert run("ingest", "--load-id", version, "--from-file", file).returncode == 0
    assert build(run, "--vars", "rejected_share: 1") == []
    base = f"{run.analytics}_restricted.base_randomuser__users"
    read = """
        street_number, street_name, city, postcode, latitude, timezone_offset, identity_name,
        cast(born_on as string) as born_on, gender, picture_url is not null as has_picture
    """
    rows = warehouse.rows(
        f"select api_version, rejection_reason, to_json_string(struct({read})) from {base} "
        "where loaded_at >= timestamp '1970-01-01' order by 1, record_index"
    )
    accepted: dict[str, list[object]] = {str(row[0]): [] for row in rows if not row[1]}
    for sent_by, reason, it in rows:
        if str(sent_by) in accepted:
            assert reason is None
            accepted[str(sent_by)].append(it)
        else:
            assert reason == "login.uuid is missing: the API gives no key before version 1.2"
    assert set(accepted) == {"1.2", "1.3", "1.4", "1.5", "1.10"}
    assert len({json.dumps(it) for it in accepted.values()}) == 1
    run("ingest", "--load-id", "x", "--from-file", answer(tmp_path, "x", [OLDER], "1.10"))
    (age,) = build(run, "--vars", "rejected_share: 1")
    assert age == {"load_id": "x", "field": "dob.age", "sent": "string"}
    for version in VERSIONS:
        said = "accepted, without a warning"
        left = "the users, typed as those of the newest version"
        if version not in accepted:
            said = "rejected: login.uuid is missing: the API gives no key before version 1.2"
            left = "the users in raw and among the rejected, with the reason"
        if version in ("1.5", "1.10"):
            said += ": a later version is held against the newest that is known"
        reliability(PART, f"users of version {version}", said, left)


def test_real_answers_of_all_versions_have_the_shape_that_is_known_of_their_version(
    run: Run, warehouse: Warehouse
) -> None:
    for version in (*VERSIONS[:5], "1.4-partial"):
        file = ANSWERS / f"randomuser-{version}.json"
        assert run("ingest", "--load-id", version, "--from-file", file).returncode == 0
    warnings = build(run, "--vars", "rejected_share: 1")
    assert {it["load_id"] for it in warnings} == {"1.4-partial"}
    assert {it["field"] for it in warnings} > {"gender", "location", "dob", "picture"}
    accepted = warehouse.rows(
        f"select load_id, count(*) from {run.analytics}.stg_randomuser__users group by 1 order by 1"
    )
    # In version 1.2 the house number of DE and NO comes last.
    numbers = (
        f"select countif(street_number is null) from {run.analytics}.stg_randomuser__locations"
    )
    assert warehouse.rows(f"{numbers} where load_id != '1.4-partial'") == [(0,)]
    assert accepted == [("1.2", 50), ("1.3", 50), ("1.4", 50), ("1.4-partial", 20)]
