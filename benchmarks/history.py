"""A history of hourly loads of 5,000 users each, as a folder of the embedded BigQuery."""

from pathlib import Path

from benchmarks.pipeline import RAW, start_pipeline
from benchmarks.responses import SavedResponses

LOAD_USERS = 5_000

# Splits the one load that was landed into hourly loads, the newest an hour old. The ids of these
# loads begin with `hour-`, so that no later load has the same id.
SPLIT = f"""
update `{RAW}.users`
set
    load_id = concat('hour-', cast(div(record_index, {LOAD_USERS}) as string)),
    record_index = mod(record_index, {LOAD_USERS}),
    fetched_at = timestamp_sub(current_timestamp(), interval (
        {{loads}} - div(record_index, {LOAD_USERS})
    ) hour),
    loaded_at = timestamp_sub(current_timestamp(), interval (
        {{loads}} - div(record_index, {LOAD_USERS})
    ) hour)
where loaded_at >= timestamp '1970-01-01 00:00:00+00'
"""
EMPTY_LEDGER = f"delete from `{RAW}.loads` where true"
LEDGER = f"""
insert into `{RAW}.loads` (
    load_id, source, api_version, seed, users_asked, users_received, users_landed,
    loader_version, started_at, loaded_at
)
select
    load_id, 'history', max(api_version), max(seed), null, count(*), count(*),
    'history', max(fetched_at), max(loaded_at)
from `{RAW}.users`
where loaded_at >= timestamp '1970-01-01 00:00:00+00'
group by load_id
"""


def build_history(folder: Path, responses: SavedResponses) -> Path:
    """Land the responses as a history in `folder`, and build it once with `--full-refresh`."""
    with start_pipeline(folder) as pipeline:
        pipeline.ingest("--from-file", *responses.pages)
        loads = responses.users // LOAD_USERS
        pipeline.sql(SPLIT.format(loads=loads), EMPTY_LEDGER, LEDGER)
        pipeline.build("--full-refresh")
        pipeline.check_rows(responses.users)
    return folder
