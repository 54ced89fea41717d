"""The embedded BigQuery, as a test looks into it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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

    def count_by_load(self, table: str) -> list[tuple[object, ...]]:
        """Return each load of a table, with the number of its rows."""
        return self.rows(f"select load_id, count(*) from {table} group by 1 order by 1")

    def read_failures(self, target: Path, test: str) -> list[dict[str, Any]]:
        """Return the rows for which a test of the last build warned or failed, from dbt's files."""
        results = json.loads((target / "run_results.json").read_text())["results"]
        return [
            dict(row)
            for result in results
            if result["unique_id"].split(".")[2] == test and result["status"] in ("warn", "fail")
            for row in self.client.query_and_wait(result["compiled_code"])
        ]

    def read_texts(self, *prefixes: str) -> dict[str, str]:
        """Return the rows of each table and view as text, of datasets that begin with a prefix."""
        names = [
            f"{dataset.dataset_id}.{table.table_id}"
            for dataset in self.client.list_datasets()
            if dataset.dataset_id.startswith(prefixes)
            for table in self.client.list_tables(dataset.reference)
        ]
        rows = {name: self.rows(f"select * from `{name}`") for name in names}
        return {name: "\n".join(sorted(map(str, rows[name]))) for name in names}


def client(url: str) -> bigquery.Client:
    """Return a client of the embedded BigQuery at `url`."""
    return bigquery.Client(
        PROJECT,
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
        client_options={"api_endpoint": url},
    )
