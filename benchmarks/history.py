"""A history of loads, one an hour of 5,000 users each, as a folder of the embedded BigQuery."""

from pathlib import Path

from benchmarks.answers import Answers
from benchmarks.ours import RAW, started

LOAD_USERS = 5_000

# What was landed in one go becomes the loads that a schedule would have landed, the newest an hour
# ago. A load's number stays recognizable, so that no id can meet a later one.
SPREAD = f"""
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


def make(folder: Path, answers: Answers) -> Path:
    """Leave the tables after that history, built once with `--full-refresh`, in `folder`."""
    with started(folder) as project:
        project.ingest("--from-file", *answers.files)
        project.sql(SPREAD.format(loads=answers.users // LOAD_USERS), EMPTY_LEDGER, LEDGER)
        project.build("--full-refresh")
        project.expect(answers.users)
    return folder
