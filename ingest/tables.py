"""The raw dataset: its tables, and the Parquet file that fills one.

models/staging/*/_*__sources.yml have the same columns; a test compares them.
"""

from datetime import UTC, datetime
from functools import partial
from tempfile import TemporaryFile
from typing import IO

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from google.cloud.bigquery import Dataset, SchemaField, Table, TimePartitioning

from ingest.source import Page

_column = partial(SchemaField, mode="REQUIRED")
_HASH = SchemaField("load_hash", "STRING", description="Hash of what the load requested")
RAW = [
    _column("load_id", "STRING", description="The load that brought this version."),
    _column("record_index", "INT64", description="Position of the record in its load."),
    _column("page", "INT64", description="Page of the API that held the record."),
    _column("payload", "STRING", description="The record as sent."),
    _column("api_version", "STRING", description="Version of the API that answered."),
    _column("seed", "STRING", description="Seed in the response of the API."),
    _column("fetched_at", "TIMESTAMP", description="When the API's response was complete (UTC)."),
    _column("loaded_at", "TIMESTAMP", description="When the load landed"),
    _HASH,
]
FORGOTTEN = [
    _column("user_hash", "STRING", description="Keyed hash of the user id."),
    _column("forgotten_at", "TIMESTAMP", description="When the user was forgotten (UTC)."),
    _column("receipt", "STRING", description="Number of rows by table that were deleted."),
]

_TYPES = {"STRING": pa.string(), "INT64": pa.int64(), "TIMESTAMP": pa.timestamp("us", "UTC")}
SCHEMA = pa.schema([pa.field(c.name, _TYPES[c.field_type], nullable=c.is_nullable) for c in RAW])
# Dictionary encoding pays only for columns that repeat their values; no two payloads are equal.
_REPEATED = ["load_id", "page", "api_version", "seed", "fetched_at", "loaded_at", "load_hash"]
# The default pool of Arrow keeps the memory that it has had; the pool of the system can release
# it, together with the memory that Python has freed.
MEMORY = pa.system_memory_pool()
pa.set_memory_pool(MEMORY)


def define_dataset(name: str, location: str) -> Dataset:
    """Define the raw dataset."""
    dataset = Dataset(name)
    dataset.location = location
    dataset.description = "Responses of an API as sent: they may hold passwords."
    return dataset


def define_records(name: str) -> Table:
    """Define the table of records as sent, one row per record and load."""
    table = Table(name, RAW)
    table.description = "Records of the API as sent. One row per record and load."
    table.time_partitioning = TimePartitioning(field="loaded_at")
    table.require_partition_filter = True
    table.clustering_fields = ["load_id"]
    return table


def list_ledger_columns(records: str) -> list[SchemaField]:
    """Return the columns of the ledger of a source whose records are called `records`."""
    count = partial(SchemaField, field_type="INT64")
    return [
        _column("load_id", "STRING", description="The load that brought this version."),
        _column("source", "STRING", description="The API's URL, or the files that were replayed."),
        *RAW[4:6],
        count(f"{records}_asked", description="How many were requested, if that is known."),
        count(f"{records}_received", mode="REQUIRED", description="How many the responses held."),
        count(f"{records}_landed", mode="REQUIRED", description="How many rows are in raw."),
        _column("loader_version", "STRING", description="Version of the loader."),
        _column("started_at", "TIMESTAMP", description="When the run that landed it started."),
        _column("loaded_at", "TIMESTAMP", description="When the load landed"),
        SchemaField("decision", "STRING", description="What a person decided about the load."),
        SchemaField("decided_at", "TIMESTAMP", description="When a person decided it (UTC)."),
        count(f"{records}_forgotten", description="How many received ones are forgotten."),
        _HASH,
    ]


def define_loads(name: str, records: str) -> Table:
    """Define the ledger, one row per load that landed."""
    table = Table(name, list_ledger_columns(records))
    table.description = "The ledger of loads that landed. One row per load."
    return table


def define_forgotten(name: str) -> Table:
    """Define the table of forgotten users, one row per user and request."""
    table = Table(name, FORGOTTEN)
    table.description = "The users who must not land again. One row per user and request."
    return table


class RecordsFile:
    """A temporary Parquet file of a load's records; the system deletes it, also after a kill."""

    def __init__(self, load_id: str, load_hash: str, loaded_at: datetime) -> None:
        """Open the file; raises OSError if the temporary folder is full or cannot be written."""
        self.file = TemporaryFile()  # noqa: SIM115 -- `with` closes it
        self._writer = pq.ParquetWriter(
            self.file, SCHEMA, compression="zstd", use_dictionary=_REPEATED
        )
        self._constants = {"load_id": load_id, "load_hash": load_hash, "loaded_at": loaded_at}
        self._clock_error = datetime.now(UTC) - loaded_at  # all times are those of BigQuery's clock

    def write(self, page: Page, number: int, records: dict[int, msgspec.Raw]) -> None:
        """Write `records` of the page with this number, by their position in the load."""
        values = self._constants | {"page": number, "api_version": "", "seed": ""} | page.columns
        values["fetched_at"] = page.fetched_at - self._clock_error
        columns = {
            name: pa.repeat(pa.scalar(value, SCHEMA.field(name).type), len(records))
            for name, value in values.items()
        }
        columns["record_index"] = pa.array(records.keys(), pa.int64())
        payloads = pa.array(map(bytes, records.values()), pa.binary())
        columns["payload"] = payloads.view(pa.string())  # it is UTF-8
        self._writer.write_batch(pa.RecordBatch.from_pydict(columns, SCHEMA))

    def finish(self) -> IO[bytes]:
        """Return the complete file."""
        self._writer.close()
        MEMORY.release_unused()
        return self.file
