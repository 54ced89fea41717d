"""The raw dataset: its tables and the two statements that fill them.

Descriptions say what a column means; models/staging/randomuser/_randomuser__sources.yml says the
same to dbt, and a test holds the two together.
"""

from datetime import UTC, datetime, timedelta

from google.cloud.bigquery import Dataset, SchemaField, Table, TimePartitioning

from ingest.parts import SCHEMA

_ARROW_TYPES = {"string": "STRING", "int64": "INT64", "timestamp[us, tz=UTC]": "TIMESTAMP"}
STAGING = [SchemaField(f.name, _ARROW_TYPES[str(f.type)], "REQUIRED") for f in SCHEMA]

USERS = [
    SchemaField("load_id", "STRING", "REQUIRED", description="The load that brought the user."),
    SchemaField("record_index", "INT64", "REQUIRED", description="Position in the load, from 0."),
    SchemaField("page", "INT64", "REQUIRED", description="Page of the answer that held the user."),
    SchemaField("payload", "JSON", "REQUIRED", description="The user as sent."),
    SchemaField("api_version", "STRING", "REQUIRED", description="API version that answered."),
    SchemaField("seed", "STRING", "REQUIRED", description="Seed that the API answered with."),
    SchemaField("fetched_at", "TIMESTAMP", "REQUIRED", description="When the answer came."),
    SchemaField("loaded_at", "TIMESTAMP", "REQUIRED", description="When the load landed."),
]

LOADS = [
    SchemaField("load_id", "STRING", "REQUIRED", description="The load."),
    SchemaField("source", "STRING", "REQUIRED", description="The API's URL, or the files."),
    SchemaField("api_version", "STRING", "REQUIRED", description="API version that answered."),
    SchemaField("seed", "STRING", "REQUIRED", description="Seed that the API answered with."),
    SchemaField("users_asked", "INT64", description="Users asked for; null for replayed files."),
    SchemaField("users_received", "INT64", "REQUIRED", description="Users that the answers held."),
    SchemaField("users_landed", "INT64", "REQUIRED", description="Rows of the load in users."),
    SchemaField("loader_version", "STRING", "REQUIRED", description="Version of the loader."),
    SchemaField("started_at", "TIMESTAMP", "REQUIRED", description="When the run began."),
    SchemaField("loaded_at", "TIMESTAMP", "REQUIRED", description="When the load landed."),
    SchemaField("decision", "STRING", description="A person's: accepted or set aside; or null."),
    SchemaField("decided_at", "TIMESTAMP", description="When that was decided."),
]

# A payload that is JSON, but not to BigQuery (a number past every range, say), is kept as a JSON
# string of the text that was sent: nothing is lost, and one such user does not stop the load.
LAND = """
insert into `{users}` (
    load_id, record_index, page, payload, api_version, seed, fetched_at, loaded_at
)
select
    load_id,
    record_index,
    page,
    coalesce(safe.parse_json(payload, wide_number_mode => 'round'), to_json(payload)),
    api_version,
    seed,
    fetched_at,
    current_timestamp()
from `{staging}`
where not exists (
    select 1 from `{users}` where load_id = @load_id and loaded_at >= @since
)
"""

LEDGER = """
insert into `{loads}` (
    load_id, source, api_version, seed, users_asked, users_received, users_landed,
    loader_version, started_at, loaded_at
)
select
    @load_id,
    @source,
    string_agg(distinct api_version, ', '),
    string_agg(distinct seed, ', '),
    @users_asked,
    @users_received,
    count(*),
    @loader_version,
    @started_at,
    max(loaded_at)
from `{users}`
where
    load_id = @load_id
    and loaded_at >= @since
    and not exists (select 1 from `{loads}` where load_id = @load_id)
having count(*) > 0
"""

DECIDE = """
update `{loads}` set decision = @decision, decided_at = current_timestamp()
where load_id = @load_id
"""

LAST_LOADS = """
select loaded_at, load_id, users_landed, api_version, decision, source from `{loads}`
order by loaded_at desc
limit 20
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
