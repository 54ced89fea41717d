"""dlt landing users raw, by its fastest path: Arrow batches appended to a DuckDB file.

    python dlt_raw.py FOLDER FILE...

FOLDER gets `peer.duckdb` and dlt's own working files. FILEs are NDJSON, one user a line, so that
dlt has nothing to parse: we read whole answers and check them. Each file becomes one Arrow table
with our raw columns, the payload as text. dlt does not normalize Arrow tables but passes them on as
Parquet files, which DuckDB reads by itself
(https://dlthub.com/docs/dlt-ecosystem/verified-sources/arrow-pandas).
"""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

FOLDER, FILES = Path(sys.argv[1]), sys.argv[2:]
FILE_USERS = "100000"  # as many as ours packs into a part

os.environ |= {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "DATA_WRITER__BUFFER_MAX_ITEMS": FILE_USERS,
    "DATA_WRITER__FILE_MAX_ITEMS": FILE_USERS,
    "NORMALIZE__WORKERS": str(os.cpu_count() or 1),
    "LOAD__WORKERS": str(os.cpu_count() or 1),
    "LOAD__DELETE_COMPLETED_JOBS": "true",
}

import dlt
import pyarrow as pa


@dlt.resource(name="users", write_disposition="append")
def users():
    """Yield each file as an Arrow table."""
    index = 0
    for page, file in enumerate(FILES, start=1):
        payloads = Path(file).read_bytes().splitlines()
        count = len(payloads)
        now = pa.scalar(datetime.now(UTC), pa.timestamp("us", "UTC"))
        yield pa.table(
            {
                "load_id": pa.repeat("bench", count),
                "record_index": pa.array(range(index, index + count), pa.int64()),
                "page": pa.repeat(page, count),
                "payload": pa.array(payloads, pa.binary()).cast(pa.string()),
                "api_version": pa.repeat("1.4", count),
                "seed": pa.repeat("bench", count),
                "fetched_at": pa.repeat(now, count),
                "loaded_at": pa.repeat(now, count),
            }
        )
        index += count


def main() -> None:
    """Run the pipeline once."""
    pipeline = dlt.pipeline(
        "peer",
        pipelines_dir=str(FOLDER / "pipelines"),
        destination=dlt.destinations.duckdb(str(FOLDER / "peer.duckdb")),
        dataset_name="randomuser",
    )
    pipeline.run(users(), loader_file_format="parquet")


if __name__ == "__main__":
    main()
