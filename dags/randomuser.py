"""The schedule of randomuser: ingest, dbt source freshness, dbt build, publish, alert, heartbeat.

Every task runs the command that a person types, in the project's folder, with the environment of
Airflow: set the project's settings (GOOGLE_CLOUD_PROJECT, DBT_TARGET, SLACK_WEBHOOK_URL_FILE, ...)
there, and the settings of the schedule:

RANDOMUSER_SCHEDULE     when to run, as cron, in UTC (`0 * * * *`)
RANDOMUSER_PROJECT_DIR  the project's folder (the parent of this file's folder)
RANDOMUSER_BIN          the folder of the project's `python` and `dbt` (.venv/bin, else PATH)
RANDOMUSER_RETRY_DELAY  seconds before a failed task is retried, doubled after each try (60)

A backfill ignores `max_active_runs`: give it `--max-active-runs 1`. Tasks share no file: they can
run on several machines.
"""

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Asset, Context, CronDataIntervalTimetable, chain
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

SOURCES = ["randomuser"]  # each other one has a task `ingest_NAME`
SCHEDULE = os.environ.get("RANDOMUSER_SCHEDULE", "0 * * * *")
PROJECT = Path(os.environ.get("RANDOMUSER_PROJECT_DIR", Path(__file__).resolve().parents[1]))
BIN = os.environ.get("RANDOMUSER_BIN", PROJECT / ".venv/bin")
RETRY_DELAY = timedelta(seconds=float(os.environ.get("RANDOMUSER_RETRY_DELAY", "60")))

# The logical date of a scheduled or backfilled run is the start of its data interval. A run that is
# triggered for a logical date gets another interval, the one before that date or before now. A run
# without a logical date has its run id, so that its tasks can be cleared like those of any other.
LOAD_ID = "{{ dag_run.logical_date | ts if dag_run.logical_date else run_id }}"

# Airflow leaves out intervals after an outage (catchup=False): a test of dbt names those without a
# load, in the largest unit in which each has a run.
_minute, *_hours = SCHEDULE.split()
_interval = "hour" if _hours == ["*"] * 4 else "day" if _hours[1:] == ["*"] * 3 else "null"
DBT_VARS = f"--vars 'load_interval: {_interval}'"

# What became of a command of dbt is recorded right after it, by the same task. `history` ends with
# dbt's exit status, or with this one if dbt would fail again in the same way: a test failed, or the
# source is stale.
RECORD, SAME_AGAIN = "python -m publish history --exit-status $?", 3

TASK_STATES = (
    "{{ ti.get_task_states(dag_id=dag.dag_id, run_ids=[run_id]).get(run_id, {}).items()"
    " | map('join', '=') | join(',') }}"
)


class Command(BashOperator):
    """A command that is not tried again if it ends with SAME_AGAIN."""

    def execute(self, context: Context) -> object:
        """Run the command."""
        try:
            return super().execute(context)
        except AirflowSkipException:  # see skip_on_exit_code
            text = "a test failed, or the source is stale: it is not tried again"
            raise AirflowFailException(text) from None


def list_marts() -> list[Asset]:
    """Return the marts as assets, on which other DAGs can be scheduled."""
    project = os.environ.get("GOOGLE_CLOUD_PROJECT", "local-project")
    analytics = os.environ.get("ANALYTICS_DATASET", "analytics")
    datasets = {"users": analytics, "logins": f"{analytics}_restricted", "locations": analytics}
    # No name: if the dataset changes, Airflow would keep the name with the old URI.
    return [Asset(f"bigquery://{project}/{dataset}/{mart}") for mart, dataset in datasets.items()]


def make_task(
    name: str,
    command: str,
    minutes: int,
    outlets: Sequence[Asset] = (),
    env: Mapping[str, str] = MappingProxyType({}),
) -> Command:
    """Return a task that runs `command` and stops it after `minutes`."""
    path = f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return Command(
        task_id=name,
        bash_command=command,
        cwd=str(PROJECT),
        # The standard input of bash is a socket here. Without SHLVL, as under systemd, bash assumes
        # a remote login and reads ~/.bashrc, which may put another `python` first in PATH.
        # LOAD_ID becomes a label of dbt's jobs, and a column of the run history.
        env={"PATH": path, "SHLVL": "1", "LOAD_ID": LOAD_ID, **env},
        append_env=True,
        skip_on_exit_code=SAME_AGAIN,
        execution_timeout=timedelta(minutes=minutes),
        outlets=outlets,
    )


with DAG(
    dag_id="randomuser",
    description="Users of the randomuser.me API, from the API to tested tables and CSVs",
    doc_md=__doc__,
    # A cron string alone gives intervals of length zero that start when the run starts.
    schedule=CronDataIntervalTimetable(SCHEDULE, timezone="UTC"),
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args={
        "retries": 3,
        "retry_delay": RETRY_DELAY,
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": timedelta(minutes=15),
        # max_active_runs does not count the runs of a backfill: without this limit, a backfill run
        # and a scheduled run could build at the same time.
        "max_active_tis_per_dag": 1,
    },
    tags=["randomuser"],
):
    # RETRY_SECONDS (600) must be shorter than the timeouts of `ingest` and `alert`.
    ingest = [make_task("ingest", f"python -m ingest --load-id '{LOAD_ID}'", minutes=60)]
    for name in SOURCES[1:]:
        command = f"python -m ingest {name} --load-id '{LOAD_ID}'"
        ingest.append(make_task(f"ingest_{name}", command, minutes=60))
    chain(
        ingest,
        freshness := make_task(
            "freshness", f"dbt source freshness {DBT_VARS}; {RECORD}", minutes=15
        ),
        build := make_task(
            "build",
            f"dbt build --exclude-resource-type unit_test {DBT_VARS}; {RECORD}",
            minutes=60,
            outlets=list_marts(),
        ),
        publish := make_task(
            "publish", "python -m publish csv && python -m publish report", minutes=30
        ),
        # A teardown always runs: also after tasks that were killed or timed out, and when somebody
        # marks the run as failed.
        make_task(
            "alert",
            "python -m publish alert",
            minutes=30,
            env={"ALERT_TASKS": TASK_STATES, "ALERT_LOAD_ID": LOAD_ID},
        ).as_teardown(),
        # The last task decides how the run ended. It needs `alert` and `publish`: a run fails if a
        # task failed, and if nobody was told.
        heartbeat := make_task("heartbeat", "python -m publish heartbeat", minutes=5),
    )
    chain(publish, heartbeat)
    if len(SOURCES) > 1:  # a source that fails does not keep the others' data from being built
        freshness.trigger_rule = build.trigger_rule = "all_done_min_one_success"
        chain(ingest, build)
        chain([*ingest, freshness], heartbeat)
