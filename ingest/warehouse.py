"""Lands a load in BigQuery, whole or not at all, and once.

Parts go into a table of their own by load jobs; one statement then moves them all into
`users`, unless the load is there already, and one writes the load's row in the ledger, `loads`.
A run that dies leaves `users` as it was or complete; the next run of the same load finishes it.
"""

import hashlib
import logging
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from typing import IO, Any
from uuid import uuid4

from google.api_core.exceptions import Conflict, GoogleAPIError, NotFound
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.cloud.bigquery import QueryJobConfig, ScalarQueryParameter
from google.cloud.bigquery.retry import DEFAULT_RETRY
from requests import RequestException

from ingest import __version__, tables
from ingest.answers import Page
from ingest.logs import event
from ingest.parts import parts
from ingest.settings import Settings

log = logging.getLogger(__name__)

# How far back to look for users of a load that the ledger does not know. Loads that died between
# the two statements are finished by running them again within that time.
UNFINISHED = timedelta(days=30)


class LandingError(RuntimeError):
    """BigQuery holds something other than what was sent; the text says what was not done."""


class OtherUsersError(LandingError):
    """A load id that holds other users than are to be landed under it."""

    def __init__(self, load_id: str, landed: int, given: int) -> None:
        """`landed`, `given`: how many users there are, and how many there were to be."""
        super().__init__(
            f"load {load_id} holds {landed:,} users, and {given:,} were to be landed under its "
            "name; nothing was landed: give them another --load-id"
        )


def connect(settings: Settings) -> bigquery.Client:
    """Return a client with the machine's own credentials, or for an emulator with none."""
    emulator = settings.bigquery_emulator_host
    return bigquery.Client(
        project=settings.google_cloud_project,
        location=settings.bigquery_location,
        credentials=AnonymousCredentials() if emulator else None,  # type: ignore[no-untyped-call]
        client_options={"api_endpoint": emulator} if emulator else None,
    )


class Warehouse:
    """The raw dataset of one project."""

    def __init__(self, settings: Settings) -> None:
        """Connect; nothing is asked yet."""
        self.client = connect(settings)
        self.dataset = f"{settings.google_cloud_project}.{settings.raw_dataset}"
        self.users, self.loads = f"{self.dataset}.users", f"{self.dataset}.loads"
        self.retry = DEFAULT_RETRY.with_timeout(settings.retry_seconds)
        # An emulator that is not up will not come up; a network may.
        patience = 1 if settings.bigquery_emulator_host else 30
        self._first_call = DEFAULT_RETRY.with_timeout(min(patience, settings.retry_seconds))

    def prepare(self) -> None:
        """Make the dataset and its tables where they are missing, and columns that are new."""
        try:
            loads = self.client.get_table(self.loads, retry=self._first_call)
            for column in tables.LOADS[len(loads.schema) :]:
                self.ask(
                    "alter table `{loads}` add column if not exists "
                    f"{column.name} {column.field_type}"
                )
        except NotFound:
            made = tables.dataset(self.dataset, self.client.location)
            self.client.create_dataset(made, exists_ok=True, retry=self.retry)
            for table in (tables.users(self.users), tables.loads(self.loads)):
                self.client.create_table(table, exists_ok=True, retry=self.retry)

    def landed(self, load_id: str) -> int | None:
        """Return how many users the ledger says that a load landed; None if it knows none."""
        rows = self.ask(
            "select users_landed from `{loads}` where load_id = @load_id", load_id=load_id
        )
        return rows[0].users_landed if rows else None

    def ask(self, sql: str, **values: Any) -> list[Any]:
        """Run a statement with `values` as its parameters and return its rows."""
        job = self._query(sql.format(loads=self.loads), **values)
        return list(job.result(retry=self.retry))

    def land(self, load_id: str, pages: Iterator[Page], asked: int | None, source: str) -> int:
        """Land all `pages` as the load `load_id` and return how many users it holds.

        `asked` (users; None where nothing was asked, but files replayed) and `source` go into the
        ledger. Whatever `pages` raises passes through, with nothing landed.
        """
        started_at = datetime.now(UTC)
        with self._staging() as staging:
            received = self._stage(parts(pages, load_id), staging)
            staged = self.client.get_table(staging, retry=self.retry).num_rows
            if staged != received:
                raise LandingError(
                    f"{staging} holds {staged} rows after {received} were sent; nothing was landed"
                )
            log.info("all %s users are staged", f"{staged:,}", extra=event("staged", users=staged))
            since = started_at - UNFINISHED
            self._once("users", tables.LAND, staging=staging, load_id=load_id, since=since)
            self._once(
                "ledger",
                tables.LEDGER,
                load_id=load_id,
                since=since,
                source=source,
                users_asked=asked,
                users_received=received,
                loader_version=__version__,
                started_at=started_at,
            )
        landed = self.landed(load_id)
        if landed is None:
            raise LandingError(f"{self.loads} has no row of load {load_id}: run the load again")
        if landed != received:
            raise OtherUsersError(load_id, landed, received)
        return landed

    @contextmanager
    def _staging(self) -> Iterator[str]:
        name = f"{self.dataset}.landing_{uuid4().hex}"
        self.client.create_table(tables.staging(name), exists_ok=True, retry=self.retry)
        try:
            yield name
        finally:
            with suppress(GoogleAPIError, RequestException):  # it expires
                self.client.delete_table(name, not_found_ok=True, retry=self._first_call)

    def _stage(self, files: Iterator[tuple[IO[bytes], int]], staging: str) -> int:
        """Send each part while the next is being fetched; return how many users were sent."""
        received = 0
        sent: list[Future[bigquery.LoadJob]] = []
        with ThreadPoolExecutor(1) as sender:
            for file, received in files:
                if sent:
                    sent[-1].result()  # no more than one waits to be sent
                sent.append(sender.submit(self._send, file, staging, received))
        for part in sent:
            part.result().result(retry=self.retry)
        return received

    def _send(self, file: IO[bytes], staging: str, received: int) -> bigquery.LoadJob:
        config = bigquery.LoadJobConfig(
            source_format=bigquery.SourceFormat.PARQUET,
            schema=tables.STAGING,
            create_disposition=bigquery.CreateDisposition.CREATE_NEVER,
            write_disposition=bigquery.WriteDisposition.WRITE_APPEND,
        )
        job_id = f"randomuser-part-{uuid4().hex}"
        # An upload has retries of its own, which know no rate limit and count, not time.
        upload = self.retry(partial(self.client.load_table_from_file, num_retries=0))
        with file:
            try:
                job = upload(file, staging, rewind=True, job_config=config, job_id=job_id)
            except Conflict:  # it was sent twice: the first answer was lost
                job = self.client.get_job(job_id, retry=self.retry)  # type: ignore[assignment]
        log.info("sent %s users", f"{received:,}", extra=event("sent", users=received))
        return job

    def _once(self, step: str, sql: str, *, load_id: str, staging: str = "", **values: Any) -> None:
        """Run a statement of which no two may run at once for one load.

        BigQuery takes a job id once, so the id is the lock: whoever finds it taken waits for
        that job, then runs the statement under the next id, to find its work done.
        """
        key = hashlib.sha256(f"{self.dataset} {load_id}".encode()).hexdigest()[:32]
        sql = sql.format(users=self.users, loads=self.loads, staging=staging)
        for attempt in count(1):
            job_id = f"randomuser-{step}-{key}-{attempt}"
            try:
                job = self._query(sql, job_id, load_id=load_id, **values)
                job.result(retry=self.retry, job_retry=None)
                log.info("%s written", step, extra=event("written", table=step))
                return
            except Conflict:
                # Waits; how the other job ended does not matter.
                other = self.client.get_job(job_id, retry=self.retry)
                other.exception()  # type: ignore[no-untyped-call]

    def _query(self, sql: str, job_id: str | None = None, **values: Any) -> bigquery.QueryJob:
        parameters = [
            ScalarQueryParameter(name, _TYPES[name], value) for name, value in values.items()
        ]
        config = QueryJobConfig(query_parameters=parameters, use_legacy_sql=False)
        return self.client.query(
            sql, job_config=config, job_id=job_id, retry=self.retry, job_retry=None
        )


_TYPES = defaultdict(
    lambda: "STRING",
    since="TIMESTAMP",
    started_at="TIMESTAMP",
    users_asked="INT64",
    users_received="INT64",
)
