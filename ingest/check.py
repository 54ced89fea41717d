"""`python -m ingest --check`: what is missing before anything can run, a line for each need."""

from collections.abc import Callable, Iterator
from uuid import uuid4

from google.api_core.exceptions import GoogleAPIError, NotFound
from google.auth.exceptions import GoogleAuthError
from google.cloud.bigquery import QueryJobConfig
from requests import RequestException

from ingest import api, tables
from ingest.answers import SourceError
from ingest.settings import Settings
from ingest.warehouse import Warehouse

PATIENCE = 10  # seconds; who waits is a person


def check(settings: Settings) -> Iterator[tuple[bool, str]]:
    """Yield whether each need is met, and what was found or what to do; nothing is landed."""
    settings = settings.model_copy(update={"retry_seconds": PATIENCE})
    yield True, f"settings: project {settings.google_cloud_project}"
    yield _tried("API", lambda: _api(settings))
    try:
        warehouse = Warehouse(settings)
    except GoogleAuthError as error:
        yield False, f"credentials: {_one_line(error)}"
        return
    emulator = settings.bigquery_emulator_host
    yield True, f"credentials: {f'none are sent to {emulator}' if emulator else 'found'}"
    yield _tried("queries (roles/bigquery.jobUser)", lambda: _queries(warehouse))
    yield _tried("raw dataset (roles/bigquery.dataEditor)", lambda: _dataset(warehouse))


def _tried(need: str, look: Callable[[], str]) -> tuple[bool, str]:
    try:
        return True, f"{need}: {look()}"
    except (SourceError, GoogleAPIError, GoogleAuthError, RequestException, OSError) as error:
        return False, f"{need}: {_one_line(error)}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:500]


def _api(settings: Settings) -> str:
    url, password = settings.randomuser_url, settings.randomuser_password
    (page,) = api.pages(url, 1, api.seed_of("check"), password, settings.retry_seconds)
    return f"{url} answers, version {page.info.version}"


def _queries(warehouse: Warehouse) -> str:
    dry_run = QueryJobConfig(dry_run=True, use_query_cache=False)
    warehouse.client.query("select 1", dry_run, retry=warehouse.retry, job_retry=None)
    return f"may be run in {warehouse.client.location}"


def _dataset(warehouse: Warehouse) -> str:
    client, name = warehouse.client, warehouse.dataset
    try:
        found = client.get_dataset(name, retry=warehouse.retry)
    except NotFound:
        return f"{name} is not there; the first load makes it, if roles/bigquery.user allows it"
    if found.location != client.location:
        raise OSError(
            f"{name} lies in {found.location}, and BIGQUERY_LOCATION is {client.location}"
        )
    table = f"{name}.landing_{uuid4().hex}"
    client.create_table(tables.staging(table), retry=warehouse.retry)
    client.delete_table(table, retry=warehouse.retry, not_found_ok=True)
    return f"{name} takes tables"
