"""Packs pages into Parquet files of bounded size, one load job's worth each."""

from collections.abc import Iterator
from tempfile import TemporaryFile
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from ingest.answers import Page

PART_USERS = 100_000  # BigQuery allows 1,500 load jobs a table a day: many pages go into one

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


def parts(pages: Iterator[Page], load_id: str) -> Iterator[tuple[IO[bytes], int]]:
    """Yield each part as an open Parquet file, and how many users have been packed so far."""
    index = 0
    page = next(pages, None)
    while page:
        with TemporaryFile() as file:
            with pq.ParquetWriter(file, SCHEMA, compression="zstd") as writer:
                end_of_part = index + PART_USERS
                while page and index < end_of_part:
                    writer.write_batch(_batch(page, load_id, index))
                    index += len(page.users)
                    page = next(pages, None)
            yield file, index


def _batch(page: Page, load_id: str, first_index: int) -> pa.RecordBatch:
    count = len(page.users)
    info = page.info
    columns = [
        pa.repeat(load_id, count),
        pa.array(range(first_index, first_index + count), pa.int64()),
        pa.repeat(info.page, count),
        pa.array(page.users, pa.binary()).cast(pa.string()),
        pa.repeat(info.version, count),
        pa.repeat(info.seed, count),
        pa.repeat(pa.scalar(page.fetched_at, pa.timestamp("us", "UTC")), count),
    ]
    return pa.record_batch(columns, schema=SCHEMA)
