"""dlt lands users raw, by its fastest path: Arrow tables appended to a DuckDB file.

    python dlt_raw.py FOLDER FILE...
    python dlt_raw.py FOLDER URL SEED PASSWORD USERS PAGE_USERS CONCURRENCY

FOLDER gets `peer.duckdb` and dlt's own working files. FILEs are NDJSON, one user a line, so that
dlt has nothing to parse; the pipeline's loader parses and validates whole responses. A URL serves
pages of PAGE_USERS users, CONCURRENCY pages are requested at once, and orjson, a dependency of dlt,
parses them. Each file or page becomes one Arrow table with the pipeline's raw columns, the payload
as text. dlt does not normalize Arrow tables but passes them on as Parquet files, which DuckDB reads
(https://dlthub.com/docs/dlt-ecosystem/verified-sources/arrow-pandas): so one worker is enough to
normalize, and it starts no other process.
"""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

FOLDER, SOURCE = Path(sys.argv[1]), sys.argv[2:]
IS_URL = SOURCE[0].startswith("http")

# Set before dlt is imported. Extract has one worker per concurrent request: they only wait.
os.environ |= {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "EXTRACT__WORKERS": SOURCE[-1] if IS_URL else "1",
    "DATA_WRITER__BUFFER_MAX_ITEMS": "25000",
    "DATA_WRITER__FILE_MAX_ITEMS": "100000",
    "NORMALIZE__WORKERS": "1",
    "LOAD__WORKERS": str(os.cpu_count() or 1),
    "LOAD__DELETE_COMPLETED_JOBS": "true",
}

import dlt
import orjson
import pyarrow as pa
from dlt.sources.helpers import requests


def raw(payloads: list[bytes], page: int, first: int, version: str, seed: str) -> pa.Table:
    """Return one page as a table with the raw columns; `first` is the index of its first user."""
    rows = len(payloads)
    now = pa.scalar(datetime.now(UTC), pa.timestamp("us", "UTC"))
    return pa.table(
        {
            "load_id": pa.repeat("bench", rows),
            "record_index": pa.array(range(first, first + rows), pa.int64()),
            "page": pa.repeat(page, rows),
            "payload": pa.array(payloads, pa.binary()).cast(pa.string()),
            "api_version": pa.repeat(version, rows),
            "seed": pa.repeat(seed, rows),
            "fetched_at": pa.repeat(now, rows),
            "loaded_at": pa.repeat(now, rows),
        }
    )


def from_files():
    """Yield each file as an Arrow table."""
    first = 0
    for page, file in enumerate(SOURCE, start=1):
        payloads = Path(file).read_bytes().splitlines()
        yield raw(payloads, page, first, "1.4", "bench")
        first += len(payloads)


def from_url():
    """Return resources: pages fetched in parallel as Arrow tables, and a ledger for the tests."""
    url, seed, password, *numbers = SOURCE
    users, page_users, _ = map(int, numbers)
    parameters = {"seed": seed} | ({"password": password} if password else {})

    @dlt.resource(selected=False)
    def pages():
        for number, first in enumerate(range(0, users, page_users), start=1):
            yield {"page": number, "results": min(page_users, users - first)}

    @dlt.transformer(data_from=pages, parallelized=True, write_disposition="append", name="users")
    def responses(page):
        body = orjson.loads(requests.get(url, params=parameters | page, timeout=60).content)
        payloads, info = [orjson.dumps(user) for user in body["results"]], body["info"]
        first = (page["page"] - 1) * page_users
        return raw(payloads, page["page"], first, info["version"], info["seed"])

    loads = pa.table({"load_id": ["bench"], "users_asked": [users]})
    return [responses, dlt.resource([loads], name="loads", write_disposition="append")]


def main() -> None:
    """Run the pipeline once."""
    pipeline = dlt.pipeline(
        "peer",
        pipelines_dir=str(FOLDER / "pipelines"),
        destination=dlt.destinations.duckdb(str(FOLDER / "peer.duckdb")),
        dataset_name="randomuser",
    )
    source = from_url() if IS_URL else dlt.resource(from_files, name="users")
    pipeline.run(source, loader_file_format="parquet")


if __name__ == "__main__":
    main()
