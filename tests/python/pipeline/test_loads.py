"""What becomes of each load: the build reads it in the ledger."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from support.commands import BUILD, BUILD_WITHOUT_TESTS, Run, passes
from support.factories import Load, changed_user, decide, land, make_raw, response_file, user
from support.forgetting import forget
from support.warehouse import Warehouse

LOOK_BACK = timedelta(hours=6)
MODELS = ["base_randomuser__users", "loads", "users", "logins", "locations"]
NATIONALITIES = ["AU", "BR", "CA", "CH", "DE", "DK"]


def test_load_that_lands_during_a_build_is_next(
    run: Run, warehouse: Warehouse, tmp_path: Path
) -> None:
    """The build reads from the newest load on, and a load without a row in the ledger waits."""
    users, base = f"{run.analytics}.users", f"{run.analytics}_restricted.{MODELS[0]}"
    now, same = datetime.now(UTC), [user(1), user(2)]
    make_raw(run, warehouse)
    before = [Load(f"{days} days", now - timedelta(days=days), same) for days in (20, 10, 1)]
    land(run, warehouse, *before)
    passes(run(*BUILD_WITHOUT_TESTS))

    died = Load("died", now - timedelta(hours=7), [user(4)])
    land(run, warehouse, Load("new", now, same), died, Load("landing", now, [user(5)]))
    warehouse.rows(f"delete from {run.raw}.loads where load_id in ('died', 'landing')")
    passes(run("dbt", "run", "--select", MODELS[0]))
    land(run, warehouse, Load("meanwhile", now, [user(3)]))
    build = run(*BUILD, "--exclude", MODELS[0])
    assert re.findall(r"Failure in test (\w+)", build.stdout) == ["loads_match_ledger"]
    assert "Got 1 result" in build.stdout and " SKIP=0 " in build.stdout
    assert warehouse.count_by_load(users) == [("new", 2)]
    assert not {("died", 1), ("landing", 1), ("meanwhile", 1)} & {*warehouse.count_by_load(base)}
    for model in MODELS:
        texts = [file.read_text() for file in (tmp_path / "target").rglob(f"models/**/{model}.sql")]
        starts = re.findall(r"loaded_at >= timestamp '([^']+)'", "".join(texts))
        assert min(map(datetime.fromisoformat, starts)) >= now - timedelta(days=1) - LOOK_BACK

    file = response_file(tmp_path, "died", died.users)
    passes(run("ingest", "--load-id", "died", "--from-file", file))
    mended = ("--select", "+users", "loads_match_ledger", "--indirect-selection", "empty")
    passes(run(*BUILD, *mended))
    assert warehouse.count_by_load(users) == [("died", 1), ("meanwhile", 1), ("new", 2)]


def test_forgetting_changes_no_verdict_and_leaves_no_address(
    run: Run, warehouse: Warehouse
) -> None:
    now = datetime.now(UTC)
    rejected = [changed_user(user(number), login={"username": ""}) for number in (2, 3)]
    neighbour = user(4) | {"location": user(1)["location"]}
    make_raw(run, warehouse)
    land(run, warehouse, Load("used", now - timedelta(hours=1), [user(1), user(5)]))
    others = [user(number) for number in range(10, 27)]
    land(run, warehouse, Load("held back", now, [*rejected, neighbour, *others]))
    passes(run(*BUILD_WITHOUT_TESTS))
    forget(run, rejected[0]["login"]["uuid"], user(1)["login"]["uuid"])
    locations = f"select load_id from {run.analytics}.locations"
    assert warehouse.rows(locations) == [("used",)]  # of user 5
    states = f"select load_id, state, users_rejected from {run.analytics}.loads order by 1"
    for rebuild in ([], ["--full-refresh"]):
        passes(run("dbt", "run", "--select", "+loads", *rebuild))
        assert warehouse.rows(states) == [("held back", "held back", 2), ("used", "used", 0)]


def test_holes_and_odd_loads_are_named(run: Run, warehouse: Warehouse) -> None:
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)

    def start(hours: int) -> str:
        return (hour - timedelta(hours=hours)).isoformat()

    def load(hours: int, load_id: str = "", **fields: Any) -> Load:
        users = [user(10 * hours + n) | {"nat": NATIONALITIES[n]} | fields for n in range(6)]
        return Load(load_id or start(hours), hour - timedelta(hours=hours), users)

    make_raw(run, warehouse)
    usual = [load(hours) for hours in (13, 12, 11, 10, 8, 7, 6, 5, 4)]
    odd, accepted = [load(3, email=None), load(2, nat="GB")], load(1, gender="male")
    land(run, warehouse, *usual, load(9, "by hand"), *odd, accepted)
    decide(run, warehouse, "set aside", start(8))
    decide(run, warehouse, "accepted", accepted.load_id)
    tests = ("loads_have_no_holes", "loads_are_like_others")
    select = ("--select", MODELS[0], MODELS[1], *tests, "--indirect-selection", "empty")
    settings = json.dumps({"load_interval": "hour", "odd_loads_min_users": 6})
    passes(run(*BUILD, *select, "--vars", settings))
    target = Path(run.environment["DBT_TARGET_PATH"])
    hole = {"load_id": start(9), "to_do": f"python -m ingest --load-id {start(9)}"}
    assert warehouse.read_failures(target, tests[0]) == [hole]
    figures = [("incomplete_share", 1.0, 0.0), ("nationality_share", 1.0, 0.167)]
    assert [tuple(row.values()) for row in warehouse.read_failures(target, tests[1])] == [
        (load_id, *figure, f"python -m ingest --accept {load_id}, or --set-aside {load_id}")
        for load_id, figure in zip([load.load_id for load in odd], figures, strict=True)
    ]
