"""The rules of alerts: what is found, what explains what, what is sent when and in which order."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from publish.alerts.send import changed_findings, format_message
from publish.alerts.sent import SentAlert
from publish.causes import find_all
from publish.findings import ERROR, OK, WARNING, Finding
from publish.rules import describe_newest_load
from publish.runs import Result, collect
from publish.state import State

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
SOURCE = "source.randomuser.randomuser.users"
LIMITS = {
    "warn_after": {"count": 6, "period": "hour"},
    "error_after": {"count": 1, "period": "day"},
}
WHOLE = [Result("build", "success", NOW), Result("source freshness", "success", NOW)]


def make_result(node: str, status: str, **fields: Any) -> Result:
    """Return a result of a node such as model.a; a source was checked an hour ago."""
    node_type, _, name = node.partition(".")
    unique_id = f"{node_type}.randomuser.{name}" + (".1a2b3c" if node_type == "test" else "")
    return Result("build", status, NOW, unique_id, **fields)


def make_check(status: str, hours: float, checked_at: datetime = NOW) -> Result:
    """Return a check of the freshness that found a load of this age."""
    details = {"newest": (NOW - hours * HOUR).isoformat(), "limits": LIMITS}
    return Result("source freshness", status, checked_at, SOURCE, details=details)


def find_lines(*results: Result, **state: Any) -> list[str]:
    """Return the errors and warnings of a first alert after these results of dbt."""
    return format_lines(find_all(State(NOW, collect([*WHOLE, *results]), **state)))[1:]


def format_lines(findings: list[Finding], sent: dict[str, SentAlert] | None = None) -> list[str]:
    """Return the lines of an alert that follows these sent alerts."""
    changed = changed_findings(findings, sent or {}, NOW, DAY)
    return [
        line.removeprefix("- ") for line in format_message("d", changed, sent or {}).split("\n")
    ]


def make_finding(state: str, name: str = "a", seen_at: datetime = NOW) -> Finding:
    return Finding("test", name, state, f"text of {name}", seen_at)


def make_sent(state: str, ago: timedelta) -> SentAlert:
    return SentAlert(state, NOW - ago, NOW - ago)


def is_sent_after(state: str, sent_state: str, sent_ago: timedelta) -> bool:
    """Return whether a finding in `state` is sent if this was its last alert."""
    sent = {"test:a": make_sent(sent_state, sent_ago)}
    return bool(changed_findings([make_finding(state)], sent, NOW, DAY))


@pytest.mark.parametrize("before", [ERROR, WARNING, OK, ""])
@pytest.mark.parametrize("after", [ERROR, WARNING, OK])
def test_changed_state_is_sent_once(before: str, after: str) -> None:
    if before:
        assert is_sent_after(after, before, HOUR) is (after != before)
    else:
        assert bool(changed_findings([make_finding(after)], {}, NOW, DAY)) is (after != OK)


@pytest.mark.parametrize("state", [ERROR, WARNING, OK])
def test_problem_that_stays_is_repeated_after_the_interval(state: str) -> None:
    assert not is_sent_after(state, state, DAY - HOUR)
    assert is_sent_after(state, state, DAY) is (state != OK)


@pytest.mark.parametrize(("state", "sent"), [(ERROR, OK), (OK, ERROR)])
def test_finding_older_than_its_alert_is_not_sent(state: str, sent: str) -> None:
    old = make_finding(state, seen_at=NOW - 2 * HOUR)
    assert changed_findings([old], {"test:a": make_sent(sent, HOUR)}, NOW, DAY) == []


def test_worst_comes_first_and_repeated_line_says_still() -> None:
    sent = {"test:z": make_sent(ERROR, HOUR), "test:b": make_sent(WARNING, DAY)}
    states = {"z": OK, "b": WARNING, "c": ERROR, "a": WARNING}
    findings = [make_finding(state, name) for name, state in states.items()]
    assert format_lines(findings, sent)[1:] == [
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


def test_test_results_have_all_shown_rows_and_the_stored_table() -> None:
    assert find_lines(
        make_result("test.stored", "fail", failures=1234, relation="p.d.t"),
        make_result("test.shown", "warn", failures=2, details={"rows": ["load_id=7", "load_id=8"]}),
        make_result("test.broken", "error"),
        make_result("test.good", "pass"),
        make_result("unit_test.users.newest", "error"),
    ) == [
        "error: test `broken` could not be run: dbt's log says why",
        "error: test `stored` failed: 1,234 rows, stored in `p.d.t`",
        "error: unit test `newest` could not be run: dbt's log says why",
        "warning: test `shown` warns: 2 rows: load_id=7; load_id=8",
    ]


def test_nodes_of_the_same_name_are_told_apart() -> None:
    nodes = [
        "test.randomuser.is_even.1a",
        "test.randomuser.is_even.2b",
        "test.randomuser.is_odd.3c",
    ]
    nodes += [f"unit_test.randomuser.{model}.keeps_latest" for model in ("logins", "users")]
    results = [Result("build", "error", NOW, node) for node in nodes]
    assert [line.split("`")[1] for line in find_lines(*results)] == [
        "is_even.1a",
        "is_even.2b",
        "is_odd",
        "logins.keeps_latest",
        "users.keeps_latest",
    ]


def test_skipped_node_keeps_its_state_and_a_node_out_of_the_project_has_none() -> None:
    fails, later = make_result("test.a", "fail"), NOW + HOUR
    skipped = Result("build", "skipped", later, fails.node)
    assert find_lines(fails, Result("build", "error", later), skipped) == ["error: test `a` failed"]
    assert find_lines(fails, Result("build", "success", later)) == []


def test_failure_after_a_recovery_that_was_not_sent_is_new() -> None:
    again = Finding("test", "a", ERROR, "text", NOW, since=NOW - HOUR)
    for ago, is_sent in ((2 * HOUR, True), (timedelta(minutes=1), False)):
        sent = {"test:a": make_sent(ERROR, ago)}
        assert bool(changed_findings([again], sent, NOW, DAY)) is is_sent


@pytest.mark.parametrize(
    ("command", "later", "is_well"),
    [
        ("build", Result("build", "success", NOW + HOUR, is_part=True), False),
        ("build", Result("build", "success", NOW + HOUR), True),
        ("", Result("build", "success", NOW + HOUR), True),
        ("test", Result("build", "success", NOW + HOUR), True),
        ("test", Result("test", "success", NOW + HOUR, is_part=True), True),
        ("source freshness", Result("build", "success", NOW + HOUR), False),
    ],
)
def test_command_without_results_is_an_error_until_a_whole_one_follows(
    command: str, later: Result, is_well: bool
) -> None:
    lines = find_lines(Result(command, "no results", NOW, is_part=True), later)
    assert [line.split(" left ")[0] for line in lines] == (
        [] if is_well else [f"error: `dbt {command}`"]
    )


@pytest.mark.parametrize(
    ("check", "line"),
    [
        (make_check("warn", 7), "warning: {} is stale: {} 7.0 hours old, the limit is 6 hours"),
        (make_check("error", 25), "error: {} is stale: {} 25.0 hours old, the limit is 1 day"),
        (make_check("runtime error", 0), "error: the check of the freshness of {} failed"),
        (make_check("pass", 0), ""),
        (make_check("error", 99, checked_at=NOW - 25 * HOUR), ""),  # its age is the error
    ],
)
def test_stale_source_names_age_and_limit(check: Result, line: str) -> None:
    expected = line.format("source `randomuser.users`", "its newest load is")
    assert find_lines(check) == [expected][: bool(line)]


@pytest.mark.parametrize(
    ("newest", "text"),
    [
        (NOW - 80 * HOUR, "its newest load is 80.0 hours old"),  # the check says 0.0 hours
        (NOW + timedelta(seconds=20), "its newest load is 0.0 hours old"),
        (NOW + 48 * HOUR, "its newest load is dated in the future, 2026-01-03 12:00 UTC"),
        (datetime(1, 1, 1, tzinfo=UTC), "it has no recent load"),
    ],
)
def test_age_of_newest_load_is_that_of_now(newest: datetime, text: str) -> None:
    result = Result("source freshness", "pass", NOW, details={"newest": newest.isoformat()})
    assert describe_newest_load(result, NOW) == text


HELD_BACK = SimpleNamespace(
    load_id="a b",
    state="held back",
    users_rejected=1200,
    users_received=5000,
    rejection_reasons="login.uuid is missing (1200)",
)


@pytest.mark.parametrize(("severity", "state"), [("fail", ERROR), ("warn", WARNING)])
def test_held_back_load_has_the_severity_of_its_test(severity: str, state: str) -> None:
    node = "test.randomuser.loads_have_few_rejected_users"
    (line,) = find_lines(Result("build", severity, NOW, node, failures=1), decided=[HELD_BACK])
    assert line == (
        f"{state}: load `a b` is held back until `python -m ingest --accept 'a b'` or `--set-aside "
        "'a b'`: 1,200 of 5,000 users are rejected: login.uuid is missing (1200)"
    )


BUILD_FAILED = "task `build` of load `1` failed"


@pytest.mark.parametrize(
    ("results", "tasks", "lines"),
    [
        (
            [make_result("model.a", "error", load_id="1")],
            "build",
            [f"error: model `a` was not built: dbt's log says why; because of that {BUILD_FAILED}"],
        ),
        (
            [make_result("test.a", "warn", load_id="1")],
            "build",
            [f"error: {BUILD_FAILED}: its log says why", "warning: test `a` warns"],
        ),
        (
            [Result("build", "no results", NOW, load_id="1", is_part=True)],
            "build",
            [
                "error: `dbt build` left no results: it was killed, or could not read the project "
                f"or use BigQuery; because of that {BUILD_FAILED}"
            ],
        ),
        (
            [Result("", "no results", NOW, load_id="1", is_part=True)],
            "build",
            [
                "error: a command of dbt left no results: it was killed, or could not read the "
                f"project or use BigQuery; because of that {BUILD_FAILED}"
            ],
        ),
        (
            [make_result("model.a", "error", load_id="0")],  # of an earlier run
            "build",
            [
                "error: model `a` was not built: dbt's log says why",
                f"error: {BUILD_FAILED}: its log says why",
            ],
        ),
    ],
)
def test_effect_is_named_by_its_cause_alone(
    results: list[Result], tasks: str, lines: list[str]
) -> None:
    assert find_lines(*results, tasks={tasks: "failed"}, load_id="1") == lines


def test_task_explains_why_nothing_was_built() -> None:
    old = [Result(result.command, "success", NOW - 25 * HOUR) for result in WHOLE]
    state = State(NOW, collect(old), tasks={"ingest": "failed"}, load_id="1")
    (line,) = format_lines(find_all(state))[1:]
    assert line.startswith("error: task `ingest` of load `1` failed: its log says why; because of")
    assert line.count("is recorded since 2025-12-31 11:00 UTC, the limit is 24 hours") == 2


def test_build_that_bills_more_than_usual_warns() -> None:
    def find(*billed: int) -> list[Finding]:
        """Find among builds that billed so many MB, the last build first."""
        node = {"node": "model.randomuser.users", "ended_at": NOW, "new_loads": 1}
        builds = [
            SimpleNamespace(billed=mb * 2**20, node_billed=mb * 2**19, **node) for mb in billed
        ]
        findings = find_all(State(NOW, collect(WHOLE), builds=builds))
        return [finding for finding in findings if finding.kind == "cost"]

    assert find(900, 1, 1, 1, 1) == []  # too few to compare with
    (usual,) = find(300, 100, 9000, 100, 1, 100)
    (costly,) = find(3200, 100, 9000, 1000, 9000, 100)
    assert (usual.state, costly.state) == (OK, WARNING)
    assert costly.text == (
        "`dbt build` billed 3,200 MB, 3.2 times the 1,000 MB that are usual with 1 new load; most "
        "of it (1,600 MB) for `users`"
    )
