"""Forgotten users are nowhere any more, and nothing brings them back."""

from pathlib import Path

import pytest
from support.commands import BUILD, BUILD_WITHOUT_TESTS, Run, passes
from support.factories import User, changed_user, response_file, user
from support.forgetting import forget
from support.warehouse import Warehouse

PERSON = "0000aaaa-0000-4000-8000-00000000aaaa"
OTHERS = [user(number) for number in range(60)]
ALONE = {"street": {"number": 471104711, "name": "Lonely Lane"}, "city": "Nowhereville"}
PLACE = {"coordinates": {"latitude": "-77.7771", "longitude": "166.6661"}}
FIRST = changed_user(
    user(1000),
    login={"uuid": PERSON.upper()},
    name={"first": "Zebedee", "last": "Quix"},
    email="not-an-address",  # a failing test stores the row
    phone="0555-1",
    cell="0555-2",
    id={"name": "SVNR", "value": "11 220333 Q 444"},
    dob={"date": "1931-02-03T04:05:06.789Z"},
    registered={"date": "2003-04-05T06:07:08.910Z"},
    location=ALONE | {"coordinates": {"latitude": "-66.6661", "longitude": "55.5551"}},
)
SECOND = changed_user(FIRST, name={"first": "Zeb"}, location=OTHERS[2]["location"] | PLACE)
REJECTED = changed_user(SECOND, login={"password": None})
UNBUILT = changed_user(SECOND, phone="0555-3")


def leaves(value: object) -> set[str]:
    """Return the texts and numbers within a JSON value."""
    if isinstance(value, dict):
        return set().union(*map(leaves, value.values()))
    return {str(value)}


def read_built(run: Run, warehouse: Warehouse) -> dict[str, str]:
    """Return the rows that dbt made, without what is counted once, when a load is parsed."""
    base = f"{run.analytics}_restricted.base_randomuser__users"
    rows = warehouse.rows(f"select * except (structure, structure_users) from {base}")
    texts = warehouse.read_texts(run.analytics)
    return texts | {base: "\n".join(sorted(map(str, rows))), f"{run.analytics}.loads": ""}


def test_forgotten_user_is_nowhere_and_never_comes_back(
    run: Run, warehouse: Warehouse, tmp_path: Path
) -> None:
    def land(load_id: str, *users: User) -> str:
        file = response_file(tmp_path, load_id, list(users))
        return passes(run("ingest", "--load-id", load_id, "--from-file", file))

    land("one", *OTHERS[:30], FIRST)
    land("two", SECOND, OTHERS[3])
    land("three", *OTHERS[30:], REJECTED)
    passes(run(*BUILD, "--store-failures"))
    passes(run("publish", "history"))
    land("four", UNBUILT, OTHERS[4])
    warehouse.rows(
        f"create table {run.raw}.copy_of_somebody as select load_id, record_index, payload "
        f"from {run.raw}.users where load_id = 'one'"
    )
    batch = f"{run.analytics}.users__dbt_tmp_of_a_killed_build"
    warehouse.rows(f"create table {batch} as select * from {run.analytics}.users")

    # The values that nobody else has; also the keys that the pipeline has made of them.
    values = {PERSON}.union(*map(leaves, (FIRST, SECOND, REJECTED, UNBUILT)))
    keys = f"select location_id from {run.analytics}.users_history"
    own, shared = (
        {str(key) for (key,) in warehouse.rows(f"{keys} where user_id {is_own}")}
        for is_own in (f"= '{PERSON}'", f"!= '{PERSON}'")
    )
    values = (values | own) - shared.union(*map(leaves, OTHERS))
    assert {"Zebedee", "471104711", "166.6661", "not-an-address", "secret1000"} <= values
    texts = warehouse.read_texts(run.raw, run.analytics)
    assert not [value for value in values if value not in "".join(texts.values())]

    planned = forget(run, PERSON, dry_run=True)
    assert warehouse.read_texts(run.raw, run.analytics) == texts
    receipt = forget(run, PERSON)
    assert receipt[1:] == [line.replace("that would be kept", "kept") for line in planned[1:]]
    stray = f"{run.raw}.copy_of_somebody"
    assert f"not deleted here: {stray}, which is not of this project" in receipt
    warehouse.rows(f"drop table {stray}")

    def is_nowhere() -> None:
        passes(run("publish", "csv", "--with-secrets"))
        files = [file for file in tmp_path.rglob("*") if file.is_file() and file.parent != tmp_path]
        texts = warehouse.read_texts(run.raw, run.analytics)
        texts |= {str(file): file.read_text("utf-8", "replace") for file in files}
        texts["receipt"] = "\n".join(receipt)
        for name, text in texts.items():
            assert not [value for value in values if value in text], name

    is_nowhere()
    passes(run(*BUILD))
    warehouse.rows(f"drop table {batch}")
    built = read_built(run, warehouse)
    assert "Already loaded: 30 users" in land("one", *OTHERS[:30], FIRST)
    passes(run(*BUILD_WITHOUT_TESTS, "--full-refresh"))
    assert read_built(run, warehouse) == built

    assert "Loaded 1 users" in land("again", FIRST, OTHERS[5])
    assert "left out as forgotten: 1" in land("alone", SECOND)
    counts = "users_received, users_landed, users_forgotten"
    ledger = warehouse.rows(f"select load_id, {counts} from {run.raw}.loads order by 1")
    assert ledger == [
        *[("again", 2, 1, 1), ("alone", 1, 0, 1), ("four", 2, 1, 1), ("one", 31, 30, 1)],
        *[("three", 31, 30, 1), ("two", 2, 1, 1)],
    ]
    passes(run(*BUILD_WITHOUT_TESTS))
    is_nowhere()


@pytest.mark.parametrize(
    "arguments", [f"user_ids: {PERSON}", "user_ids: [zzz]", "emails: ['']", "emails: []"]
)
def test_forgets_nobody_if_arguments_are_wrong(arguments: str, run: Run) -> None:
    done = run("dbt", "run-operation", "forget_users", "--args", f"{{{arguments}}}")
    assert done.returncode == 1
    assert "as lists of texts in quotes" in done.stdout
    assert "Nothing was deleted" in done.stdout and "Traceback" not in done.stdout
