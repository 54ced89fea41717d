"""What a person reads of the ledger, and decides there: `--list`, `--accept` and `--set-aside`."""

from ingest import tables
from ingest.warehouse import LandingError, Warehouse

_NEXT = {
    "accepted": "the next `dbt build` takes its users into the marts",
    "set aside": "no `dbt build` takes its users into the marts; if they are there already, "
    "`dbt build --full-refresh` takes them out",
}


def last(warehouse: Warehouse) -> str:
    """Return the last loads, the newest first, as lines of text; times are UTC."""
    lines = [f"{'landed (UTC)':<16}  {'users':>10}  {'API':<4}  {'decision':<9}  load and source"]
    for row in warehouse.ask(tables.LAST_LOADS):
        lines.append(
            f"{row.loaded_at:%Y-%m-%d %H:%M}  {row.users_landed:>10,}  {row.api_version:<4}  "
            f"{row.decision or '':<9}  {row.load_id}  {row.source}"
        )
    return "\n".join(lines)


def decide(warehouse: Warehouse, load_id: str, decision: str) -> str:
    """Write down what was decided of a load and say what follows; raises LandingError."""
    warehouse.prepare()  # a ledger of an earlier version lacks the columns
    if warehouse.landed(load_id) is None:
        raise LandingError(
            f"{warehouse.loads} has no load {load_id}: nothing was {decision}; "
            "`python -m ingest --list` shows the last loads"
        )
    warehouse.ask(tables.DECIDE, load_id=load_id, decision=decision)
    return f"Load {load_id} is {decision}: {_NEXT[decision]}"
