"""Lands a load in BigQuery, whole or not at all, and once.

Parts go into a table of their own by load jobs; one statement then moves them all into
`users`, unless the load is there already, and one writes the load's row in the ledger, `loads`.
A run that dies leaves `users` as it was or complete; the next run of the same load finishes it.
"""

import hashlib
import logging
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import IO, Any
from uuid import uuid4

from google.api_core.exceptions import Conflict, GoogleAPIError, NotFound
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import GoogleAuthError
from google.cloud.bigquery import Client, LoadJob, LoadJobConfig, QueryJob, QueryJobConfig
from google.cloud.bigquery import ScalarQueryParameter as Parameter
from google.cloud.bigquery.retry import DEFAULT_RETRY
from requests import RequestException

from ingest import __version__, tables
from ingest.answers import Page, SourceError
from ingest.logs import event
from ingest.settings import Settings

log = logging.getLogger(__name__)
REFUSED = (GoogleAPIError, GoogleAuthError, RequestException)  # what Google's client raises
# How far back to look for users of a load that the ledger does not know. Loads that died between
# the two statements are finished by running them again within that time.
UNFINISHED = timedelta(days=30)
Values = dict[str, Any]  # of a statement's parameters
_TYPES = {str: "STRING", int: "INT64", type(None): "INT64", datetime: "TIMESTAMP"}


class LandingError(RuntimeError):
    """BigQuery holds something other than what was sent; the text says what was not done."""


class OtherUsersError(LandingError):
    """A load id that holds other users than are to be landed under it."""


def connect(settings: Settings) -> Client:
    """Return a client with the machine's own credentials, or for an emulator with none."""
    project, location = settings.google_cloud_project, settings.bigquery_location
    if not (emulator := settings.bigquery_emulator_host):
        return Client(project, location=location)
    url = {"api_endpoint": emulator if "://" in emulator else f"http://{emulator}"}
    nobody = AnonymousCredentials()  # type: ignore[no-untyped-call]
    return Client(project, nobody, location=location, client_options=url)


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
                added = f"{column.name} {column.field_type}"
                self.ask(f"alter table `{self.loads}` add column if not exists {added}")
        except NotFound:
            dataset = tables.dataset(self.dataset, self.client.location)
            self.client.create_dataset(dataset, exists_ok=True, retry=self.retry)
            for table in (tables.users(self.users), tables.loads(self.loads)):
                self.client.create_table(table, exists_ok=True, retry=self.retry)

    def landed(self, load_id: str) -> int | None:
        """Return how many users the ledger says that a load landed; None if it knows none."""
        rows = self.ask(tables.LANDED, load_id=load_id)
        return rows[0].users_landed if rows else None

    def ask(self, sql: str, staging: str = "", **values: Any) -> list[Any]:
        """Run a statement with `values` as its parameters and return its rows."""
        return list(self._query(sql, staging, values).result(retry=self.retry))

    def land(self, load_id: str, pages: Iterator[Page], asked: int | None, source: str) -> int:
        """Land all `pages` as the load `load_id` and return how many users it holds.

        `asked` (users; None for replayed files) and `source` go into the ledger. With SourceError,
        for users that were asked for and came twice, or what `pages` raises, nothing is landed.
        """
        started_at = datetime.now(UTC)
        values = {"load_id": load_id, "since": started_at - UNFINISHED}
        staging = f"{self.dataset}.landing_{uuid4().hex}"
        self.client.create_table(tables.staging(staging), exists_ok=True, retry=self.retry)
        try:
            received = self._stage(tables.parts(pages, load_id), staging)
            (staged,) = self.ask(tables.STAGED, staging, users_asked=asked)
            if staged.users != received:
                held = f"{staging} holds {staged.users} rows after {received} were sent"
                raise LandingError(f"{held}; nothing was landed")
            if asked and staged.different != asked:
                came = f"asked for {asked} users of {source}: only {staged.different} of those that"
                raise SourceError(f"{came} came differ, the API sent some twice")
            log.info("all %d users are staged", received, extra=event("staged", users=received))
            moved = self._once("users", tables.LAND, staging, values)
            values |= {"source": source, "users_asked": asked, "users_received": received}
            values |= {"loader_version": __version__, "started_at": started_at}
            written = self._once("ledger", tables.LEDGER, staging, values)
        finally:
            with suppress(*REFUSED):  # it expires
                self.client.delete_table(staging, not_found_ok=True, retry=self._first_call)
        if (moved, written) != (received, 1):  # another run of the load has done a part of it
            self.expect(load_id, self.landed(load_id), received)
        return received

    def expect(self, load_id: str, landed: int | None, users: int) -> None:
        """Raise LandingError unless as many users `landed` as were to be landed."""
        if landed is None:
            raise LandingError(f"{self.loads} has no row of load {load_id}: run the load again")
        if landed != users:
            text = f"load {load_id} holds {landed:,} users, and {users:,} were to be landed under "
            text += "its name; nothing was landed: give them another --load-id"
            raise OtherUsersError(text)

    def _stage(self, files: Iterator[tuple[IO[bytes], int]], staging: str) -> int:
        """Send each part while the next is being fetched; return how many users were sent."""
        received, sent = 0, list[Future[LoadJob]]()
        with ThreadPoolExecutor(1) as sender:
            for file, received in files:
                if sent:
                    sent[-1].result()  # no more than one waits to be sent
                sent.append(sender.submit(self._send, file, staging, received))
        for part in sent:
            part.result().result(retry=self.retry)
        return received

    def _send(self, file: IO[bytes], staging: str, received: int) -> LoadJob:
        job_id = f"randomuser-part-{uuid4().hex}"
        config = LoadJobConfig(source_format="PARQUET", schema=tables.STAGING)
        config.create_disposition, config.write_disposition = "CREATE_NEVER", "WRITE_APPEND"
        # An upload has retries of its own, which know no rate limit and count, not time.
        upload = self.retry(partial(self.client.load_table_from_file, num_retries=0))
        with file:
            try:
                job = upload(file, staging, rewind=True, job_config=config, job_id=job_id)
            except Conflict:  # it was sent twice: the first answer was lost
                job = self.client.get_job(job_id, retry=self.retry)  # type: ignore[assignment]
        log.info("sent %d users", received, extra=event("sent", users=received))
        return job

    def _once(self, step: str, sql: str, staging: str, values: Values) -> int | None:
        """Run a statement of which no two may run at once for a load; return the rows it wrote.

        BigQuery takes a job id once, so the id is the lock: whoever finds it taken waits for
        that job, then runs the statement under the next id, to find its work done.
        """
        key = hashlib.sha256(f"{self.dataset} {values['load_id']}".encode()).hexdigest()[:32]
        attempt = 0
        while True:
            attempt += 1
            job_id = f"randomuser-{step}-{key}-{attempt}"
            try:
                job = self._query(sql, staging, values, job_id)
                rows = job.result(retry=self.retry, job_retry=None).num_dml_affected_rows
                log.info("%s written", step, extra=event("written", table=step))
                return rows
            except Conflict:  # waits for the other job; how that ends does not matter
                self.client.get_job(job_id, retry=self.retry).exception()  # type: ignore[no-untyped-call]

    def _query(self, sql: str, staging: str, values: Values, job_id: str = "") -> QueryJob:
        sql = sql.format(users=self.users, loads=self.loads, staging=staging)
        parameters = [Parameter(name, _TYPES[type(it)], it) for name, it in values.items()]
        config = QueryJobConfig(query_parameters=parameters, use_legacy_sql=False)
        return self.client.query(sql, config, job_id or None, retry=self.retry, job_retry=None)
