"""dlt lands users raw by its fastest path: Arrow tables, appended to BigQuery or DuckDB as Parquet.

    python dlt_raw.py bigquery|duckdb --users N --load-id ID

A page becomes one Arrow table with the pipeline's raw columns, the payload as text. dlt does not
normalize Arrow tables but passes them on
(https://dlthub.com/docs/dlt-ecosystem/verified-sources/arrow-pandas): so one worker is enough to
normalize, and it starts no other process. Two pages are requested at once, and orjson, a dependency
of dlt, parses them. Otherwise it is tuned as https://dlthub.com/docs/reference/performance says.
"""

import argparse
import os
from datetime import UTC, datetime

# Set before dlt is imported. The embedded BigQuery does not read compressed JSON lines.
os.environ |= {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "EXTRACT__WORKERS": "2",
    "DATA_WRITER__BUFFER_MAX_ITEMS": "25000",
    "DATA_WRITER__FILE_MAX_ITEMS": "100000",
    "DATA_WRITER__DISABLE_COMPRESSION": "true",
    "NORMALIZE__WORKERS": "1",
    "LOAD__WORKERS": str(os.cpu_count() or 1),
    "LOAD__DELETE_COMPLETED_JOBS": "true",
}

import dlt
import orjson
import pyarrow as pa
from dlt.common.configuration.specs import GcpServiceAccountCredentials
from dlt.sources.helpers import requests
from google.auth.credentials import AnonymousCredentials

PAGE_USERS = 1_000


def destination(kind: str):
    """Return where to load: the embedded BigQuery, which needs no login, or a DuckDB file."""
    if kind == "duckdb":
        return dlt.destinations.duckdb(os.environ["PEER_DUCKDB"])
    GcpServiceAccountCredentials.to_native_credentials = lambda _: AnonymousCredentials()
    unused = dict.fromkeys(("private_key", "client_email", "token_uri"), "unused")
    project = os.environ["GOOGLE_CLOUD_PROJECT"]
    return dlt.destinations.bigquery(credentials={"project_id": project} | unused, location="US")


def main() -> None:
    """Land one load."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("destination")
    parser.add_argument("--users", type=int)
    parser.add_argument("--load-id")
    options = parser.parse_args()
    users, load_id, append = options.users, options.load_id, {"write_disposition": "append"}

    @dlt.resource(selected=False)
    def pages():
        for number, first in enumerate(range(0, users, PAGE_USERS), start=1):
            yield {"page": number, "results": min(PAGE_USERS, users - first), "seed": load_id}

    @dlt.transformer(data_from=pages, parallelized=True, name="users", **append)
    def responses(page):
        response = requests.get(os.environ["RANDOMUSER_URL"], params=page, timeout=60)
        body = orjson.loads(response.content)
        payloads, info = [orjson.dumps(user) for user in body["results"]], body["info"]
        rows, first = len(payloads), (page["page"] - 1) * PAGE_USERS
        now = pa.scalar(datetime.now(UTC), pa.timestamp("us", "UTC"))
        repeated = {"load_id": load_id, "page": page["page"], "api_version": info["version"]}
        repeated |= {"seed": info["seed"], "fetched_at": now, "loaded_at": now}
        yield pa.table(
            {name: pa.repeat(value, rows) for name, value in repeated.items()}
            | {"record_index": pa.array(range(first, first + rows), pa.int64())}
            | {"payload": pa.array(payloads, pa.binary()).cast(pa.string())}
        )

    loads = pa.table({"load_id": [load_id], "users_asked": [users]})
    pipeline = dlt.pipeline(
        "peer", destination=destination(options.destination), dataset_name="peer_raw"
    )
    ledger = dlt.resource([loads], name="loads", **append)
    pipeline.run([responses, ledger], loader_file_format="parquet")


if __name__ == "__main__":
    main()
