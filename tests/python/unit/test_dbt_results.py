"""What is made of dbt's results: causes, costs, and whether another try can help."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from publish.dbt_results import FRESHNESS, Invocation, find_causes, is_part, read_invocations
from publish.history import choose_exit_status, make_label, sum_jobs

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def make_job(invocation: str, node: str, billed: int, slot: int) -> bigquery.QueryJob:
    """Return a job as BigQuery lists it."""
    labels = {"dbt_invocation_id": invocation, "node_id": node}
    statistics = {"query": {"totalBytesBilled": f"{billed}", "totalSlotMs": f"{slot}"}}
    resource = {
        "jobReference": {"projectId": "p", "jobId": f"{node}{billed}", "location": "US"},
        "configuration": {"query": {"query": "select 1"}, "labels": labels},
        "statistics": statistics | {"totalSlotMs": f"{slot}"},
    }
    client = bigquery.Client("p", AnonymousCredentials())  # type: ignore[no-untyped-call]
    return bigquery.QueryJob.from_api_repr(resource, client)


def test_all_statements_of_a_node_are_billed_to_it() -> None:
    jobs = [make_job("a", "model_p_users", 1000, 5), make_job("a", "model_p_users", 11, 1)]
    jobs += [make_job("a", "", 10, 1), make_job("b", "model_p_users", 7, 7)]
    assert sum_jobs(jobs, "a") == {
        "model_p_users": {"bytes_billed": 1011, "slot_ms": 6},
        "": {"bytes_billed": 10, "slot_ms": 1},
    }
    assert make_label("model.p.Users") == "model_p_users"


def make_invocation(**statuses: str) -> Invocation:
    nodes = ((key.replace("__", ".p."), status) for key, status in statuses.items())
    results = [{"unique_id": node, "status": status} for node, status in nodes]
    return Invocation("a", "build", NOW, results=results)


def test_skipped_model_has_the_failures_that_it_comes_after() -> None:
    invocation = make_invocation(
        model__z="error",
        test__of_a="error",
        unit_test__of_d="error",
        test__of_a_and_z="fail",  # no model comes after both
        model__b="skipped",
        snapshot__c="skipped",
        test__of_b="skipped",
        model__d="skipped",
    )
    parents = {"model.p.b": ["model.p.a"], "snapshot.p.c": ["model.p.unchanged"]}
    parents |= {"model.p.unchanged": ["model.p.b"], "model.p.d": ["model.p.c", "snapshot.p.c"]}
    parents |= {"test.p.of_a": ["model.p.a"], "test.p.of_a_and_z": ["model.p.a", "model.p.z"]}
    parents |= {"unit_test.p.of_d": ["model.p.d"], "model.p.a": ["source.p.s"]}
    of_a, of_d = "test.p.of_a", "unit_test.p.of_d"
    expected = {"model.p.b": [of_a], "snapshot.p.c": [of_a], "model.p.d": [of_a, of_d]}
    assert find_causes(invocation, parents) == expected
    assert find_causes(invocation, {}) == {node: [] for node in expected}  # no manifest


def test_build_without_a_node_of_the_project_is_a_part() -> None:
    kinds = {"model.p.a": "view", "test.p.b": "test", "model.p.c": "ephemeral"}
    nodes = {key: {"config": {"materialized": kind}} for key, kind in kinds.items()}
    whole = make_invocation(model__a="success", test__b="skipped", unit_test__d="pass")
    assert not is_part(whole, {"nodes": nodes})
    assert is_part(make_invocation(model__a="success"), {"nodes": nodes})
    assert is_part(whole, {})  # no manifest


@pytest.mark.parametrize(
    ("command", "statuses", "dbt_status", "expected"),
    [
        ("build", ["success", "fail", "skipped"], 1, 3),
        ("build", ["fail", "error"], 1, 1),
        ("build", ["pass", "warn"], 0, 0),
        ("build", ["fail"], 137, 137),
        (FRESHNESS, ["error"], 1, 3),  # it is stale
        (FRESHNESS, ["runtime error"], 1, 1),
    ],
)
def test_exit_status_says_whether_dbt_would_fail_again(
    command: str, statuses: list[str], dbt_status: int, expected: int
) -> None:
    results = [{"unique_id": "", "status": status} for status in statuses]
    last = Invocation("a", command, NOW, results=results)
    assert choose_exit_status(dbt_status, [last]) == expected


@pytest.mark.parametrize(
    ("words", "command"),
    [
        ("--debug source freshness", FRESHNESS),
        ("retry", "build"),
        ("ls --resource-type test", None),
        ("run-operation forget_users --args {build: 1}", None),
    ],
)
def test_command_that_left_no_results_is_that_of_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, command: str | None
) -> None:
    """The results that are there are of the command before."""
    for name in ("DBT_TARGET_PATH", "DBT_LOG_PATH"):
        monkeypatch.setenv(name, str(tmp_path))
    metadata = dict.fromkeys(("generated_at", "invocation_started_at"), "2026-01-01T05:00:00Z")
    content: dict[str, Any] = {
        "metadata": metadata | {"invocation_id": "before"},
        "args": {"which": "build"},
    }
    content["results"] = [{"unique_id": "test.p.a", "status": "fail"}]
    (tmp_path / "run_results.json").write_text(json.dumps(content))
    begin = "===== 05:00:00.000000 | 0d8f7e31-5f5b-4c39-8bb6-7d2f6f3d1a55 ====="
    (tmp_path / "dbt.log").write_text(f"{begin}\n{{'invocation_command': 'dbt {words}'}}\n")
    last = read_invocations()[0]
    assert (last.command, last.has_results) == (command or "build", not command)
    assert choose_exit_status(1, read_invocations()) == (1 if command else 3)
