"""The rules of alerts: what is found, what explains what, what is sent when and in which order."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from publish.alerts.send import changed_findings, format_message
from publish.alerts.sent import SentAlert
from publish.findings import ERROR, OK, WARNING, Finding
from publish.rules import find_all
from publish.runs import Result, collect
from publish.state import State

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
WHOLE = [Result("build", "success", NOW), Result("source freshness", "success", NOW)]
LATER = Result("build", "success", NOW + HOUR)
NO_RESULTS = "left no results: it was killed, or could not read the project or use BigQuery"
MODEL_FAILED = "error: model `a` was not built: dbt's log says why"
HELD_BACK_TEST = "test.randomuser.loads_have_few_rejected_users"
HELD_BACK = SimpleNamespace(
    load_id="a b",
    state="held back",
    users_rejected=1200,
    users_received=5000,
    rejection_reasons="login.uuid is missing (1200)",
)
HELD_BACK_TEXT = (
    "load `a b` is held back until `python -m ingest --accept 'a b'` or `--set-aside 'a b'`: "
    "1,200 of 5,000 users are rejected: login.uuid is missing (1200)"
)


def make_result(node: str, status: str, **fields: Any) -> Result:
    """Return a result of a node such as model.a of the last build."""
    node_type, _, name = node.partition(".")
    return Result("build", status, NOW, f"{node_type}.randomuser.{name}", **fields)


def make_none(command: str) -> Result:
    """Return a command that left no results."""
    return Result(command, "no results", NOW, load_id="1", is_part=True)


def make_check(status: str, age: timedelta, ended_at: datetime = NOW) -> Result:
    """Return a check of the freshness that found a newest load of this age."""
    limits = {"warn_after": {"count": 6, "period": "hour"}}
    limits["error_after"] = {"count": 1, "period": "day"}
    details = {"newest": (NOW - age).isoformat(), "limits": limits}
    source = "source.randomuser.randomuser.users"
    return Result("source freshness", status, ended_at, source, details=details)


def find_lines(*results: Result, **state: Any) -> list[str]:
    """Return the errors and warnings of a first alert after these results of dbt."""
    findings = find_all(State(NOW, collect([*WHOLE, *results]), **state))
    lines = format_message("d", changed_findings(findings, {}, NOW, DAY), {}).split("\n- ")
    return lines[1:]


@pytest.mark.parametrize(
    ("results", "lines"),
    [
        (
            [
                make_result("test.stored.1a", "fail", failures=1234, relation="p.d.t"),
                make_result("test.shown.1a", "warn", failures=2, details={"rows": ["a=7", "a=8"]}),
                make_result("test.broken.1a", "error"),
                make_result("test.good.1a", "pass"),
                make_result("unit_test.users.newest", "error"),
            ],
            [
                "error: test `broken` could not be run: dbt's log says why",
                "error: test `stored` failed: 1,234 rows, stored in `p.d.t`",
                "error: unit test `newest` could not be run: dbt's log says why",
                "warning: test `shown` warns: 2 rows: a=7; a=8",
            ],
        ),
        (  # of the same name
            [
                make_result(node, "warn")
                for node in ("test.a.1", "test.a.2", "unit_test.m.b", "unit_test.n.b")
            ],
            [
                "warning: test `a.1` warns",
                "warning: test `a.2` warns",
                "warning: unit test `m.b` warns",
                "warning: unit test `n.b` warns",
            ],
        ),
        (  # it was skipped, which changes nothing
            [
                make_result("test.a.1", "fail"),
                Result("build", "error", NOW + HOUR),
                Result("build", "skipped", NOW + HOUR, "test.randomuser.a.1"),
            ],
            ["error: test `a` failed"],
        ),
        ([make_result("test.a.1", "fail"), LATER], []),  # it is no longer in the project
        ([make_none("build")], [f"error: `dbt build` {NO_RESULTS}"]),
        (
            [make_none("build"), Result("build", "success", NOW + HOUR, is_part=True)],
            [f"error: `dbt build` {NO_RESULTS}"],
        ),
        ([make_none("build"), LATER], []),
        ([make_none(""), LATER], []),
        ([make_none("test"), LATER], []),
        ([make_none("test"), Result("test", "success", NOW + HOUR, is_part=True)], []),
        ([make_none("source freshness"), LATER], [f"error: `dbt source freshness` {NO_RESULTS}"]),
    ],
)
def test_finding_of_results_of_dbt(results: list[Result], lines: list[str]) -> None:
    assert find_lines(*results) == lines


@pytest.mark.parametrize(
    ("status", "newest", "line"),
    [
        ("warn", 7 * HOUR, "warning: {} is stale: {} 7.0 hours old, the limit is 6 hours"),
        ("error", 25 * HOUR, "error: {} is stale: {} 25.0 hours old, the limit is 1 day"),
        ("warn", -HOUR / 60, "warning: {} is stale: {} 0.0 hours old, the limit is 6 hours"),
        (
            "error",
            -2 * DAY,
            "error: {} is stale: {} dated in the future, 2026-01-03 12:00 UTC, the limit is 1 day",
        ),
        ("runtime error", 25 * HOUR, "error: the check of the freshness of {} failed"),
        ("pass", HOUR, ""),
    ],
)
def test_stale_source_names_age_and_limit(status: str, newest: timedelta, line: str) -> None:
    expected = line.format("source `randomuser.users`", "its newest load is")
    assert find_lines(make_check(status, newest)) == [expected][: bool(line)]


@pytest.mark.parametrize(("status", "state"), [("fail", ERROR), ("warn", WARNING)])
def test_held_back_load_has_the_severity_of_its_test(status: str, state: str) -> None:
    result = Result("build", status, NOW, HELD_BACK_TEST, failures=1)
    assert find_lines(result, decided=[HELD_BACK]) == [f"{state}: {HELD_BACK_TEXT}"]


@pytest.mark.parametrize(
    ("result", "text", "is_cause"),
    [
        (make_result("model.a", "error", load_id="1"), MODEL_FAILED, True),
        (make_none("build"), f"error: `dbt build` {NO_RESULTS}", True),
        (make_none(""), f"error: a command of dbt {NO_RESULTS}", True),
        (make_result("model.a", "error", load_id="0"), MODEL_FAILED, False),  # of an earlier load
        (make_result("test.a.1", "warn", load_id="1"), "warning: test `a` warns", False),
    ],
)
def test_effect_is_named_by_its_cause_alone(result: Result, text: str, is_cause: bool) -> None:
    task = "task `build` of load `1` failed"
    alone = [f"error: {task}: its log says why", text]
    lines = find_lines(result, tasks={"build": "failed"}, load_id="1")
    assert sorted(lines) == ([f"{text}; because of that {task}"] if is_cause else sorted(alone))


def test_task_explains_why_nothing_was_built() -> None:
    ended_at = NOW - 25 * HOUR
    old = [Result(result.command, "success", ended_at) for result in WHOLE]
    old.append(make_check("error", 99 * HOUR, ended_at))  # its age is the error
    tasks = {"ingest": "failed", "build": "upstream_failed"}  # of what did not run nothing is known
    (finding,) = find_all(State(NOW, collect(old), tasks=tasks, load_id="1"))
    assert finding.message.startswith("task `ingest` of load `1` failed: its log says why; because")
    assert finding.message.count("recorded since 2025-12-31 11:00 UTC, the limit is 1 day") == 2


def test_build_that_bills_more_than_usual_warns() -> None:
    def find(*billed: int) -> list[str]:
        """Find among builds that billed so many MB, the last build first."""
        node = {"node": "model.randomuser.users", "ended_at": NOW, "new_loads": 1}
        builds = [
            SimpleNamespace(billed=mb * 2**20, node_billed=mb * 2**19, **node) for mb in billed
        ]
        return find_lines(builds=builds)

    assert find(900, 1, 1, 1, 1) == []  # too few to compare with
    assert find(300, 100, 9000, 100, 1, 100) == []
    assert find(3200, 100, 9000, 1000, 9000, 100) == [
        "warning: `dbt build` billed 3,200 MB, 3.2 times the 1,000 MB that are usual with 1 new "
        "load; most of it (1,600 MB) for `users`"
    ]


@pytest.mark.parametrize(
    ("state", "times", "sent", "sent_ago", "is_sent"),
    [
        *((state, {}, None, DAY, state != OK) for state in (ERROR, WARNING, OK)),
        (WARNING, {}, ERROR, HOUR, True),
        (ERROR, {}, OK, HOUR, True),
        (OK, {}, WARNING, HOUR, True),
        (ERROR, {}, ERROR, DAY - HOUR, False),
        (ERROR, {}, ERROR, DAY, True),
        (OK, {}, OK, DAY, False),
        (OK, {"seen_at": NOW - 2 * HOUR}, ERROR, HOUR, False),  # it was known then
        (ERROR, {"since": NOW - HOUR}, ERROR, 2 * HOUR, True),  # it was well in between
        (ERROR, {"since": NOW - 3 * HOUR}, ERROR, 2 * HOUR, False),
    ],
)
def test_change_is_sent_once_and_what_stays_is_repeated(
    state: str, times: dict[str, Any], sent: str, sent_ago: timedelta, is_sent: bool
) -> None:
    finding = replace(Finding("test", "a", state, "text", NOW), **times)
    last = {"test:a": SentAlert(sent, NOW - sent_ago, NOW)} if sent else {}
    assert changed_findings([finding], last, NOW, DAY) == [finding] * is_sent


def test_worst_comes_first_and_repeated_line_says_still() -> None:
    sent = {
        "test:z": SentAlert(ERROR, NOW - HOUR, NOW),
        "test:b": SentAlert(WARNING, NOW - DAY, NOW),
    }
    states = {"z": OK, "b": WARNING, "c": ERROR, "a": WARNING}
    findings = [
        Finding("test", name, state, f"text of {name}", NOW) for name, state in states.items()
    ]
    changed = changed_findings(findings, sent, NOW, DAY)
    assert format_message("d", changed, sent).split("\n- ")[1:] == [
        "error: text of c",
        "warning: text of a",
        "still warning: text of b",
        "recovered: text of z",
    ]


def test_message_has_at_most_30_short_findings() -> None:
    findings = [Finding("test", f"{n:03}", ERROR, "x" * 900, NOW) for n in range(100)]
    lines = format_message("d", findings, {}).splitlines()
    assert len(lines) == 32 and lines[-1] == "... and 70 more: `python -m publish report`"
    assert lines[1] == f"- error: {'x' * 500}..."
