"""Packs pages into Parquet files of bounded size, one load job's worth each."""

from collections.abc import Iterator
from tempfile import TemporaryFile
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq
from msgspec import Raw

from ingest.answers import Page

# Many pages go into one load job, of which BigQuery allows a table 1,500 a day; the fewer, the
# less of a load is sent while the rest is still being fetched.
PART_USERS = 10_000
BATCH_USERS = 1_000

SCHEMA = pa.schema(
    [
        pa.field("load_id", pa.string(), nullable=False),
        pa.field("record_index", pa.int64(), nullable=False),
        pa.field("page", pa.int64(), nullable=False),
        pa.field("payload", pa.string(), nullable=False),
        pa.field("api_version", pa.string(), nullable=False),
        pa.field("seed", pa.string(), nullable=False),
        pa.field("fetched_at", pa.timestamp("us", "UTC"), nullable=False),
    ]
)
# Arrow's own pool is made for speed and keeps what it once had; the system's gives it back when
# told to, and with it what Python has freed.
MEMORY = pa.system_memory_pool()
pa.set_memory_pool(MEMORY)

# No two payloads are the same: to look for it takes time and memory.
_REPEATED = ["load_id", "page", "api_version", "seed", "fetched_at"]


def parts(pages: Iterator[Page], load_id: str) -> Iterator[tuple[IO[bytes], int]]:
    """Yield each part as an open Parquet file, and how many users have been packed so far.

    Whoever takes a file closes it: then it is gone.
    """
    index = 0
    page = next(pages, None)
    while page:
        file = TemporaryFile()  # noqa: SIM115 -- whoever takes it closes it
        with pq.ParquetWriter(file, SCHEMA, compression="zstd", use_dictionary=_REPEATED) as writer:
            end_of_part = index + PART_USERS
            while page and index < end_of_part:
                for first in range(0, len(page.users), BATCH_USERS):
                    users = page.users[first : first + BATCH_USERS]
                    writer.write_batch(_batch(page, users, load_id, index))
                    index += len(users)
                page, users = None, []  # so that no more than one is held
                page = next(pages, None)
        MEMORY.release_unused()
        yield file, index


def _batch(page: Page, users: list[Raw], load_id: str, first_index: int) -> pa.RecordBatch:
    count = len(users)
    info = page.info
    columns = [
        pa.repeat(load_id, count),
        pa.array(range(first_index, first_index + count), pa.int64()),
        pa.repeat(info.page, count),
        pa.array(map(bytes, users), pa.binary()).view(pa.string()),  # read_page() checked it
        pa.repeat(info.version, count),
        pa.repeat(info.seed, count),
        pa.repeat(pa.scalar(page.fetched_at, pa.timestamp("us", "UTC")), count),
    ]
    return pa.record_batch(columns, schema=SCHEMA)
