"""Checks that loads left exactly the requested users in the tables, once."""

from google.api_core.exceptions import NotFound
from support.commands import Process, Run
from support.warehouse import Warehouse

from ingest.settings import Settings
from ingest.warehouse import Warehouse as Raw

TABLES = {"users", "loads", "forgotten", "forgotten_key"}


def open_raw(run: Run, warehouse: Warehouse) -> Raw:
    """Return the raw dataset as the loader of a load "x" opens it."""
    settings = {"bigquery_emulator_host": warehouse.url, "raw_dataset": run.raw}
    return Raw(Settings.read(google_cloud_project=warehouse.project, **settings), "x")


def landed_loads(run: Run, warehouse: Warehouse) -> list[tuple[object, ...]]:
    """Return each load of raw and ledger: its users, and its rows in the ledger; [] at first.

    It also checks that the raw dataset has no other tables.
    """
    raw = run.raw
    try:
        tables = {table.table_id for table in warehouse.client.list_tables(raw)}
    except NotFound:
        return []
    assert tables <= TABLES
    if tables < TABLES:  # the run that created them has died
        return []
    return warehouse.rows(
        "select load_id, users, distinct_users, positions, last, ledger_rows, users_landed from ("
        "select load_id, count(*) as users, count(distinct json_value(payload, '$.login.uuid')) "
        "as distinct_users, count(distinct record_index) as positions, max(record_index) as last "
        f"from {raw}.users where loaded_at >= timestamp '1970-01-01' group by load_id"
        ") full outer join (select load_id, count(*) as ledger_rows, "
        f"max(users_landed) as users_landed from {raw}.loads group by load_id) "
        "using (load_id) order by load_id"
    )


def expected_load(users: int, load_id: str, ledger_rows: int = 1) -> tuple[object, ...]:
    """Return what landed_loads gives for a load that landed once."""
    ledger = (ledger_rows, users) if ledger_rows else (None, None)
    return (load_id, users, users, users, users - 1, *ledger)


def finish(process: Process) -> str:
    """Wait for a process that must end well, and return what it printed."""
    output, errors = process.communicate()
    assert process.returncode == 0, output + errors
    return output
