"""The raw dataset: its tables, and the files and statements that fill them.

Descriptions say what a column means: as models/staging/randomuser/_randomuser__sources.yml begins
to say it to dbt. A test holds the two together.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from tempfile import TemporaryFile
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq
from google.cloud.bigquery import Dataset, SchemaField, Table, TimePartitioning

from ingest.answers import Page

_column = partial(SchemaField, mode="REQUIRED")
USERS = [
    _column("load_id", "STRING", description="The load that brought this version."),
    _column("record_index", "INT64", description="Position of the user in its load."),
    _column("page", "INT64", description="Page of the API's answer that held the user."),
    _column("payload", "JSON", description="The user as sent."),
    _column("api_version", "STRING", description="Version of the API that answered."),
    _column("seed", "STRING", description="Seed that the API answered with."),
    _column("fetched_at", "TIMESTAMP", description="When the API's answer was complete (UTC)."),
    _column("loaded_at", "TIMESTAMP", description="When the load landed in raw."),
]
# The users as text, without the time of their landing.
STAGING = [SchemaField(c.name, c.field_type.replace("JSON", "STRING"), c.mode) for c in USERS[:-1]]
LOADS = [
    _column("load_id", "STRING", description="The load that brought this version."),
    _column("source", "STRING", description="The API's URL, or the files that were replayed."),
    *USERS[4:6],
    SchemaField("users_asked", "INT64", description="How many users were asked for."),
    _column("users_received", "INT64", description="How many users the answers held."),
    _column("users_landed", "INT64", description="How many rows of the load lie in `users`."),
    _column("loader_version", "STRING", description="Version of the loader."),
    _column("started_at", "TIMESTAMP", description="When the run that landed the load began."),
    _column("loaded_at", "TIMESTAMP", description="When the load landed in raw."),
    SchemaField("decision", "STRING", description="What a person decided of the load."),
    SchemaField("decided_at", "TIMESTAMP", description="When that was decided (UTC)."),
]

# Many pages go into one load job, of which BigQuery allows a table 1,500 a day; the fewer, the
# less of a load is sent while the rest is still being fetched.
PART_USERS = 10_000
_TYPES = {"STRING": pa.string(), "INT64": pa.int64(), "TIMESTAMP": pa.timestamp("us", "UTC")}
SCHEMA = pa.schema([pa.field(c.name, _TYPES[c.field_type], nullable=False) for c in STAGING])
# No two payloads are the same: to look for it takes time and memory.
_REPEATED = ["load_id", "page", "api_version", "seed", "fetched_at"]
# Arrow's own pool is made for speed and keeps what it once had; the system's gives it back when
# told to, and with it what Python has freed.
MEMORY = pa.system_memory_pool()
pa.set_memory_pool(MEMORY)

# The API must not send a user twice; of files that are replayed nobody has asked it.
STAGED = """
select count(*) as users, count(distinct if(@users_asked is null, null, md5(payload))) as different
from `{staging}`
"""

# A payload that is JSON, but not to BigQuery (a number past every range, say), is kept as a JSON
# string of the text that was sent: nothing is lost, and one such user does not stop the load.
LAND = """
insert into `{users}`
    (load_id, record_index, page, payload, api_version, seed, fetched_at, loaded_at)
select
    load_id, record_index, page,
    coalesce(safe.parse_json(payload, wide_number_mode => 'round'), to_json(payload)),
    api_version, seed, fetched_at, current_timestamp()
from `{staging}`
where not exists (select 1 from `{users}` where load_id = @load_id and loaded_at >= @since)
"""

LEDGER = """
insert into `{loads}`
    (load_id, source, api_version, seed,
    users_asked, users_received, users_landed, loader_version, started_at, loaded_at)
select
    @load_id, @source, string_agg(distinct api_version, ', '), string_agg(distinct seed, ', '),
    @users_asked, @users_received, count(*), @loader_version, @started_at, max(loaded_at)
from `{users}`
where load_id = @load_id and loaded_at >= @since
    and not exists (select 1 from `{loads}` where load_id = @load_id)
having count(*) > 0
"""

DECIDE = """
update `{loads}` set decision = @decision, decided_at = current_timestamp()
where load_id = @load_id
"""
LANDED = "select users_landed from `{loads}` where load_id = @load_id"
LAST_LOADS = """
select loaded_at, load_id, users_landed, api_version, decision, source from `{loads}`
order by loaded_at desc limit 20
"""


def dataset(name: str, location: str) -> Dataset:
    """Describe the raw dataset."""
    made = Dataset(name)
    made.location = location
    made.description = "Answers of the randomuser.me API as sent. They hold passwords."
    return made


def users(name: str) -> Table:
    """Describe the table of users as sent, one row a user a load."""
    table = Table(name, USERS)
    table.description = "Users of the randomuser.me API as sent. One row a user a load."
    table.time_partitioning = TimePartitioning(field="loaded_at")
    table.require_partition_filter = True
    table.clustering_fields = ["load_id"]
    return table


def loads(name: str) -> Table:
    """Describe the ledger, one row a load that landed."""
    table = Table(name, LOADS)
    table.description = "The ledger of loads that landed. One row a load."
    return table


def staging(name: str) -> Table:
    """Describe the table that a load's parts go into; BigQuery drops it a day after a crash."""
    table = Table(name, STAGING)
    table.expires = datetime.now(UTC) + timedelta(days=1)
    return table


def parts(pages: Iterator[Page], load_id: str) -> Iterator[tuple[IO[bytes], int]]:
    """Yield each part as an open Parquet file, to be closed, and the users packed so far."""
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
