"""The rules of alerts: findings from dbt's files, what is sent when, and in which order."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from publish.alert import changed_findings, find_recoveries, format_message
from publish.alert_state import SentAlert
from publish.artifacts import FILES, HELD_BACK_TEST
from publish.causes import name_effects
from publish.dbt_findings import check_build, check_sources, describe_newest_load
from publish.findings import (
    ERROR,
    OK,
    WARNING,
    Finding,
    compare_builds,
    find_failed_tasks,
    find_held_back_loads,
)

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
SOURCE, SOURCE_KEY = "source.randomuser.randomuser.users", "source:randomuser.users"
LIMITS = {
    "warn_after": {"count": 6, "period": "hour"},
    "error_after": {"count": 1, "period": "day"},
}
SECRETS = ["so@example.com", "correct-horse-battery"]
QUOTE = f"Bad int64 value: {' '.join(SECRETS)}"
WriteArtifact = Callable[..., None]


@pytest.fixture
def write_artifact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WriteArtifact:
    """Write one of dbt's files into an empty target folder."""
    monkeypatch.setenv("DBT_TARGET_PATH", str(tmp_path))

    def write(name: str, **fields: Any) -> None:
        file = tmp_path / FILES[name]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(fields))

    return write


def make_unique_id(node: str) -> str:
    """Return the unique id of a node, such as model.a."""
    node_type, _, name = node.partition(".")
    return f"{node_type}.randomuser.{name}" + (".1a2b3c" if node_type == "test" else "")


def set_build(write_artifact: WriteArtifact, *results: tuple[str, dict[str, Any]]) -> None:
    """Write a build with these results, by unique id without the project."""
    nodes = []
    for node, fields in results:
        defaults: dict[str, Any] = {
            "failures": 0,
            "relation_name": None,
            "rows": [],
            "message": QUOTE,
        }
        nodes.append({"unique_id": make_unique_id(node)} | defaults | fields)
    write_artifact("build", generated_at=NOW.isoformat(), results=nodes)


def set_sources(
    write_artifact: WriteArtifact, *results: dict[str, Any], checked_at: datetime = NOW
) -> None:
    """Write a freshness check with these results, and a manifest with the source's limits."""
    write_artifact("manifest", sources={SOURCE: {"freshness": LIMITS}})
    metadata = {"generated_at": checked_at.isoformat()}
    checks = [{"unique_id": SOURCE, "error": QUOTE} | result for result in results]
    write_artifact("sources", metadata=metadata, results=checks)


def make_freshness(status: str, hours: float) -> dict[str, Any]:
    """Return a freshness result with this age of the newest load."""
    newest = (NOW - hours * HOUR).isoformat()
    age = {"max_loaded_at": newest, "max_loaded_at_time_ago_in_s": hours * 3600}
    return {"status": status, "criteria": LIMITS} | age


def read_source_line() -> str:
    """Return the state and the text of the source."""
    (finding,) = [finding for finding in check_sources(NOW) if finding.key == SOURCE_KEY]
    return f"{finding.state}: {finding.text}"


def read_build_lines() -> list[str]:
    """Return the lines of a first alert about the build."""
    return format_lines(list(check_build()))[1:]


def format_lines(findings: list[Finding], sent: dict[str, SentAlert] | None = None) -> list[str]:
    """Return the lines of an alert that follows these sent alerts."""
    changed = changed_findings(findings, sent or {}, NOW, DAY)
    return [
        line.removeprefix("- ") for line in format_message("d", changed, sent or {}).split("\n")
    ]


def make_finding(state: str, key: str = "test:a", seen_at: datetime = NOW) -> Finding:
    return Finding(key, state, f"text of {key}", seen_at)


def is_sent_after(state: str, sent_state: str, sent_ago: timedelta) -> bool:
    """Return whether a finding in `state` is sent if this was its last alert."""
    sent = {"test:a": SentAlert(sent_state, NOW - sent_ago)}
    return bool(changed_findings([make_finding(state)], sent, NOW, DAY))


@pytest.mark.parametrize(("state", "is_sent"), [(ERROR, True), (WARNING, True), (OK, False)])
def test_first_finding_is_sent_unless_ok(state: str, is_sent: bool) -> None:
    assert bool(changed_findings([make_finding(state)], {}, NOW, DAY)) is is_sent


@pytest.mark.parametrize("before", [ERROR, WARNING, OK])
@pytest.mark.parametrize("after", [ERROR, WARNING, OK])
def test_changed_state_is_sent_once(before: str, after: str) -> None:
    assert is_sent_after(after, before, HOUR) is (after != before)


@pytest.mark.parametrize("state", [ERROR, WARNING])
def test_unchanged_state_is_repeated_after_interval(state: str) -> None:
    assert not is_sent_after(state, state, DAY - HOUR)
    assert is_sent_after(state, state, DAY)


def test_recovery_is_never_repeated() -> None:
    assert not is_sent_after(OK, OK, 9 * DAY)


def test_finding_older_than_sent_alert_is_ignored() -> None:
    sent = {"test:a": SentAlert(OK, NOW - HOUR)}
    assert changed_findings([make_finding(ERROR, seen_at=NOW - 2 * HOUR)], sent, NOW, DAY) == []


def test_repeated_line_says_still() -> None:
    sent = {"test:a": SentAlert(ERROR, NOW - DAY), "test:b": SentAlert(WARNING, NOW - DAY)}
    lines = format_lines([make_finding(ERROR), make_finding(ERROR, "test:b")], sent)
    assert lines == ["randomuser, d", "still error: text of test:a", "error: text of test:b"]


def test_worst_first() -> None:
    sent = {"test:z": SentAlert(ERROR, NOW - HOUR)}
    findings = [
        make_finding(OK, "test:z"),
        make_finding(WARNING, "source:b"),
        make_finding(ERROR, "test:c"),
        make_finding(WARNING, "source:a"),
    ]
    changed = changed_findings(findings, sent, NOW, DAY)
    keys = [changed_finding.key for changed_finding in changed]
    assert keys == ["test:c", "source:a", "source:b", "test:z"]


def test_message_has_at_most_30_short_findings() -> None:
    findings = [Finding(f"test:{number:03}", ERROR, "x" * 900, NOW) for number in range(100)]
    lines = format_message("d", findings, {}).splitlines()
    assert len(lines) == 32 and lines[-1] == "... and 70 more: `python -m publish report`"
    assert lines[1] == f"- error: {'x' * 500}..."


def test_loads_and_tasks_recover_only_when_checked() -> None:
    sent_keys = {"load:a", "load:b", "task:build", "test:c"}
    current = [make_finding(ERROR, "load:b")]
    (recovery,) = find_recoveries(current, sent_keys, ["load"], NOW)
    assert (recovery.key, recovery.state, recovery.text) == ("load:a", OK, "load `a`")
    both = find_recoveries(current, sent_keys, ["load", "task"], NOW)
    assert {recovery.key for recovery in both} == {"load:a", "task:build"}


def test_failed_tasks_are_split_at_commas() -> None:
    tasks = list(find_failed_tasks(" ingest,, build ", "", NOW))
    assert [task.key for task in tasks] == ["task:ingest", "task:build"]
    assert tasks[0].text == "task `ingest` failed: its log says why"
    assert list(find_failed_tasks("", "x", NOW)) == []


def test_test_results_have_rows_and_stored_table(write_artifact: WriteArtifact) -> None:
    set_build(
        write_artifact,
        ("test.stored", {"status": "fail", "failures": 1234, "relation_name": "`p`.`d`.`t`"}),
        ("test.shown", {"status": "warn", "failures": 1, "rows": ["load_id=7", "load_id=8"]}),
        ("test.broken", {"status": "error"}),
        ("test.good", {"status": "pass"}),
        ("unit_test.users.newest", {"status": "error"}),
    )
    assert read_build_lines() == [
        "error: test `broken` could not be run: dbt's log says why",
        "error: test `stored` failed: 1,234 rows, stored in `p.d.t`",
        "error: unit test `newest` could not be run: dbt's log says why",
        "warning: test `shown` warns: 1 row: load_id=7",
    ]


def test_tests_of_the_same_name_are_told_apart(write_artifact: WriteArtifact) -> None:
    generic = [
        "test.randomuser.is_even.1a",
        "test.randomuser.is_even.2b",
        "test.randomuser.is_odd.3c",
    ]
    unit = [f"unit_test.randomuser.{model}.keeps_latest" for model in ("logins", "users")]
    results = [{"unique_id": unique_id, "status": "error"} for unique_id in generic + unit]
    write_artifact("build", generated_at=NOW.isoformat(), results=results)
    assert [line.split("`")[1] for line in read_build_lines()] == [
        "is_even.1a",
        "is_even.2b",
        "is_odd",
        "logins.keeps_latest",
        "users.keeps_latest",
    ]


def test_skipped_models_are_named_with_their_causes(write_artifact: WriteArtifact) -> None:
    skipped, error = {"status": "skipped"}, {"status": "error"}
    set_build(
        write_artifact,
        ("model.z", error),  # nothing is made from it
        ("test.of_a", error),
        ("unit_test.of_d", error),
        ("test.of_a_and_z", {"status": "fail"}),  # no model comes after both
        ("model.b", skipped),
        ("snapshot.c", skipped),
        ("test.of_b", skipped),
        ("exposure.e", skipped),
        ("model.d", skipped),
    )
    parents = {"model.b": ["model.a"], "snapshot.c": ["model.unchanged"]}
    parents |= {"model.unchanged": ["model.b"], "model.d": ["model.c"], "model.a": ["source.s"]}
    parents |= {"test.of_a": ["model.a"], "test.of_a_and_z": ["model.a", "model.z"]}
    parents |= {"unit_test.of_d": ["model.d"], "test.of_b": ["model.b"]}
    write_artifact("manifest", sources={}, parent_map=dict(map(add_project, parents.items())))
    because, not_run = "; because of that", "could not be run: dbt's log says why"
    assert read_build_lines() == [
        "error: model `z` was not built: dbt's log says why",
        f"error: test `of_a` {not_run}{because} 2 models were not built: b, c",
        "error: test `of_a_and_z` failed",
        f"error: unit test `of_d` {not_run}{because} 1 model was not built: d",
    ]


def add_project(parents: tuple[str, list[str]]) -> tuple[str, list[str]]:
    """Return a node and its parents by their unique ids."""
    return make_unique_id(parents[0]), [make_unique_id(parent) for parent in parents[1]]


def make_checked(state: str, key: str) -> Finding:
    """Return a finding of a check before the alert."""
    return make_finding(state, key, NOW - HOUR)


@pytest.mark.parametrize(
    ("findings", "lines"),
    [
        (
            [make_checked(ERROR, "model:a"), make_finding(ERROR, "task:build")],
            ["error: text of model:a; because of that text of task:build"],
        ),
        (
            [make_finding(ERROR, "held-back load:a"), make_finding(ERROR, "task:build")],
            ["error: text of held-back load:a; because of that text of task:build"],
        ),
        (
            [make_checked(WARNING, "test:a"), make_finding(ERROR, "task:build")],
            ["error: text of task:build", "warning: text of test:a"],
        ),
        (
            [make_checked(ERROR, "source:a"), make_finding(ERROR, "task:freshness")],
            ["error: text of source:a; because of that text of task:freshness"],
        ),
        (
            [make_finding(ERROR, "source:a"), make_finding(ERROR, "task:freshness")],
            ["error: text of task:freshness; because of that text of source:a"],
        ),
        (
            [make_checked(WARNING, "source:a"), make_finding(ERROR, "task:ingest")],
            ["error: text of task:ingest; because of that text of source:a"],
        ),
        (
            [make_checked(ERROR, "source:a")]
            + [make_finding(ERROR, f"task:{name}") for name in ("ingest", "freshness", "build")],
            [
                "error: text of task:build",
                "error: text of task:ingest; because of that text of source:a; because of that "
                "text of task:freshness",
            ],
        ),
    ],
)
def test_effect_is_named_by_its_cause_alone(findings: list[Finding], lines: list[str]) -> None:
    assert format_lines(name_effects(findings))[1:] == lines
    assert format_lines(name_effects(findings[::-1]))[1:] == lines


@pytest.mark.parametrize(("severity", "state"), [("ERROR", ERROR), ("warn", WARNING)])
def test_held_back_load_has_the_severity_of_its_test(
    write_artifact: WriteArtifact, severity: str, state: str
) -> None:
    row = {"load_id": "a b", "users_rejected": 1200, "users_received": 5000}
    rows = [SimpleNamespace(**row, rejection_reasons="login.uuid is missing or not text (1200)")]
    client: Any = SimpleNamespace(query_and_wait=lambda _: rows)
    assert find_held_back_loads(client, NOW) is None  # dbt has not run here
    model = {"relation_name": "`p`.`d`.`loads`"}
    test = {"config": {"severity": severity}}
    write_artifact("manifest", nodes={"model.randomuser.loads": model, HELD_BACK_TEST: test})
    assert find_held_back_loads(client, NOW) == [
        Finding(
            "held-back load:a b",
            state,
            "load `a b` is held back until `python -m ingest --accept 'a b'` or `--set-aside 'a b'`"
            ": 1,200 of 5,000 users are rejected: login.uuid is missing or not text (1200)",
            NOW,
        )
    ]


def make_builds(*billed: int) -> list[Any]:
    """Return builds that billed so many MB, the last build first."""
    node = {"node": "model.randomuser.users", "built_at": NOW}
    return [
        SimpleNamespace(billed=mb * 2**20, node_billed=mb * 2**20 // 2, **node) for mb in billed
    ]


def test_build_that_bills_more_than_usual_warns() -> None:
    assert list(compare_builds(make_builds(900, 1, 1, 1, 1), 3)) == []  # too few to compare with
    (usual,) = compare_builds(make_builds(300, 100, 9000, 100, 1, 100), 3)
    assert usual.state == OK
    (costly,) = compare_builds(make_builds(3200, 100, 9000, 1000, 9000, 100), 3)
    assert (costly.key, costly.state, costly.seen_at) == ("cost:build", WARNING, NOW)
    assert costly.text == (
        "`dbt build` billed 3,200 MB, 3.2 times the usual 1,000 MB; most of it (1,600 MB) for "
        "`users`: expected only for a full refresh or after an outage"
    )


def test_skipped_and_missing_results_keep_their_state(write_artifact: WriteArtifact) -> None:
    assert list(check_build()) == []  # no build at all
    skipped = {"status": "skipped"}
    set_build(write_artifact, ("test.a", skipped), ("model.a", skipped))
    assert list(check_build()) == []


def test_no_freshness_check_is_an_error(write_artifact: WriteArtifact) -> None:
    (unchecked,) = check_sources(NOW)
    assert (unchecked.key, unchecked.state) == ("source:all", ERROR)
    set_sources(write_artifact, make_freshness("pass", 1))
    checked, source = check_sources(NOW)
    assert (checked.key, checked.state, source.state) == ("source:all", OK, OK)


def test_unchecked_source_counts_as_stale(write_artifact: WriteArtifact) -> None:
    stale = "error: source `randomuser.users` counts as stale: "
    set_sources(write_artifact)
    assert read_source_line() == f"{stale}its freshness has not been checked"
    set_sources(write_artifact, make_freshness("pass", 1), checked_at=NOW - 25 * HOUR)
    since = "not been checked since 2025-12-31 11:00 UTC, the limit is 1 day"
    assert read_source_line() == f"{stale}its freshness has {since}"
    set_sources(write_artifact, make_freshness("pass", 1), checked_at=NOW - 23 * HOUR)
    assert read_source_line() == "recovered: source `randomuser.users`"
    set_sources(write_artifact, {"status": "runtime error"})
    assert read_source_line() == f"{stale}the check of its freshness failed"


def test_stale_source_names_age_and_limit(write_artifact: WriteArtifact) -> None:
    stale = "source `randomuser.users` is stale: its newest load is"
    set_sources(write_artifact, make_freshness("warn", 7))
    assert read_source_line() == f"warning: {stale} 7.0 hours old, the limit is 6 hours"
    set_sources(write_artifact, make_freshness("error", 25))
    assert read_source_line() == f"error: {stale} 25.0 hours old, the limit is 1 day"


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
    result = make_freshness("pass", 0) | {"max_loaded_at": newest.isoformat()}
    assert describe_newest_load(result, NOW) == text


def test_messages_of_dbt_are_never_sent(write_artifact: WriteArtifact) -> None:
    statuses = ["error", "fail", "warn", "partial success", "runtime error"]
    set_build(
        write_artifact,
        *(
            (f"{kind}.{number}", {"status": status, "compiled": QUOTE})
            for kind in ("model", "test")
            for number, status in enumerate(statuses)
        ),
    )
    set_sources(write_artifact, {"status": "runtime error"})
    lines = format_lines([*check_build(), *check_sources(NOW)])
    assert len(lines) == 12
    assert not [line for line in lines for secret in SECRETS if secret in line]
