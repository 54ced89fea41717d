"""The embedded BigQuery, as a test looks into it."""

from dataclasses import dataclass

from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from local.__main__ import PROJECT


@dataclass
class Warehouse:
    """An embedded BigQuery and a client of it."""

    url: str
    project: str
    client: bigquery.Client

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        """Run a query and return its rows."""
        return [tuple(row.values()) for row in self.client.query_and_wait(sql)]


def client(url: str) -> bigquery.Client:
    """Return a client of the embedded BigQuery at `url`."""
    return bigquery.Client(
        PROJECT,
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
        client_options={"api_endpoint": url},
    )
