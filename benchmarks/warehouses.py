"""The warehouses: the embedded BigQuery with its jobs and their price, and a DuckDB file."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import duckdb
from google.cloud.bigquery import Client, LoadJob, QueryJob, ScalarQueryParameter
from support.cost import MINIMUM_BYTES, USERS, estimate_bytes, list_columns, list_dollars

from ingest.landing import RECOVERY_DAYS
from ingest.settings import Settings
from ingest.warehouse import connect
from local.__main__ import PROJECT

# Statements about dlt's own tables and about schemas: each is billed the minimum, if it reads.
ABOUT_SCHEMAS = re.compile(r"_dlt_|INFORMATION_SCHEMA|^DECLARE")


@dataclass
class DuckDB:
    """A DuckDB file, which has no jobs: it is in the process of the peer."""

    file: Path

    def jobs(self) -> list[QueryJob | LoadJob]:
        """Return no jobs."""
        return []

    def count(self, table: str) -> int:
        """Return the number of rows of a table (`dataset.table`)."""
        with duckdb.connect(str(self.file), read_only=True) as connection:
            return int(connection.sql(f"select count(*) from {table}").fetchall()[0][0])


@dataclass
class BigQuery:
    """An embedded BigQuery that runs."""

    url: str

    @cached_property
    def client(self) -> Client:
        """Google's client."""
        return connect(Settings.read(google_cloud_project=PROJECT, bigquery_emulator_host=self.url))

    def jobs(self) -> list[QueryJob | LoadJob]:
        """Return all jobs since the start, in their order."""
        return list(self.client.list_jobs(page_size=100_000))[::-1]

    def count(self, table: str) -> int:
        """Return the number of rows of a table (`dataset.table`)."""
        return int(next(iter(self.client.query_and_wait(f"select count(*) from `{table}`")))[0])

    def price(self, first: int) -> list[float]:
        """Return the dollars a month of an hourly run for each of `cost.USERS`, by docs/cost.md.

        The run is the jobs from number `first` on; the jobs before it created the tables.
        """
        # A job here does not keep its parameters: these are the loader's of a first run.
        parameters = [
            ScalarQueryParameter("days", "INT64", RECOVERY_DAYS),
            ScalarQueryParameter("started_at", "STRING", str(datetime.now(UTC))),
        ]
        labelled, schema_bytes = [], 0
        for number, job in enumerate(self.jobs()):
            if isinstance(job, QueryJob) and ABOUT_SCHEMAS.search(job.query):
                schema_bytes += MINIMUM_BYTES * (number >= first and "SELECT" in job.query)
            elif isinstance(job, QueryJob):
                labelled.append(("run" if number >= first else "", job.query, parameters))
        _, billed, _ = estimate_bytes(labelled, list_columns(self.client), self.client)
        billed.update({("run", users): schema_bytes for users in USERS})
        return list_dollars(billed, "run")
