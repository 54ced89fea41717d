"""Checks that loads left exactly the requested users in the tables, once."""

from google.api_core.exceptions import NotFound
from support.commands import Process, Run, passes
from support.warehouse import Warehouse

ONCE = "the same command landed the requested users, once"
LANDING_TABLE = "a landing table, which expires in a day"


def landed_loads(run: Run, warehouse: Warehouse) -> list[tuple[object, ...]]:
    """Return every load in raw: its id, users, distinct users, and rows in the ledger."""
    raw = run.raw
    return warehouse.rows(
        "select load_id, count(*), count(distinct json_value(payload, '$.login.uuid')), "
        "count(distinct record_index), max(record_index), "
        f"(select count(*) from {raw}.loads as ledger where ledger.load_id = u.load_id), "
        f"(select max(users_landed) from {raw}.loads as ledger where ledger.load_id = u.load_id) "
        f"from {raw}.users as u where loaded_at >= timestamp '1970-01-01' "
        "group by load_id order by load_id"
    )


def expected_load(users: int, load_id: str) -> tuple[object, ...]:
    """Return what landed_loads gives for a load that landed once."""
    return (load_id, users, users, users, users - 1, 1, users)


def finish(process: Process) -> str:
    """Wait for a process that must end well, and return what it printed."""
    output, errors = process.communicate()
    assert process.returncode == 0, output + errors
    return output


def landing_tables(run: Run, warehouse: Warehouse) -> set[str]:
    try:
        tables = [table.table_id for table in warehouse.client.list_tables(run.raw)]
    except NotFound:
        return set()
    return {name for name in tables if name.startswith("landing_")}


def check_marts_hold_users_once(run: Run, warehouse: Warehouse, users: int) -> None:
    passes(run("dbt", "run", "--select", "+users", "+logins"))
    for table in ("users", "logins"):
        name = f"{run.analytics}{'_restricted' if table == 'logins' else ''}.{table}"
        key = "user_id" if table == "users" else "login_uuid"
        sql = f"select count(*), count(distinct {key}) from {name}"
        assert warehouse.rows(sql) == [(users, users)]


def boundary(step: str, after: bool) -> str:
    return f"{'after' if after else 'before'} {step}"
