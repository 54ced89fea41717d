"""The schedule of randomuser: ingest, dbt source freshness, dbt build, publish, alert.

Every task runs the command that a person types, in the project's folder, with Airflow's own
environment: settings of the project (GOOGLE_CLOUD_PROJECT, DBT_TARGET, ...) are set there. So are
those of the schedule:

RANDOMUSER_SCHEDULE     when to run, as cron, in UTC (`0 * * * *`)
RANDOMUSER_PROJECT_DIR  the project's folder (the one above this file's)
RANDOMUSER_BIN          where the project's `python` and `dbt` lie (.venv/bin there, else PATH)
RANDOMUSER_RETRY_DELAY  seconds before a failed task is tried again, doubled every time (60)

A backfill has a limit of its own: give it `--max-active-runs 1`.
"""

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Asset, CronDataIntervalTimetable, chain

SCHEDULE = os.environ.get("RANDOMUSER_SCHEDULE", "0 * * * *")
PROJECT = Path(os.environ.get("RANDOMUSER_PROJECT_DIR", Path(__file__).resolve().parents[1]))
BIN = os.environ.get("RANDOMUSER_BIN", PROJECT / ".venv/bin")
RETRY_DELAY = timedelta(seconds=float(os.environ.get("RANDOMUSER_RETRY_DELAY", "60")))

# A run that is triggered by hand with no logical date has no data interval: it is a load of its
# own, and its tasks can be cleared like any other's.
LOAD_ID = "{{ dag_run.data_interval_start | ts if dag_run.data_interval_start else run_id }}"

FAILED_TASKS = (
    "{{ ti.get_task_states(dag_id=dag.dag_id, run_ids=[run_id]).get(run_id, {}).items()"
    " | selectattr(1, 'equalto', 'failed') | map(attribute=0) | join(',') }}"
)


def marts() -> list[Asset]:
    """Return the tables that people read, as assets for other DAGs to be scheduled on."""
    project = os.environ.get("GOOGLE_CLOUD_PROJECT", "local-project")
    dataset = os.environ.get("ANALYTICS_DATASET", "analytics")
    datasets = {"users": dataset, "logins": f"{dataset}_restricted", "locations": dataset}
    # No name beside the URI: where the dataset changes, a name would belong to the old URI still.
    return [Asset(f"bigquery://{project}/{there}/{mart}") for mart, there in datasets.items()]


def task(
    name: str,
    command: str,
    minutes: int,
    outlets: Sequence[Asset] = (),
    env: Mapping[str, str] = MappingProxyType({}),
) -> BashOperator:
    """Return a task that runs `command`, and ends it after so many minutes."""
    path = f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return BashOperator(
        task_id=name,
        bash_command=command,
        cwd=str(PROJECT),
        # Airflow gives bash a socket to read from. Without SHLVL, as under systemd, bash takes that
        # for a remote login and reads ~/.bashrc, which may put another `python` first.
        env={"PATH": path, "SHLVL": "1", **env},
        append_env=True,
        skip_on_exit_code=None,  # of itself no command here skips: what is not 0 is a failure
        execution_timeout=timedelta(minutes=minutes),
        outlets=outlets,
    )


with DAG(
    dag_id="randomuser",
    description="Users of the randomuser.me API, from the API to tested tables and CSVs",
    doc_md=__doc__,
    # A cron string alone gives intervals of no length, that begin when the run does.
    schedule=CronDataIntervalTimetable(SCHEDULE, timezone="UTC"),
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args={
        "retries": 3,
        "retry_delay": RETRY_DELAY,
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": timedelta(minutes=15),
        # A backfill's runs are not counted in max_active_runs: without this, one of them and a
        # scheduled run could build at the same time.
        "max_active_tis_per_dag": 1,
    },
    tags=["randomuser"],
):
    chain(
        # RETRY_SECONDS (600) must be less than these minutes, here and in `alert`.
        task("ingest", f"python -m ingest --load-id '{LOAD_ID}'", minutes=60),
        task("freshness", "dbt source freshness", minutes=15),
        task("build", "dbt build --exclude-resource-type unit_test", minutes=60, outlets=marts()),
        task("publish", "python -m publish csv && python -m publish report", minutes=30),
        # A teardown runs whatever became of the tasks before it, those that were killed or timed
        # out too, and when somebody marks the run as failed. And it has no say in the run's state:
        # as an ordinary last task with trigger_rule="all_done" its success would turn a failed
        # run green.
        task(
            "alert",
            "python -m publish alert",
            minutes=30,
            env={"ALERT_FAILED_TASKS": FAILED_TASKS, "ALERT_LOAD_ID": LOAD_ID},
        ).as_teardown(),
    )
