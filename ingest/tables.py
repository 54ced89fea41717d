"""The raw dataset: its tables, and the Parquet files and SQL statements that fill them.

The description of a column is the beginning of its description for dbt, in
models/staging/randomuser/_randomuser__sources.yml. A test compares the two.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from tempfile import TemporaryFile
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq
from google.cloud.bigquery import Dataset, SchemaField, Table, TimePartitioning

from ingest.response import Page

_column = partial(SchemaField, mode="REQUIRED")
USERS = [
    _column("load_id", "STRING", description="The load that brought this version."),
    _column("record_index", "INT64", description="Position of the user in its load."),
    _column("page", "INT64", description="Page of the API that held the user."),
    _column("payload", "JSON", description="The user as sent."),
    _column("api_version", "STRING", description="Version of the API that answered."),
    _column("seed", "STRING", description="Seed in the response of the API."),
    _column("fetched_at", "TIMESTAMP", description="When the API's response was complete (UTC)."),
    _column("loaded_at", "TIMESTAMP", description="When the load landed in raw."),
]
# Payloads are text here, and there is no loaded_at yet.
STAGING = [SchemaField(c.name, c.field_type.replace("JSON", "STRING"), c.mode) for c in USERS[:-1]]
LOADS = [
    _column("load_id", "STRING", description="The load that brought this version."),
    _column("source", "STRING", description="The API's URL, or the files that were replayed."),
    *USERS[4:6],
    SchemaField("users_asked", "INT64", description="How many users were requested."),
    _column("users_received", "INT64", description="How many users the responses held."),
    _column("users_landed", "INT64", description="How many rows of the load are in `users`."),
    _column("loader_version", "STRING", description="Version of the loader."),
    _column("started_at", "TIMESTAMP", description="When the run that landed the load started."),
    _column("loaded_at", "TIMESTAMP", description="When the load landed in raw."),
    SchemaField("decision", "STRING", description="What a person decided about the load."),
    SchemaField("decided_at", "TIMESTAMP", description="When a person decided it (UTC)."),
    SchemaField("users_forgotten", "INT64", description="How many received users are forgotten."),
]
FORGOTTEN = [
    _column("user_hash", "STRING", description="Keyed hash of the user id."),
    _column("forgotten_at", "TIMESTAMP", description="When the user was forgotten (UTC)."),
    _column("receipt", "STRING", description="Number of rows by table that were deleted."),
]

# BigQuery allows 1,500 load jobs per table and day, so one job loads a part of many pages. Larger
# parts would leave less of a load to be uploaded while pages are still being fetched.
PART_USERS = 10_000
_TYPES = {"STRING": pa.string(), "INT64": pa.int64(), "TIMESTAMP": pa.timestamp("us", "UTC")}
SCHEMA = pa.schema([pa.field(c.name, _TYPES[c.field_type], nullable=False) for c in STAGING])
# Dictionary encoding pays only for columns that repeat their values; no two payloads are equal.
_REPEATED = ["load_id", "page", "api_version", "seed", "fetched_at"]
# The default pool of Arrow keeps the memory that it has had; the pool of the system can release
# it, together with the memory that Python has freed.
MEMORY = pa.system_memory_pool()
pa.set_memory_pool(MEMORY)

# The API must not send a user twice. A replay of files requested no users, so it is not checked.
STAGED = """
select
    count(*) as users,
    count(distinct if(@users_asked is null, null, md5(payload))) as distinct_users
from `{staging}`
"""

# Whether the user of a payload is forgotten. macros/forget_users.sql makes the same hash.
IS_FORGOTTEN = """to_hex(sha256(concat(
        (select key from `{forgotten}_key`), lower(json_value(payload, '$.login.uuid'))
    ))) in (select user_hash from `{forgotten}`)"""

# BigQuery cannot parse some valid JSON, for example a number out of range. Such a payload is kept
# as a JSON string of the text that was sent: nothing is lost and the load does not fail.
LAND = """
insert into `{users}`
    (load_id, record_index, page, payload, api_version, seed, fetched_at, loaded_at)
select
    load_id, record_index, page,
    coalesce(safe.parse_json(payload, wide_number_mode => 'round'), to_json(payload)),
    api_version, seed, fetched_at, current_timestamp()
from `{staging}`
where not exists (select 1 from `{users}` where load_id = @load_id and loaded_at >= @since)
    and ({is_forgotten}) is not true
"""

LEDGER = """
insert into `{loads}` (
    load_id, source, api_version, seed, users_asked, users_received,
    users_landed, users_forgotten, loader_version, started_at, loaded_at
)
select
    @load_id, @source, string_agg(distinct api_version, ', '), string_agg(distinct seed, ', '),
    @users_asked, @users_received, count(*), 0, @loader_version, @started_at, max(loaded_at)
from `{users}`
where load_id = @load_id and loaded_at >= @since
    and not exists (select 1 from `{loads}` where load_id = @load_id)
having count(*) = @users_received
"""
# The same for a load of which raw lacks users. They are forgotten, unless the landing table still
# has them and they are not: then raw holds another load with this id.
LEDGER_WITH_FORGOTTEN = """
insert into `{loads}` (
    load_id, source, api_version, seed, users_asked, users_received,
    users_landed, users_forgotten, loader_version, started_at, loaded_at
)
with landed as (
    select record_index, loaded_at from `{users}` where load_id = @load_id and loaded_at >= @since
),
counted as (
    select
        (select count(*) from landed) as landed,
        (select coalesce(max(loaded_at), current_timestamp()) from landed) as loaded_at,
        (
            select count(*) from `{staging}`
            where record_index not in (select record_index from landed)
                and ({is_forgotten}) is not true
        ) as remaining
)
select
    @load_id, @source,
    coalesce(string_agg(distinct sent.api_version, ', '), ''),
    coalesce(string_agg(distinct sent.seed, ', '), ''),
    @users_asked, @users_received, max(counted.landed),
    greatest(@users_received - max(counted.landed + counted.remaining), 0),
    @loader_version, @started_at, max(counted.loaded_at)
from counted left join `{staging}` as sent on true
where not exists (select 1 from `{loads}` where load_id = @load_id)
having max(counted.landed) is not null
"""

DECIDE = """
update `{loads}` set decision = @decision, decided_at = current_timestamp()
where load_id = @load_id
"""
LANDED = """
select users_landed, coalesce(users_forgotten, 0) as users_forgotten
from `{loads}` where load_id = @load_id
"""
FORGOTTEN_KEY = """
create table if not exists `{forgotten}_key` as
select concat(generate_uuid(), generate_uuid()) as key
"""
LAST_LOADS = """
select loaded_at, load_id, users_landed, api_version, decision, source from `{loads}`
order by loaded_at desc limit 20
"""


def define_dataset(name: str, location: str) -> Dataset:
    """Define the raw dataset."""
    dataset = Dataset(name)
    dataset.location = location
    dataset.description = "Responses of the randomuser.me API as sent. They hold passwords."
    return dataset


def define_users(name: str) -> Table:
    """Define the table of users as sent, one row per user and load."""
    table = Table(name, USERS)
    table.description = "Users of the randomuser.me API as sent. One row per user and load."
    table.time_partitioning = TimePartitioning(field="loaded_at")
    table.require_partition_filter = True
    table.clustering_fields = ["load_id"]
    return table


def define_loads(name: str) -> Table:
    """Define the ledger, one row per load that landed."""
    table = Table(name, LOADS)
    table.description = "The ledger of loads that landed. One row per load."
    return table


def define_forgotten(name: str) -> Table:
    """Define the table of forgotten users, one row per user and request."""
    table = Table(name, FORGOTTEN)
    table.description = "The users who must not land again. One row per user and request."
    return table


def define_staging(name: str) -> Table:
    """Define the table for the parts of a load; BigQuery drops it a day after a crash."""
    table = Table(name, STAGING)
    table.expires = datetime.now(UTC) + timedelta(days=1)
    return table


def write_parts(pages: Iterator[Page], load_id: str) -> Iterator[tuple[IO[bytes], int]]:
    """Yield each part as an open Parquet file and the number of users so far."""
    index, page = 0, next(pages, None)
    while page:
        file = TemporaryFile()  # noqa: SIM115 -- the caller closes it
        with pq.ParquetWriter(file, SCHEMA, compression="zstd", use_dictionary=_REPEATED) as writer:
            end_of_part = index + PART_USERS
            while page and index < end_of_part:
                writer.write_batch(_make_batch(page, load_id, index))
                index += len(page.users)
                page = None  # so that only one page is in memory
                page = next(pages, None)
        MEMORY.release_unused()
        yield file, index


def _make_batch(page: Page, load_id: str, index: int) -> pa.RecordBatch:
    users, info = page.users, page.info
    values = (load_id, info.page, info.version, info.seed, page.fetched_at)
    columns = {
        name: pa.repeat(pa.scalar(value, SCHEMA.field(name).type), len(users))
        for name, value in zip(_REPEATED, values, strict=True)
    }
    columns["record_index"] = pa.array(range(index, index + len(users)), pa.int64())
    columns["payload"] = pa.array(map(bytes, users), pa.binary()).view(pa.string())  # it is UTF-8
    return pa.RecordBatch.from_pydict(columns, SCHEMA)
