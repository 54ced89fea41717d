"""What a person asks for besides a load: `--check`, `--list`, `--accept` and `--set-aside`."""

from uuid import uuid4

from google.api_core.exceptions import NotFound
from google.cloud.bigquery import QueryJobConfig

from ingest import api, tables
from ingest.answers import SourceError
from ingest.logs import one_line, public
from ingest.settings import Settings
from ingest.warehouse import REFUSED, LandingError, Warehouse

CHECK_SECONDS = 10  # for each need; who waits is a person


def last_loads(warehouse: Warehouse) -> str:
    """Return the last loads, the newest first, as lines of text; times are UTC."""
    lines = [f"{'landed (UTC)':<16}  {'users':>10}  {'API':<4}  {'decision':<9}  load and source"]
    for row in warehouse.ask(tables.LAST_LOADS):
        about = f"{row.loaded_at:%Y-%m-%d %H:%M}  {row.users_landed:>10,}  {row.api_version:<4}"
        lines.append(f"{about}  {row.decision or '':<9}  {row.load_id}  {row.source}")
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
    if decision == "accepted":
        return f"Load {load_id} is accepted: the next `dbt build` takes its users into the marts"
    return (
        f"Load {load_id} is set aside: no `dbt build` takes its users into the marts; if they are "
        "there already, `dbt build --full-refresh` takes them out"
    )


def check(settings: Settings) -> int:
    """Print of each need what was found or what to do; return the exit status."""
    settings = settings.model_copy(update={"retry_seconds": CHECK_SECONDS})
    status = 0
    for need, look in (
        ("settings", lambda it: f"project {it.google_cloud_project}"),
        ("API", _api),
        ("credentials", _credentials),
        ("queries (roles/bigquery.jobUser)", _queries),
        ("raw dataset (roles/bigquery.dataEditor)", _dataset),
    ):
        try:
            print(public(f"ok       {need}: {look(settings)}"), flush=True)
        except (SourceError, *REFUSED, OSError) as error:
            status = 1
            print(public(f"MISSING  {need}: {one_line(error)}"), flush=True)
            if look is _credentials:
                break
    return status


def _api(settings: Settings) -> str:
    url, password = settings.randomuser_url, settings.randomuser_password
    (page,) = api.pages(url, 1, api.seed_of("check"), password, settings.retry_seconds)
    return f"{url} answers, version {page.info.version}"


def _credentials(settings: Settings) -> str:
    Warehouse(settings)
    emulator = settings.bigquery_emulator_host
    return f"none are sent to {emulator}" if emulator else "found"


def _queries(settings: Settings) -> str:
    warehouse, dry_run = Warehouse(settings), QueryJobConfig(dry_run=True, use_query_cache=False)
    warehouse.client.query("select 1", dry_run, retry=warehouse.retry, job_retry=None)
    return f"may be run in {warehouse.client.location}"


def _dataset(settings: Settings) -> str:
    warehouse = Warehouse(settings)
    client, name, retry = warehouse.client, warehouse.dataset, warehouse.retry
    try:
        place = client.get_dataset(name, retry=retry).location
    except NotFound:
        return f"{name} is not there; the first load makes it, if roles/bigquery.user allows it"
    if place != client.location:
        raise OSError(f"{name} lies in {place}, and BIGQUERY_LOCATION is {client.location}")
    table = f"{name}.landing_{uuid4().hex}"
    client.create_table(tables.staging(table), retry=retry)
    client.delete_table(table, retry=retry, not_found_ok=True)
    return f"{name} takes tables"
