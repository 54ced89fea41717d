"""Packs pages into Parquet files of bounded size, one load job's worth each."""

from collections.abc import Iterator
from tempfile import TemporaryFile
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from ingest import tables
from ingest.answers import Page

# Many pages go into one load job, of which BigQuery allows a table 1,500 a day; the fewer, the
# less of a load is sent while the rest is still being fetched.
PART_USERS = 10_000

_TYPES = {"STRING": pa.string(), "INT64": pa.int64(), "TIMESTAMP": pa.timestamp("us", "UTC")}
SCHEMA = pa.schema([pa.field(c.name, _TYPES[c.field_type], nullable=False) for c in tables.STAGING])
# No two payloads are the same: to look for it takes time and memory.
_REPEATED = ["load_id", "page", "api_version", "seed", "fetched_at"]
# Arrow's own pool is made for speed and keeps what it once had; the system's gives it back when
# told to, and with it what Python has freed.
MEMORY = pa.system_memory_pool()
pa.set_memory_pool(MEMORY)


def parts(pages: Iterator[Page], load_id: str) -> Iterator[tuple[IO[bytes], int]]:
    """Yield each part as an open Parquet file, and how many users have been packed so far.

    Whoever takes a file closes it: then it is gone.
    """
    index, page = 0, next(pages, None)
    while page:
        file = TemporaryFile()  # noqa: SIM115 -- whoever takes it closes it
        with pq.ParquetWriter(file, SCHEMA, compression="zstd", use_dictionary=_REPEATED) as writer:
            end_of_part = index + PART_USERS
            while page and index < end_of_part:
                writer.write_batch(_batch(page, load_id, index))
                index += len(page.users)
                page = None  # so that no more than one is held
                page = next(pages, None)
        MEMORY.release_unused()
        yield file, index


def _batch(page: Page, load_id: str, index: int) -> pa.RecordBatch:
    users, info = page.users, page.info
    values = (load_id, info.page, info.version, info.seed, page.fetched_at)
    columns = {
        name: pa.repeat(pa.scalar(value, SCHEMA.field(name).type), len(users))
        for name, value in zip(_REPEATED, values, strict=True)
    }
    columns["record_index"] = pa.array(range(index, index + len(users)), pa.int64())
    columns["payload"] = pa.array(map(bytes, users), pa.binary()).view(pa.string())  # it is UTF-8
    return pa.RecordBatch.from_pydict(columns, SCHEMA)
