"""`python -m ingest --check`: shows what is missing before a first load."""

from uuid import uuid4

from google.api_core.exceptions import NotFound
from google.cloud.bigquery import QueryJobConfig, Table

from ingest import logs, tables
from ingest.errors import explain
from ingest.response import SourceError
from ingest.settings import Settings
from ingest.source import Source
from ingest.warehouse import CLIENT_ERRORS, LandingError, Warehouse

INTERVAL = "2000-01-01T00:00:00+00:00"  # of an API that grows: it is over, and has few records


def check(source: Source, settings: Settings) -> int:
    """Print a line for each requirement, and return the exit status: 1 if one is missing."""
    settings = settings.model_copy(  # because a person waits
        update={"retry_seconds": min(10, settings.retry_seconds), source.count_setting: 1}
    )
    status = 0
    for requirement, find in (
        ("settings", lambda settings: f"project {settings.google_cloud_project}"),
        ("API", lambda settings: _check_api(source, settings)),
        ("credentials", _check_credentials),
        ("queries (roles/bigquery.jobUser)", _check_queries),
        ("raw dataset (roles/bigquery.dataEditor)", _check_dataset),
    ):
        try:
            print(logs.redact(f"ok       {requirement}: {find(settings)}"), flush=True)
        except (SourceError, LandingError, *CLIENT_ERRORS) as error:
            status, (text, next_step) = 1, explain(error)
            text += f"; {next_step}" if isinstance(error, CLIENT_ERRORS) else ""
            print(logs.redact(f"MISSING  {requirement}: {text}"), flush=True)
            if find is _check_credentials:
                break
    return status


def _check_api(source: Source, settings: Settings) -> str:
    load = source.request(settings, INTERVAL)
    version = next(iter(load.pages)).columns.get("api_version")
    return f"{load.url} responds" + (f" with version {version}" if version else "")


def _check_credentials(settings: Settings) -> str:
    Warehouse(settings)
    emulator = settings.bigquery_emulator_host
    return f"none are sent to {emulator}" if emulator else "found"


def _check_queries(settings: Settings) -> str:
    warehouse, dry_run = Warehouse(settings), QueryJobConfig(dry_run=True, use_query_cache=False)
    warehouse.client.query("select 1", dry_run, retry=warehouse.retry, job_retry=None)
    return f"allowed in {warehouse.client.location}"


def _check_dataset(settings: Settings) -> str:
    warehouse = Warehouse(settings)
    client, name, retry = warehouse.client, warehouse.dataset, warehouse.retry
    try:
        location = client.get_dataset(name, retry=retry).location
    except NotFound:
        return f"{name} does not exist; the first load creates it with roles/bigquery.user"
    if location != client.location:
        raise LandingError(f"{name} is in {location}, but BIGQUERY_LOCATION is {client.location}")
    table = Table(f"{name}.check_{uuid4().hex}", tables.FORGOTTEN)
    client.create_table(table, retry=retry)
    client.delete_table(table, retry=retry, not_found_ok=True)
    return f"tables can be created in {name}"
