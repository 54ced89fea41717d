"""Any JSON value among the users of a response lands in raw, and is accepted or rejected."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis import strategies as st
from support.commands import BUILD, Run, passes
from support.factories import Load, changed_user, decide, land, make_raw, user
from support.odd_users import ODD_KEYS, ODD_VALUES, PATHS, Change, land_texts, make_user
from support.warehouse import Warehouse

EVER = "loaded_at >= timestamp '1970-01-01'"
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
FIELDS = "load_id, record_index, rejection_reason, user_id, username, password, born_on, "
FIELDS += "registered_at, postcode, latitude"

KINDS = ["replaced", "replaced", "removed", "twice", *(f"beside {key}" for key in ODD_KEYS)]
ODD = st.sampled_from(ODD_VALUES)
CHANGES = st.lists(st.tuples(st.sampled_from(PATHS), st.sampled_from(KINDS), ODD), max_size=3)
USERS = st.lists(st.one_of(CHANGES, CHANGES, CHANGES, ODD), min_size=60)


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
        decide(run, warehouse, "accepted", load_id)
        passes(run(*BUILD))
        check_each_user_is_in_one_place(run, warehouse, load_id, users)

    land_and_build()
    passes(run("publish", "history"))
    passes(run("publish", "csv"))
    base = f"{run.analytics}_restricted.base_randomuser__users"
    ordered = f"select {FIELDS} from {base} where {EVER} order by 1, 2"
    before = warehouse.rows(ordered)
    passes(run("dbt", "run", "--select", "base_randomuser__users", "--full-refresh"))
    assert warehouse.rows(ordered) == before


def check_each_user_is_in_one_place(
    run: Run, warehouse: Warehouse, load_id: str, users: list[str]
) -> None:
    where = f"where {EVER} and load_id = '{load_id}' order by record_index"
    raw = warehouse.rows(f"select record_index, payload from {run.raw}.users {where}")
    wrong = [each for each in zip(enumerate(users), raw, strict=True) if each[0] != each[1]]
    assert not wrong, str(wrong)[:1000]
    restricted, columns = f"{run.analytics}_restricted", "record_index, rejection_reason"
    base = warehouse.rows(
        f"select {columns}, user_id from {restricted}.base_randomuser__users {where}"
    )
    rejected = warehouse.rows(
        f"select {columns}, payload is not null from {restricted}.stg_randomuser__rejected {where}"
    )
    assert all(reason and has_payload for _, reason, has_payload in rejected)
    accepted = {index: user_id for index, reason, user_id in base if not reason}
    assert all(UUID.fullmatch(str(key)) for key in accepted.values())
    assert len(base) == len(rejected) + len(accepted) == len(users)
    assert {*accepted, *(index for index, *_ in rejected)} == {*range(len(users))}


def test_load_with_many_rejected_users_is_held_back(run: Run, warehouse: Warehouse) -> None:
    now, good = datetime.now(UTC), [user(number) for number in range(10, 15)]
    odd = ["text", None, [1, 2], changed_user(user(1), login={"uuid": 7}), user(2), user(3)]
    empty_password = changed_user(user(20), login={"password": ""})
    make_raw(run, warehouse)
    land(run, warehouse, Load("odd", now - timedelta(days=40), odd))
    land(run, warehouse, Load("good", now, [empty_password, *good]))
    assert run(*BUILD).returncode == 1
    passes(run("publish", "history"))
    results = f"select status, failures, details from {run.raw}.runs where node like '%{{}}%'"
    ((empty, *_),) = warehouse.rows(results.format("credentials_have_their_form"))
    assert empty == "warn"
    ((*few, details),) = warehouse.rows(results.format("few_rejected_users"))
    assert few == ["fail", 1]
    (row,) = json.loads(str(details))["rows"]
    assert row.startswith("load_id=odd, rejected=4, users=6, rejected_share=0.6667, ")
    assert "the user is not a JSON object that BigQuery can read (3); login.uuid is not" in row
    assert row.endswith("to_do=python -m ingest --accept odd, or --set-aside odd")
    users = f"{run.analytics}.users"
    assert warehouse.count_by_load(users) == [("good", 6)]

    accepted = run("ingest", "--accept", "odd").stdout
    assert accepted == "Load odd is accepted: the next `dbt build` adds its users to the marts\n"
    few_rejected = ("+users", "loads_have_few_rejected_users", "--indirect-selection", "empty")
    passes(run(*BUILD, "--select", *few_rejected))
    assert warehouse.count_by_load(users) == [("good", 6), ("odd", 2)]
