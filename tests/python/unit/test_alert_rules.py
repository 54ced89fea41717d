"""The rules of alerts: what is found, what explains what, what is sent when and in which order."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from publish.alerts.send import changed_findings, format_message
from publish.alerts.sent import SentAlert, find_open_loads
from publish.findings import ERROR, OK, WARNING, Finding
from publish.rules import find_all
from publish.runs import Result, Source, collect
from publish.state import State

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
WHOLE = [Result("build", "success", NOW), Result("source freshness", "success", NOW)]
LATER = Result("build", "success", NOW + HOUR)
LATER_PART = replace(LATER, is_part=True)
NO_RESULTS = "left no results: it was killed, or could not read the project or use BigQuery"
USERS, ORDERS = Source("randomuser", "users"), Source("orders", "orders")
MODEL_FAILED = "error: model `a` was not built: dbt's log says why"


def make_result(node: str, status: str, **fields: Any) -> Result:
    """Return a result of a node such as model.a of the last build."""
    node_type, _, name = node.partition(".")
    return Result("build", status, NOW, f"{node_type}.randomuser.{name}", **fields)


def make_none(command: str) -> Result:
    """Return a command that left no results."""
    return Result(command, "no results", NOW, load_id="1", is_part=True)


def make_check(status: str, age: timedelta, ended_at: datetime = NOW) -> Result:
    """Return a check of the freshness that found a newest load of this age."""
    periods = {"warn_after": (6, "hour"), "error_after": (1, "day")}
    limits = {name: {"count": count, "period": of} for name, (count, of) in periods.items()}
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
            [make_result(node, "fail") for node in ("test.a.1", "test.a.2", "unit_test.m.a")],
            [f"error: {name} failed" for name in ("test `a.1`", "test `a.2`", "unit test `m.a`")],
        ),
        (  # it was skipped, which changes nothing
            [
                make_result("test.a.1", "fail"),
                LATER,
                Result("build", "skipped", LATER.ended_at, "test.randomuser.a.1"),
            ],
            ["error: test `a` failed"],
        ),
        ([make_result("test.a.1", "fail"), LATER], []),  # it is no longer in the project
        ([make_none("build"), LATER_PART], [f"error: `dbt build` {NO_RESULTS}"]),
        ([make_none("build"), LATER], []),
        ([make_none(""), LATER], []),
        ([make_none("test"), replace(LATER_PART, command="test")], []),
        ([make_none("source freshness"), LATER], [f"error: `dbt source freshness` {NO_RESULTS}"]),
        (
            [make_check("runtime error", HOUR)],
            ["error: the check of the freshness of source `randomuser.users` failed"],
        ),
        ([make_check("pass", HOUR)], []),
    ],
)
def test_finding_of_results_of_dbt(results: list[Result], lines: list[str]) -> None:
    assert find_lines(*results) == lines


@pytest.mark.parametrize(
    ("status", "age", "newest", "limit"),
    [
        ("warn", 7 * HOUR, "7.0 hours old", "6 hours"),
        ("error", 25 * HOUR, "25.0 hours old", "1 day"),
        ("warn", -HOUR / 60, "0.0 hours old", "6 hours"),
        ("error", -2 * DAY, "dated in the future, 2026-01-03 12:00 UTC", "1 day"),
    ],
)
def test_stale_source_names_age_and_limit(
    status: str, age: timedelta, newest: str, limit: str
) -> None:
    (line,) = find_lines(make_check(status, age))
    stale = f"source `randomuser.users` is stale: its newest load is {newest}, the limit is {limit}"
    assert line.partition(": ")[2] == stale and line.startswith(status)


@pytest.mark.parametrize(("status", "state"), [("fail", ERROR), ("warn", WARNING)])
def test_held_back_load_has_the_severity_of_its_test(status: str, state: str) -> None:
    result = make_result("test.a", status, failures=1, details={"held_back": "randomuser"})
    counts = {"rejected": 1200, "received": 5000, "rejection_reasons": "b (1200)"}
    load = SimpleNamespace(load_id="a b", state="held back", **counts)
    assert find_lines(result, decided=[(USERS, load)]) == [
        f"{state}: load `a b` is held back until `python -m ingest --accept 'a b'` or "
        "`--set-aside 'a b'`: 1,200 of 5,000 users are rejected: b (1200)"
    ]


def test_loads_of_two_sources_with_one_id_do_not_mix() -> None:
    tests = [
        make_result("test.a", "warn", failures=1, details={"held_back": "randomuser"}),
        make_result("test.b", "fail", failures=1, details={"held_back": "orders"}),
    ]
    bad = {"state": "held back", "rejected": 3, "received": 200, "rejection_reasons": "b (3)"}
    held_back, half = SimpleNamespace(load_id="x", **bad), {"is_in_ledger": False, "records": 5}
    loads: dict[str, Any] = {
        "decided": [(source, held_back) for source in (USERS, ORDERS)],
        "unfinished": [
            (source, SimpleNamespace(load_id="x", **half)) for source in (USERS, ORDERS)
        ],
    }
    assert find_lines(*tests, **loads) == [
        "error: load `x` of orders is held back until `python -m ingest orders --accept x` or "
        "`--set-aside x`: 3 of 200 orders are rejected: b (3)",
        "error: load `x` of orders is not finished, 5 orders are in raw: run it again",
        "error: load `x` is not finished, 5 users are in raw: run it again",
        "warning: load `x` is held back until `python -m ingest --accept x` or "
        "`--set-aside x`: 3 of 200 users are rejected: b (3)",
    ]
    found = find_all(State(NOW, collect([*WHOLE, *tests]), **loads))
    sent = {finding.key: SentAlert(finding.state, NOW, NOW) for finding in found}
    assert {*sent} >= {"load:x", "held-back load:x", "load of orders:x"}
    assert find_open_loads(sent) == ({"randomuser": ["x"] * 2, "orders": ["x"] * 2}, NOW)
    sent = {key: replace(alert, state=OK) for key, alert in sent.items() if " of " not in key}
    assert find_open_loads(sent) == ({}, None)


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


def test_killed_build_does_not_explain_that_freshness_was_never_checked() -> None:
    state = State(NOW, collect([make_none("build")]), load_id="1")
    assert [finding.name for finding in find_all(state)] == ["build", "source freshness"]


@pytest.mark.parametrize("ingest", ["ingest", "ingest_orders"])
def test_task_explains_why_nothing_was_built(ingest: str) -> None:
    ended_at = NOW - 25 * HOUR
    old = [Result(result.command, "success", ended_at) for result in WHOLE]
    old.append(make_check("error", 99 * HOUR, ended_at))  # its age is the error
    tasks = {ingest: "failed", "build": "upstream_failed"}  # of what did not run nothing is known
    (finding,) = find_all(State(NOW, collect(old), tasks=tasks, load_id="1"))
    cause = f"task `{ingest}` of load `1` failed: its log says why; because"
    assert finding.message.startswith(cause)
    assert finding.message.count("recorded since 2025-12-31 11:00 UTC, the limit is 1 day") == 2


def test_build_that_bills_more_than_usual_warns() -> None:
    def find(*megabytes: int) -> list[str]:
        """Find among builds that billed so much, the last build first."""
        node = {"node": "model.randomuser.users", "ended_at": NOW, "new_loads": 1}
        billed = ({"billed": mb * 2**20, "node_billed": mb * 2**19} for mb in megabytes)
        return find_lines(builds=[SimpleNamespace(**node, **build) for build in billed])

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
