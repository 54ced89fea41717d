"""Lands a load in BigQuery completely or not at all, and only once.

Load jobs write the parts of a load into a staging table. One statement then moves all rows into
`users`, unless the load is there already, and another writes its row into the ledger, `loads`.
Users who are forgotten (macros/forget_users.sql) are left out and counted.
A run that dies leaves `users` unchanged or complete; the next run of the same load finishes it.
"""

import hashlib
import logging
import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import IO, Any, NamedTuple
from uuid import uuid4

from google.api_core.exceptions import Conflict, GoogleAPIError, NotFound
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import GoogleAuthError
from google.cloud.bigquery import Client, LoadJob, LoadJobConfig, QueryJob, QueryJobConfig, Table
from google.cloud.bigquery import ScalarQueryParameter as Parameter
from google.cloud.bigquery.retry import DEFAULT_RETRY
from requests import RequestException

from ingest import __version__, tables
from ingest.logs import event
from ingest.response import Page, SourceError
from ingest.settings import Settings

log = logging.getLogger(__name__)
CLIENT_ERRORS = (GoogleAPIError, GoogleAuthError, RequestException)  # raised by Google's client
# How far back to look in `users` for a load without a row in the ledger. A load that died between
# the two statements is finished if it runs again within this time.
RECOVERY_WINDOW = timedelta(days=30)
Values = dict[str, Any]  # of the parameters of a statement
# The start of a data interval. Other texts that Python reads as a time may be any load id.
_TIME = re.compile(r"(?a)\d{4}-\d\d-\d\d([T ]\d\d(:\d\d){0,2}(\.\d{1,6})?(Z|[+-]\d\d(:\d\d)?)?)?")
_TYPES = {str: "STRING", int: "INT64", type(None): "INT64", datetime: "TIMESTAMP"}


class LandingError(RuntimeError):
    """BigQuery does not hold what was sent; the text says what was not done."""


class LoadIdTakenError(LandingError):
    """The load id belongs to a load of other users."""


class Landed(NamedTuple):
    """How many users of a load are in `users`, and how many are forgotten."""

    users: int
    forgotten: int


def normalize_load_id(load_id: str) -> str:
    """Return a time in UTC as Airflow writes it (2026-01-01T00:00:00+00:00), other ids as given."""
    with suppress(ValueError, OverflowError):  # such as 2026-02-30
        if _TIME.fullmatch(load_id):
            start = datetime.fromisoformat(load_id)
            return start.replace(tzinfo=start.tzinfo or UTC).astimezone(UTC).isoformat()
    return load_id


def connect(settings: Settings, load_id: str = "") -> Client:
    """Return a client with the default credentials, or with none for an emulator.

    Its jobs have the label `load_id`, in the form that BigQuery accepts, unless it is empty.
    """
    labels = {"load_id": re.sub(r"[^a-z0-9_-]", "_", load_id.lower())[:63]} if load_id else {}
    options: Values = {
        "location": settings.bigquery_location,
        "default_query_job_config": QueryJobConfig(labels=labels),
        "default_load_job_config": LoadJobConfig(labels=labels),
    }
    if emulator := settings.bigquery_emulator_host:
        url = emulator if "://" in emulator else f"http://{emulator}"
        options["client_options"] = {"api_endpoint": url}
        options["credentials"] = AnonymousCredentials()  # type: ignore[no-untyped-call]
    return Client(settings.google_cloud_project, **options)


class Warehouse:
    """The raw dataset of a project."""

    def __init__(self, settings: Settings, load_id: str = "") -> None:
        """Create a client, with `load_id` as the label of its jobs; it sends no request yet."""
        self.client = connect(settings, load_id)
        self.dataset = f"{settings.google_cloud_project}.{settings.raw_dataset}"
        self.users, self.loads = f"{self.dataset}.users", f"{self.dataset}.loads"
        self.forgotten = f"{self.dataset}.forgotten"
        self.retry = DEFAULT_RETRY.with_timeout(settings.retry_seconds)
        # An emulator that is down stays down; a network may recover.
        limit = 1 if settings.bigquery_emulator_host else 30
        self._first_call_retry = DEFAULT_RETRY.with_timeout(min(limit, settings.retry_seconds))

    def create_tables(self) -> None:
        """Create the dataset, its tables and new columns where they are missing."""
        known = 0
        try:
            known = len(self.client.get_table(self.loads, retry=self._first_call_retry).schema)
        except NotFound:
            dataset = tables.define_dataset(self.dataset, self.client.location)
            self.client.create_dataset(dataset, exists_ok=True, retry=self.retry)
            self._create_table(tables.define_users(self.users))
        if missing := tables.LOADS[known:]:  # the ledger comes last: it shows that all is there
            self._create_table(tables.define_forgotten(self.forgotten))
            self.query(tables.FORGOTTEN_KEY)
            self._create_table(tables.define_loads(self.loads))
        for column in missing if known else []:
            definition = f"{column.name} {column.field_type}"
            self.query(f"alter table `{self.loads}` add column if not exists {definition}")

    def find_spelling(self, load_id: str) -> str:
        """Return `load_id` normalized, or as given if an older version landed it like that."""
        normalized = normalize_load_id(load_id)
        return load_id if load_id != normalized and self.count_landed(load_id) else normalized

    def count_landed(self, load_id: str) -> Landed | None:
        """Return what the ledger says about a load; None if the load is not in it."""
        rows = self.query(tables.LANDED, load_id=load_id)
        return Landed(*rows[0]) if rows else None

    def query(self, sql: str, staging: str = "", **values: Any) -> list[Any]:
        """Run a statement with `values` as its parameters and return its rows."""
        return list(self._start_query(sql, staging, values).result(retry=self.retry))

    def land(
        self, load_id: str, pages: Iterator[Page], requested: int | None, source: str
    ) -> Landed:
        """Land all `pages` as the load `load_id` and return how many users have landed.

        `requested` (users; None for a replay) and `source` go into the ledger. Nothing lands if
        `pages` raises, or if requested users were sent twice (SourceError).
        """
        started_at = datetime.now(UTC)
        values = {"load_id": load_id, "since": started_at - RECOVERY_WINDOW}
        staging = f"{self.dataset}.landing_{uuid4().hex}"
        self._create_table(tables.define_staging(staging))
        try:
            received = self._upload_parts(tables.write_parts(pages, load_id), staging)
            (staged,) = self.query(tables.STAGED, staging, users_asked=requested)
            if staged.users != received:
                counts = f"{received} rows were sent and {staging} holds {staged.users}"
                raise LandingError(f"{counts}; nothing was landed")
            if requested and staged.distinct_users != requested:
                counts = f"requested {requested} users of {source}, received "
                counts += f"{staged.distinct_users} distinct users"
                raise SourceError(f"{counts}: the API sent some twice")
            log.info("staged all %d users", received, extra=event("staged", users=received))
            moved = self._run_once_per_load("users", tables.LAND, staging, values)
            values |= {"source": source, "users_asked": requested, "users_received": received}
            values |= {"loader_version": __version__, "started_at": started_at}
            written = self._run_once_per_load("ledger", tables.LEDGER, staging, values)
            if not written:  # raw lacks forgotten users, or another run has written the ledger
                ledger = tables.LEDGER_WITH_FORGOTTEN
                self._run_once_per_load("ledger", ledger, staging, values)
        finally:
            with suppress(*CLIENT_ERRORS):  # the table expires anyway
                self.client.delete_table(staging, not_found_ok=True, retry=self._first_call_retry)
        if (moved, written) == (received, 1):
            return Landed(received, 0)
        return self.check_landed(load_id, self.count_landed(load_id), received)

    def check_landed(self, load_id: str, landed: Landed | None, users: int) -> Landed:
        """Return `landed`; raise LandingError unless the ledger has all `users` of the load."""
        if landed is None:
            raise LandingError(f"{self.loads} has no row of load {load_id}: run the load again")
        if sum(landed) != users:
            conflict = f"load {load_id} holds {sum(landed):,} users, but this run has {users:,}"
            raise LoadIdTakenError(f"{conflict}; nothing was landed: use another --load-id")
        return landed

    def _create_table(self, table: Table) -> None:
        self.client.create_table(table, exists_ok=True, retry=self.retry)

    def _upload_parts(self, files: Iterator[tuple[IO[bytes], int]], staging: str) -> int:
        """Upload each part while the next is fetched, and return the number of users."""
        received, jobs = 0, list[Future[LoadJob]]()
        with ThreadPoolExecutor(1) as executor:
            for file, received in files:
                if jobs:
                    jobs[-1].result()  # so that only one part waits for its upload
                jobs.append(executor.submit(self._upload_part, file, staging, received))
        for job in jobs:
            job.result().result(retry=self.retry)
        return received

    def _upload_part(self, file: IO[bytes], staging: str, received: int) -> LoadJob:
        job_id = f"randomuser-part-{uuid4().hex}"
        config = LoadJobConfig(source_format="PARQUET", schema=tables.STAGING)
        config.create_disposition, config.write_disposition = "CREATE_NEVER", "WRITE_APPEND"
        # The retries of load_table_from_file ignore rate limits and count tries, not seconds.
        upload = self.retry(partial(self.client.load_table_from_file, num_retries=0))
        with file:
            try:
                job = upload(file, staging, rewind=True, job_config=config, job_id=job_id)
            except Conflict:  # a retry after a lost response: the job exists
                job = self.client.get_job(job_id, retry=self.retry)  # type: ignore[assignment]
        log.info("uploaded %d users", received, extra=event("uploaded", users=received))
        return job

    def _run_once_per_load(self, step: str, sql: str, staging: str, values: Values) -> int | None:
        """Run a statement under a lock per load, and return the number of rows it wrote.

        BigQuery accepts a job id only once, so the id is the lock: a run that finds it taken waits
        for that job, then runs the statement under the next id, which writes nothing twice.
        """
        key = hashlib.sha256(f"{self.dataset} {values['load_id']}".encode()).hexdigest()[:32]
        attempt = 0
        while True:
            attempt += 1
            job_id = f"randomuser-{step}-{key}-{attempt}"
            try:
                job = self._start_query(sql, staging, values, job_id)
                job.result(retry=self.retry, job_retry=None)
                log.info("%s written", step, extra=event("written", table=step))
                return job.num_dml_affected_rows
            except Conflict:  # wait for the other job; whether it succeeds does not matter
                self.client.get_job(job_id, retry=self.retry).exception()  # type: ignore[no-untyped-call]

    def _start_query(self, sql: str, staging: str, values: Values, job_id: str = "") -> QueryJob:
        names = {"users": self.users, "loads": self.loads, "forgotten": self.forgotten}
        is_forgotten = tables.IS_FORGOTTEN.format(**names)
        sql = sql.format(**names, staging=staging, is_forgotten=is_forgotten)
        parameters = [Parameter(name, _TYPES[type(value)], value) for name, value in values.items()]
        config = QueryJobConfig(query_parameters=parameters, use_legacy_sql=False)
        return self.client.query(sql, config, job_id or None, retry=self.retry, job_retry=None)
