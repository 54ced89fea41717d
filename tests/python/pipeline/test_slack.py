"""How `python -m publish alert` speaks to Slack: once, again, and what Slack does not take."""

from typing import Any

import pytest
from support.alert_harness import MODEL, SECRET, STALE, Machine, Machines
from support.commands import passes
from support.fake_slack import Answer
from support.log_lines import for_people
from support.warehouse import Warehouse

REFUSALS = {
    "invalid_payload": (Answer(400, "invalid_payload"), "HTTP 400 invalid_payload", 1),
    "forbidden": (Answer(403, "action_prohibited"), "HTTP 403 action_prohibited", 1),
    "no such webhook": (Answer(404, "no_service"), "HTTP 404 no_service", 1),
    "a page of a proxy": (Answer(403, f"<p>no way to /services/{SECRET}"), "(HTTP 403)", 1),
    "another 200": (Answer(200, "<p>log in first"), "(HTTP 200)", 1),
    "too long to wait": (Answer(429, "rate_limited", 61), "HTTP 429 rate_limited", 1),
    "down": (Answer(500, "server_error"), "HTTP 500 server_error", 4),
    "no answer": (Answer(cut=True), "Slack did not answer (RemoteDisconnected)", 4),
}


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


@pytest.mark.parametrize("case", REFUSALS)
def test_what_slack_does_not_take_is_said_in_the_next_run(machine: Machine, case: str) -> None:
    machine.freshness("error", 25)
    machine.slack.always, reason, tries = REFUSALS[case]
    done = machine.alert()
    assert done.returncode == 1 and not done.stdout
    (line,) = for_people(done.stderr)
    assert line.startswith("publish: Slack did not ") and reason in line
    assert line.endswith("it will be said in the next run; is SLACK_WEBHOOK_URL right?")
    assert len(machine.slack.came) == tries
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


def test_a_message_of_very_many_changes_is_short_and_says_how_many_more_there_are(
    machine: Machine,
) -> None:
    def change(artifact: dict[str, Any]) -> None:
        (one,) = [it for it in artifact["results"] if it["unique_id"] == MODEL]
        artifact["results"] = [
            one | {"unique_id": f"{MODEL}_{number}_{'x' * 900}", "status": "error"}
            for number in range(100)
        ]

    machine.edit("build", change)
    lines = machine.says()
    assert len(lines) == 31 and lines[-1].startswith("... and 70 more: ")
    assert len(machine.slack.taken[0]) < 40_000
    assert machine.says() == []
