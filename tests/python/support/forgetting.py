"""Forgets users, and searches for what is left of them."""

import json
from collections.abc import Iterator

from support.commands import Process, Run
from support.load_checks import finish
from support.warehouse import Warehouse

# dbt writes the arguments of a command to its log, and to its results.
FORGET = ("dbt", "--log-level-file", "none", "--no-write-json", "run-operation", "forget_users")


def start_forgetting(run: Run, *user_ids: str, dry_run: bool = False, **extra: str) -> Process:
    """Start to forget users; keywords are added to the environment."""
    arguments = {"user_ids": user_ids, "dry_run": dry_run}
    return run.start(*FORGET, "--args", json.dumps(arguments), **extra)


def forget(run: Run, *user_ids: str, dry_run: bool = False) -> list[str]:
    """Forget users and return the lines of the receipt."""
    output = finish(start_forgetting(run, *user_ids, dry_run=dry_run))
    return output[output.index("rows ") :].splitlines()


def read_texts(run: Run, warehouse: Warehouse, *names: str) -> dict[str, str]:
    """Return the rows of tables, or of all tables of a run, as text."""
    return {
        name: "\n".join(sorted(str(row) for row in warehouse.rows(f"select * from {name}")))
        for name in names or _list_tables(run, warehouse)
    }


def _list_tables(run: Run, warehouse: Warehouse) -> Iterator[str]:
    for dataset in warehouse.client.list_datasets():
        if dataset.dataset_id.startswith((run.raw, run.analytics)):
            for table in warehouse.client.list_tables(dataset.reference):
                if table.table_type == "TABLE":
                    yield f"{dataset.dataset_id}.{table.table_id}"
