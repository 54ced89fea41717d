"""Any JSON value among the users of a response lands in raw, and is accepted or rejected."""

import json
import re
from pathlib import Path

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis import strategies as st
from support.commands import Run, passes
from support.factories import user
from support.odd_users import ODD_KEYS, ODD_VALUES, PATHS, Change, land_texts, make_user
from support.warehouse import Warehouse

BUILD = ("dbt", "--quiet", "build", "--exclude-resource-type", "unit_test")
ANY_SHARE = ("--vars", "rejected_share: 1")
EVER = "loaded_at >= timestamp '1970-01-01'"
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
FIELDS = "load_id, record_index, rejection_reason, user_id, username, password, born_on, "
FIELDS += "registered_at, postcode, latitude"

KINDS = st.sampled_from(
    ["replaced", "replaced", "removed", "twice", *(f"beside {key}" for key in ODD_KEYS)]
)
CHANGES = st.lists(
    st.tuples(st.sampled_from(PATHS), KINDS, st.sampled_from(ODD_VALUES)), max_size=3
)
USERS = st.lists(st.one_of(CHANGES, CHANGES, CHANGES, st.sampled_from(ODD_VALUES)), min_size=60)


def rows(run: Run, warehouse: Warehouse, load_id: str) -> list[dict[str, object]]:
    """Return what base has of a load."""
    table = f"{run.analytics}_restricted.base_randomuser__users"
    sql = f"select {FIELDS} from {table} where {EVER} and load_id = '{load_id}' order by 2"
    return [dict(row.items()) for row in warehouse.client.query_and_wait(sql)]


def test_any_json_lands_and_is_accepted_or_rejected(
    run: Run, warehouse: Warehouse, tmp_path: Path, all_faults: bool
) -> None:
    loads = 0

    @seed(2026)
    @settings(
        max_examples=6 if all_faults else 1,
        deadline=None,
        database=None,
        verbosity=Verbosity.quiet,  # a list of such users is no help
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(USERS)
    def land_and_build(drawn: list[list[Change] | str]) -> None:
        nonlocal loads
        loads += 1
        load_id = f"load {loads}"
        users = [
            odd if isinstance(odd, str) else make_user(1000 * loads + n, odd)
            for n, odd in enumerate(drawn)
        ]
        land_texts(run, tmp_path / "users.json", load_id, users)
        passes(run(*BUILD, *ANY_SHARE))
        check_each_user_is_in_one_place(run, warehouse, load_id, users)

    land_and_build()
    table = f"{run.analytics}_restricted.base_randomuser__users"
    ordered = f"select {FIELDS} from {table} where {EVER} order by 1, 2"
    before = warehouse.rows(ordered)
    passes(run(*BUILD, *ANY_SHARE, "--full-refresh"))
    assert warehouse.rows(ordered) == before
    passes(run("publish", "history"))
    passes(run("publish", "csv"))


def check_each_user_is_in_one_place(
    run: Run, warehouse: Warehouse, load_id: str, users: list[str]
) -> None:
    raw = warehouse.rows(
        f"select record_index, payload from {run.raw}.users "
        f"where {EVER} and load_id = '{load_id}' order by 1"
    )
    assert [index for index, _ in raw] == list(range(len(users)))
    for sent, (_, payload) in zip(users, raw, strict=True):
        assert payload == sent, (sent[:500], str(payload)[:500])
    base = rows(run, warehouse, load_id)
    rejected = warehouse.rows(
        f"select record_index, rejection_reason, payload is not null "
        f"from {run.analytics}_restricted.stg_randomuser__rejected "
        f"where {EVER} and load_id = '{load_id}'"
    )
    assert all(reason and has_payload for _, reason, has_payload in rejected)
    accepted = {row["record_index"]: row["user_id"] for row in base if not row["rejection_reason"]}
    assert all(UUID.fullmatch(str(key)) for key in accepted.values())
    assert len(base) == len(rejected) + len(accepted)
    assert {*accepted, *(row[0] for row in rejected)} == {*range(len(users))}


LOGIN = '{"uuid": "00000000-0000-4000-8000-000000000001", "username": "u", "password": "p"}'
CASES = {
    "null": "the user is not a JSON object that BigQuery can read",
    "[1, 2]": "the user is not a JSON object that BigQuery can read",
    '"text"': "the user is not a JSON object that BigQuery can read",
    "{}": "login.uuid is missing or not text",
    '{"login": null}': "login.uuid is missing or not text",
    '{"login": {"uuid": null}}': "login.uuid is missing or not text",
    '{"login": {"uuid": 7}}': "login.uuid is not a UUID",
    '{"login": {"uuid": {"a": 1}}}': "login.uuid is missing or not text",
    LOGIN.replace('"u"', '""'): "login.username is missing, empty or not text",
    LOGIN.replace('"u"', "[1]"): "login.username is missing, empty or not text",
    LOGIN.replace(', "password": "p"', ""): "login.password is missing or not text",
    LOGIN.replace('"u"', "5"): "",
    LOGIN.replace('"p"', '""').replace("01", "02"): "",
    LOGIN.replace('"u"', '"a\\u0000b"'): "",
    LOGIN[:-1] + ', "uuid": "twice: the first counts"}': "",
    LOGIN[:-1] + '}, "dob": {"date": "2023-02-30T00:00:00Z"}': "",
}


def make_case(text: str) -> str:
    """Return a user; the text may be that of its login alone."""
    return f'{{"login": {text}}}' if text.startswith(LOGIN[:9]) else text


def test_load_with_many_rejected_users_is_held_back(
    run: Run, warehouse: Warehouse, tmp_path: Path
) -> None:
    def loads_in_users() -> list[tuple[object, ...]]:
        users = f"{run.analytics}.users"
        return warehouse.rows(f"select load_id, count(*) from {users} group by 1 order by 1")

    good = [json.dumps(user(100 + n)) for n in range(len(CASES))]
    land_texts(run, tmp_path / "users.json", "odd", [make_case(case) for case in CASES] + good)
    for table, column in (("users", "loaded_at"), ("loads", "loaded_at"), ("loads", "started_at")):
        earlier = f"{column} = timestamp_sub({column}, interval 40 day)"
        warehouse.rows(f"update {run.raw}.{table} set {earlier} where {EVER}")
    users = [user(1000 + n) for n in range(5)]
    users[0]["login"]["password"] = ""
    land_texts(run, tmp_path / "users.json", "good", list(map(json.dumps, users)))
    assert run(*BUILD).returncode == 1
    passes(run("publish", "history"))
    results = f"select status, failures, details from {run.raw}.runs where node like '%{{}}%'"
    ((empty, *_),) = warehouse.rows(results.format("credentials_have_their_form"))
    assert empty == "warn"
    rejected = sum(map(bool, CASES.values()))
    ((*few, details),) = warehouse.rows(results.format("few_rejected_users"))
    assert few == ["fail", 1]
    (row,) = json.loads(str(details))["rows"]
    assert row.startswith(f"load_id=odd, rejected={rejected}, users={2 * len(CASES)}, rejected_s")
    assert "the user is not a JSON object that BigQuery can read (3)" in row
    assert row.endswith("to_do=python -m ingest --accept odd, or --set-aside odd")
    assert loads_in_users() == [("good", 5)]
    assert run("dbt", "show", "--select", "stg_randomuser__rejected").returncode == 0

    accepted = run("ingest", "--accept", "odd").stdout
    assert accepted == "Load odd is accepted: the next `dbt build` adds its users to the marts\n"
    passes(run(*BUILD))
    # The accepted cases are versions of two users.
    assert loads_in_users() == [("good", 5), ("odd", len(good) + 2)]

    reasons = [row["rejection_reason"] or "" for row in rows(run, warehouse, "odd")]
    assert reasons == [*CASES.values(), *([""] * len(good))]
