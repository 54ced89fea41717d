"""`show_user` shows all that the tables hold about a person, and writes none of it to a log."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from support.commands import BUILD_WITHOUT_TESTS, Run, passes
from support.factories import Load, User, changed_user, fetch_users, land, make_raw
from support.forgetting import FORGET
from support.warehouse import Warehouse

PRIVATE = ("dbt", "--quiet", "--log-level-file", "none", "--no-write-json", "run-operation")
NOW = datetime.now(UTC)
EMAIL, SHARED = "Zoë.O'Quix@example.com", "two@example.com"


def land_and_build(run: Run, warehouse: Warehouse, api_url: str) -> tuple[User, list[User]]:
    """Land loads that are used, held back and not built; return the person and the others."""
    person, *others = fetch_users(api_url, 12)
    person |= {"email": EMAIL, "phone": "old phone"}
    for other in others[:2]:
        other["email"] = SHARED
    moved = changed_user(person, phone="new phone", location=others[5]["location"])
    without_id = changed_user(person, login={"uuid": None}, phone="phone without id")
    make_raw(run, warehouse)
    land(
        run,
        warehouse,
        Load("first", NOW - timedelta(hours=3), [person, *others]),
        Load("second", NOW - timedelta(hours=2), [moved]),
        Load("held back", NOW - timedelta(hours=1), [without_id, changed_user(moved, cell="held")]),
    )
    passes(run(*BUILD_WITHOUT_TESTS))
    last = changed_user(moved, phone="landed phone", email=EMAIL.upper())
    land(run, warehouse, Load("not built", NOW, [last]))
    return person, others


def show(run: Run, **arguments: Any) -> dict[str, list[dict[str, Any]]]:
    """Return {table: its rows} as `show_user` prints them as JSON."""
    text = json.dumps(arguments | {"output": "json"})
    printed = json.loads(passes(run(*PRIVATE, "show_user", "--args", text)))
    names = {f"{run.raw}.users": "raw"}
    return {
        names.get(table["table"], table["table"].partition(".")[2]): table["rows"]
        for table in printed
    }


def leaves(value: object) -> set[str]:
    """Return the texts and numbers within a JSON value that hardly two users share."""
    if isinstance(value, dict):
        return set().union(*map(leaves, value.values()))
    return {str(value)} if len(str(value)) > 7 else set()


def test_shows_each_row_of_the_person_and_nobody_else(
    run: Run, warehouse: Warehouse, api_url: str
) -> None:
    person, others = land_and_build(run, warehouse, api_url)
    shown = show(run, user_id=person["login"]["uuid"])
    assert {name: len(rows) for name, rows in shown.items()} == {
        "base_randomuser__users": 3,  # two used versions, one in the load that was held back
        **{"users": 1, "logins": 1, "users_history": 2, "locations": 2, "loads": 4, "raw": 4},
    }
    user_id = person["login"]["uuid"]
    assert [row["phone"] for row in shown["users_history"]] == ["old phone", "new phone"]
    assert [row["valid_to"] is None for row in shown["users_history"]] == [False, True]
    states = [(row["load_id"], row["state"]) for row in shown["loads"]]
    assert states == [
        *[("first", "used"), ("second", "used"), ("held back", "held back")],
        ("not built", "not built"),
    ]
    text = json.dumps(shown, ensure_ascii=False)
    credentials = {"password", "salt", "md5", "sha1", "sha256"}
    secrets = set(map(str, (person["login"][name] for name in credentials)))
    location = others[5]["location"]
    values = leaves(person | {"dob": 0, "registered": 0, "picture": 0}) - secrets
    assert not [value for value in values | leaves(location["coordinates"]) if value not in text]
    foreign = leaves([other | {"location": {}} for other in others]) - values
    assert not [value for value in foreign | secrets if value in text]

    named = show(run, user_id=user_id.upper(), credentials=["password", "payload"])
    assert [row["password"] for row in named["logins"]] == [person["login"]["password"]]
    assert person["login"]["salt"] in json.dumps(named["raw"])
    assert "salt" not in named["logins"][0]


def test_writes_no_value_to_a_log(
    run: Run, warehouse: Warehouse, api_url: str, tmp_path: Path
) -> None:
    person, _ = land_and_build(run, warehouse, api_url)
    arguments = ("--args", json.dumps({"user_id": person["login"]["uuid"]}))
    values = (leaves(person) | {"old phone", "new phone"}) - {person["login"]["uuid"]}

    def written() -> str:
        files = [file for file in tmp_path.rglob("*") if file.is_file()]
        return "".join(file.read_text("utf-8", "replace") for file in files)

    private = passes(run(*PRIVATE, "show_user", *arguments))
    assert "old phone" in private and person["login"]["uuid"] not in written()
    logged = passes(run("dbt", "run-operation", "show_user", *arguments))
    assert "second" in logged and "--log-level-file none" in logged  # the load, and what to do
    assert not [value for value in values if value in logged + written()]
    refused = run(
        "dbt", "run-operation", "show_user", "--args", f"{{email: {EMAIL}, output: json}}"
    )
    assert refused.returncode == 1 and "Nothing was read" in refused.stdout


def test_forgets_by_email_only_who_is_told(run: Run, warehouse: Warehouse, api_url: str) -> None:
    person, others = land_and_build(run, warehouse, api_url)
    ids = [person["login"]["uuid"], *(other["login"]["uuid"] for other in others[:2])]

    def forget(*emails: str, **arguments: Any) -> tuple[int, str]:
        text = json.dumps({"emails": emails} | arguments)
        done = run(*FORGET, "--args", text)
        return done.returncode, done.stdout

    def known() -> set[object]:
        return {row[0] for row in warehouse.rows(f"select user_id from {run.analytics}.users")}

    before = known()
    for email, number in ((SHARED, 2), ("nobody@example.com", 0)):
        status, printed = forget(EMAIL, email)
        assert (status, known()) == (1, before)
        assert f"{email}: {number}" in printed and "Nothing was deleted" in printed
        assert ids[0] in printed
    assert forget("nobody@example.com", exactly_one=False)[0] == 0
    assert known() == before
    both = json.dumps({"email": SHARED, "output": "json"})
    assert "2 users" in run(*PRIVATE, "show_user", "--args", both).stdout
    assert forget(EMAIL.upper())[0] == 0
    assert known() == before - {ids[0]}
    assert forget(SHARED, "nobody@example.com", exactly_one=False)[0] == 0
    assert known() == before - set(ids)
    assert show(run, email=SHARED) == {}


def test_rows_without_a_uuid_belong_to_nobody(run: Run, warehouse: Warehouse, api_url: str) -> None:
    _, others = land_and_build(run, warehouse, api_url)
    strangers = [
        changed_user(other, login={"uuid": "zzz"}, email=f"{number}@example.com")
        for number, other in enumerate(others[:2])
    ]
    land(run, warehouse, Load("bad ids", NOW, strangers))
    arguments = ("--args", json.dumps({"email": f" {EMAIL.lower()}"}))
    text = passes(run(*PRIVATE, "show_user", *arguments))
    assert "address: 1, and rows without an id" in text and "phone without id" in text
    assert text.count("_restricted.base_randomuser__users, row") == 4
    refused = run(*PRIVATE, "show_user", "--args", f"{{email: {EMAIL}, output: json}}")
    assert refused.returncode == 1 and "Nothing was printed" in refused.stdout
    forgotten = run(*FORGET, "--args", json.dumps({"emails": ["0@example.com"]}))
    assert forgotten.returncode == 1 and "Nothing was deleted" in forgotten.stdout
    raw = (
        f"select count(*) from {run.raw}.users where loaded_at is not null and load_id = 'bad ids'"
    )
    assert warehouse.rows(raw) == [(2,)]
