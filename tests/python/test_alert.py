"""`python -m publish alert`: says what changed, once, to a Slack that is a server on loopback."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from conftest import Run, Warehouse
from fake_slack import Answer, FakeSlack, fake_slack
from log_lines import for_people, log_lines

from local.__main__ import environment

SECRET = "XoXoSecretOfTheWebhook"  # noqa: S105
PASSWORD = "correct-horse-battery"  # noqa: S105
UNIQUE = "unique_logins_password"  # really warns: the passwords of the build are few words
MODEL, SOURCE = "model.randomuser.users", "source.randomuser.randomuser.users"
EVER = "loaded_at >= timestamp '1970-01-01'"
NOTHING = "Nothing new to say"
STALE = (
    "source `randomuser.users` is stale: its newest load is 25.0 hours old, 24 hours are allowed"
)


def settings_of(folder: Path) -> dict[str, str]:
    name = uuid4().hex[:12]
    return {
        "RAW_DATASET": f"raw_{name}",
        "ANALYTICS_DATASET": f"analytics_{name}",
        "DBT_TARGET_PATH": str(folder / "target"),
        "DBT_LOG_PATH": str(folder / "logs"),
    }


def passes(done: "subprocess.CompletedProcess[str]") -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(warehouse: Warehouse, api_url: str, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """What dbt really writes: a fresh source, built models, tests of which some warn."""
    settings = settings_of(tmp_path_factory.mktemp("built"))
    run = Run(environment(warehouse.url, api_url) | settings)
    passes(run("ingest", "--users", "400", RANDOMUSER_PASSWORD=""))
    passes(run("dbt", "source", "freshness"))
    passes(run("dbt", "build", "--exclude-resource-type", "unit_test", "--store-failures"))
    return run


@dataclass
class Machine:
    """A machine with dbt's files of its own."""

    run: Run
    target: Path
    slack: FakeSlack

    def alert(self, **extra: str) -> "subprocess.CompletedProcess[str]":
        done = self.run("publish", "alert", **{"SLACK_WEBHOOK_URL": self.slack.url} | extra)
        assert SECRET not in done.stdout + done.stderr and "Traceback" not in done.stderr
        return done

    def says(self, **extra: str) -> list[str]:
        """Have it look, and return the lines of what it posted."""
        before = len(self.slack.taken)
        out = passes(self.alert(**extra))
        posts = self.slack.taken[before:]
        assert len(posts) <= 1 and (NOTHING in out) is not bool(posts)
        return [re.sub("^- ", "", line) for post in posts for line in post.splitlines()[1:]]

    def edit(self, name: str, change: Callable[[dict[str, Any]], object] = lambda _: None) -> None:
        """Have dbt write that file anew: as it was, but for `change`."""
        file = self.target / f"{name}.json"
        artifact = json.loads(file.read_text())
        artifact["metadata"]["generated_at"] = datetime.now(UTC).isoformat()
        change(artifact)
        file.write_text(json.dumps(artifact))

    def results(self, **changed: dict[str, Any]) -> None:
        """Have dbt build again, with other results of the nodes with these names."""

        def change(artifact: dict[str, Any]) -> None:
            for name, fields in changed.items():
                (result,) = [
                    it for it in artifact["results"] if it["unique_id"].split(".")[2] == name
                ]
                result.update(fields)

        self.edit("run_results", change)

    def freshness(self, status: str, hours: float) -> None:
        """Have dbt find that the newest load is so old."""

        def change(artifact: dict[str, Any]) -> None:
            (result,) = artifact["results"]
            result |= {"status": status, "max_loaded_at_time_ago_in_s": hours * 3600}

        self.edit("sources", change)


@pytest.fixture
def slack() -> Iterator[FakeSlack]:
    with fake_slack(SECRET) as served:
        yield served


Machines = Callable[[], Machine]


@pytest.fixture
def machines(built: Run, slack: FakeSlack, tmp_path: Path) -> Machines:
    """Make machines that share a warehouse in which nothing was said yet."""
    raw = f"raw_{uuid4().hex[:12]}"

    def machine() -> Machine:
        target = tmp_path / uuid4().hex[:4]
        shutil.copytree(built.environment["DBT_TARGET_PATH"], target)
        own = {"RAW_DATASET": raw, "DBT_TARGET_PATH": str(target)}
        made = Machine(Run(built.environment | own), target, slack)
        made.results(**{name: {"status": "pass", "failures": 0} for name in warned(target)})
        return made

    return machine


@pytest.fixture
def machine(machines: Machines) -> Machine:
    """A machine with nothing to complain of."""
    return machines()


def warned(target: Path) -> dict[str, dict[str, Any]]:
    results = json.loads((target / "run_results.json").read_text())["results"]
    return {it["unique_id"].split(".")[2]: it for it in results if it["status"] == "warn"}


def test_a_source_that_is_really_stale_is_said_once_and_so_is_its_recovery(
    run: Run, slack: FakeSlack, warehouse: Warehouse
) -> None:
    machine = Machine(run, Path(run.environment["DBT_TARGET_PATH"]), slack)
    passes(run("ingest", "--users", "10"))
    passes(run("dbt", "source", "freshness"))
    assert machine.says() == []
    warehouse.rows(
        f"update {run.raw}.users set loaded_at = timestamp_sub(loaded_at, interval 25 hour) "
        f"where {EVER}"
    )
    assert run("dbt", "source", "freshness").returncode == 1
    assert machine.says() == [f"error: {STALE}"]
    assert machine.says() == []
    passes(run("ingest", "--users", "10"))
    passes(run("dbt", "source", "freshness"))
    assert machine.says() == ["recovered: source `randomuser.users`"]
    assert machine.says() == []


def test_a_source_without_any_load_is_said_to_hold_none(run: Run, slack: FakeSlack) -> None:
    machine = Machine(run, Path(run.environment["DBT_TARGET_PATH"]), slack)
    assert machine.says() == [
        "error: no source's freshness has been checked: run `dbt source freshness`"
    ]
    assert run("dbt", "source", "freshness").returncode == 1
    assert sorted(machine.says()) == [
        "error: source `randomuser.users` is stale: it holds no recent load, 24 hours are allowed",
        "recovered: the freshness of the sources",
    ]


def test_tests_that_warn_are_said_with_how_many_rows_and_where_they_are_stored(
    built: Run, slack: FakeSlack, warehouse: Warehouse
) -> None:
    machine = Machine(built, Path(built.environment["DBT_TARGET_PATH"]), slack)
    said = machine.says()
    results = warned(machine.target)
    assert UNIQUE in results and len(said) == len(results)
    stored = results[UNIQUE]["relation_name"].replace("`", "")
    rows = len(warehouse.rows(f"select * from `{stored}`"))
    assert rows > 0
    some = f"{rows:,} row{'' if rows == 1 else 's'}"
    assert f"warning: test `{UNIQUE}` warns: {some}, stored in `{stored}`" in said
    assert machine.says() == []


def test_a_failed_test_comes_first_and_getting_worse_or_less_bad_is_a_change(
    machine: Machine,
) -> None:
    other = "unique_logins_username"
    one = {"status": "warn", "failures": 1, "relation_name": None}
    machine.results(**{UNIQUE: {"status": "fail", "failures": 1234}, other: one})
    failed, *rest = machine.says()
    assert failed.startswith(f"error: test `{UNIQUE}` failed: 1,234 rows, stored in `")
    assert rest == [f"warning: test `{other}` warns: 1 row"]
    machine.results(**{UNIQUE: {"status": "warn"}, other: {"status": "error"}})
    assert [line.partition(":")[0] for line in machine.says()] == ["error", "warning"]
    machine.results(**{UNIQUE: {"status": "pass"}, other: {"status": "pass"}})
    assert machine.says() == [f"recovered: test `{UNIQUE}`", f"recovered: test `{other}`"]


def test_a_model_that_was_not_built_is_said_and_a_test_that_was_not_run_is_as_it_was(
    machine: Machine,
) -> None:
    machine.results(**{UNIQUE: {"status": "warn", "failures": 2}})
    assert len(machine.says()) == 1
    machine.results(
        **{
            UNIQUE: {"status": "skipped"},
            "logins": {"status": "error"},
            "users": {"status": "skipped"},
        }
    )
    assert machine.says() == [
        "error: model `logins` was not built: dbt's log says why",
        "error: model `users` was not built: something that it needs failed",
    ]
    machine.edit("run_results", lambda it: it.update(results=[]))
    assert machine.says() == []


def test_results_of_a_command_that_builds_and_tests_nothing_do_not_count(machine: Machine) -> None:
    machine.results(logins={"status": "error"})
    machine.edit("run_results", lambda it: it["args"].update(which="compile"))
    assert machine.says() == []
    (machine.target / "run_results.json").unlink()
    assert machine.says() == []


def test_what_stays_wrong_is_said_again_after_the_interval(
    machine: Machine, warehouse: Warehouse
) -> None:
    machine.freshness("error", 25)
    assert machine.says() == [f"error: {STALE}"]
    assert machine.says() == []
    alerts = f"{machine.run.raw}.alerts"
    warehouse.rows(
        f"update {alerts} set said_at = timestamp_sub(said_at, interval 2 hour) where true"
    )
    assert machine.says(ALERT_REPEAT_HOURS="2.1") == []
    assert machine.says(ALERT_REPEAT_HOURS="1.9") == [f"still error: {STALE}"]
    assert machine.says(ALERT_REPEAT_HOURS="1.9") == []
    said = warehouse.rows(f"select key, state, message from {alerts}")
    assert said == [("source:randomuser.users", "error", STALE)] * 2


def test_a_check_of_freshness_that_was_not_run_or_failed_counts_as_stale(machine: Machine) -> None:
    counts = "error: source `randomuser.users` counts as stale: "
    sources = machine.target / "sources.json"
    kept = sources.read_text()
    sources.unlink()
    assert machine.says() == [f"{counts}its freshness has not been checked"]
    sources.write_text(kept)
    machine.edit("sources")
    assert machine.says() == ["recovered: source `randomuser.users`"]

    ago = datetime.now(UTC) - timedelta(hours=25)
    machine.edit("sources", lambda it: it["metadata"].update(generated_at=ago.isoformat()))
    since = f"{ago:%Y-%m-%d %H:%M} UTC"
    assert machine.says() == [
        f"{counts}its freshness has not been checked since {since}, 24 hours are allowed"
    ]
    failed = [{"unique_id": SOURCE, "status": "runtime error", "error": "so@example.com"}]
    machine.edit("sources")
    assert len(machine.says()) == 1
    machine.edit("sources", lambda it: it.update(results=failed))
    assert machine.says() == [f"{counts}the check of its freshness failed"]


REFUSALS = {
    "invalid_payload": (Answer(400, "invalid_payload"), "HTTP 400 invalid_payload", 1),
    "forbidden": (Answer(403, "action_prohibited"), "HTTP 403 action_prohibited", 1),
    "no such webhook": (Answer(404, "no_service"), "HTTP 404 no_service", 1),
    "a page of a proxy": (Answer(403, f"<p>no way to /services/{SECRET}"), "(HTTP 403)", 1),
    "another 200": (Answer(200, "<p>log in first"), "(HTTP 200)", 1),
    "too long to wait": (Answer(429, "rate_limited", 60), "HTTP 429 rate_limited", 1),
    "down": (Answer(500, "server_error"), "HTTP 500 server_error", 2),
    "no answer": (Answer(cut=True), "Slack did not answer (RemoteDisconnected)", 2),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_slack_does_not_take_is_said_in_the_next_run(machine: Machine, case: str) -> None:
    machine.freshness("error", 25)
    machine.slack.always, reason, tries = REFUSALS[case]
    done = machine.alert(RETRY_SECONDS="2")
    assert done.returncode == 1 and not done.stdout
    (line,) = for_people(done.stderr)
    assert line.startswith("publish: Slack did not ") and reason in line
    assert line.endswith("it will be said in the next run; is SLACK_WEBHOOK_URL right?")
    assert len(machine.slack.came) >= tries
    machine.slack.taken.clear()
    machine.slack.always = Answer()
    assert machine.says() == [f"error: {STALE}"]


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (Answer(429, "rate_limited", 2), 2),
        (Answer(500, "server_error"), 0),
        (Answer(503, "server_error"), 0),
        (Answer(cut=True), 0),
    ],
    ids=["429", "500", "503", "cut"],
)
def test_slack_is_asked_again_but_not_before_it_says(
    machine: Machine, answer: Answer, seconds: float
) -> None:
    machine.freshness("error", 25)
    machine.slack.answers = [answer]
    done = machine.alert()
    assert passes(done) == "Posted to Slack: 1 change\n"
    first, second = machine.slack.came
    assert second - first >= seconds and len(machine.slack.taken) == 1
    assert "retry" in [it["event"] for it in log_lines(done.stderr)]


def test_without_a_webhook_it_prints_the_same_text_and_that_counts_as_not_said(
    machine: Machine,
) -> None:
    machine.freshness("warn", 7)
    printed = [passes(machine.alert(SLACK_WEBHOOK_URL="")) for _ in range(2)]
    assert not machine.slack.came
    assert "7.0 hours old, 6 hours are allowed" in printed[0]
    passes(machine.alert())
    assert {text.strip() for text in printed} == set(machine.slack.taken)


def test_a_webhook_that_is_no_url_is_wrong_use_and_not_printed(machine: Machine) -> None:
    done = machine.alert(SLACK_WEBHOOK_URL=f"services/{SECRET}")
    assert done.returncode == 2
    (line,) = for_people(done.stderr)
    assert line.startswith("publish: wrong settings: SLACK_WEBHOOK_URL: is not a URL")


def test_two_machines_know_what_the_other_has_said_and_old_files_are_no_news(
    machines: Machines,
) -> None:
    one, other = machines(), machines()
    for it in (one, other):
        it.freshness("error", 25)
    assert one.says() == [f"error: {STALE}"]
    assert other.says() == []
    other.freshness("pass", 0)
    assert other.says() == ["recovered: source `randomuser.users`"]
    assert one.says() == []  # its files are older than that


def test_a_load_that_died_half_way_is_said_and_so_is_that_it_was_finished(
    machine: Machine, warehouse: Warehouse
) -> None:
    run, raw = machine.run, machine.run.raw
    for load_id in ("one", "<two>"):
        passes(run("ingest", "--users", "5", "--load-id", load_id))
    warehouse.rows(f"delete from {raw}.loads where load_id = '<two>'")
    assert machine.says() == []  # its row may still be on its way
    warehouse.rows(
        f"update {raw}.users set loaded_at = timestamp_sub(loaded_at, interval 1 hour) where {EVER}"
    )
    assert machine.says() == [
        "error: load `&lt;two&gt;` is not finished, 5 users lie in raw: run it again"
    ]
    assert machine.says() == []
    passes(run("ingest", "--users", "5", "--load-id", "<two>"))
    assert machine.says() == ["recovered: load `&lt;two&gt;`"]


def test_a_task_that_the_scheduler_saw_fail_is_said_until_it_says_otherwise(
    machine: Machine,
) -> None:
    assert machine.says(ALERT_FAILED_TASKS="ingest, build") == [
        "error: task `build` failed: its log says why",
        "error: task `ingest` failed: its log says why",
    ]
    assert machine.says() == []  # whoever runs it by hand knows nothing of tasks
    assert machine.says(ALERT_FAILED_TASKS="build") == ["recovered: task `ingest`"]
    assert machine.says(ALERT_FAILED_TASKS="") == ["recovered: task `build`"]


def test_where_bigquery_cannot_be_asked_slack_hears_that_and_which_tasks_failed(
    machine: Machine,
) -> None:
    down = {"BIGQUERY_EMULATOR_HOST": "http://127.0.0.1:9", "ALERT_FAILED_TASKS": "ingest"}
    assert machine.says(**down) == [
        "error: BigQuery refused or did not answer (RetryError): no more is known",
        "error: task `ingest` failed: its log says why",
    ]
    done = machine.alert(**down | {"SLACK_WEBHOOK_URL": ""})
    assert done.returncode == 1
    assert "BigQuery refused or did not answer" in done.stderr


def test_no_message_holds_anything_of_a_user(
    built: Run, machine: Machine, warehouse: Warehouse
) -> None:
    fields = ("email", "phone", "login.uuid", "login.username", "login.md5", "login.sha256")
    values = ", ".join(f"json_value(payload, '$.{field}')" for field in fields)
    rows = warehouse.rows(f"select {values} from {built.raw}.users where {EVER}")
    message = f"Bad int64 value: {rows[0][0]} {PASSWORD}"
    machine.results(
        logins={"status": "error", "message": message},
        users={"status": "partial success", "message": message},
        **{UNIQUE: {"status": "error", "message": message}},
    )
    machine.edit(
        "sources",
        lambda it: it.update(
            results=[{"unique_id": SOURCE, "status": "runtime error", "error": message}]
        ),
    )
    assert len(machine.says()) == 4
    (text,) = machine.slack.taken
    assert PASSWORD not in text
    assert not [value for row in rows for value in map(str, row) if value in text]


def test_a_message_of_very_many_changes_is_short_and_says_how_many_more_there_are(
    machine: Machine,
) -> None:
    def change(artifact: dict[str, Any]) -> None:
        (one,) = [it for it in artifact["results"] if it["unique_id"] == MODEL]
        artifact["results"] = [
            one | {"unique_id": f"{MODEL}_{number}_{'x' * 900}", "status": "error"}
            for number in range(100)
        ]

    machine.edit("run_results", change)
    lines = machine.says()
    assert len(lines) == 31 and lines[-1].startswith("... and 70 more: ")
    assert len(machine.slack.taken[0]) < 40_000
    assert machine.says() == []
