"""What is made of dbt's results: causes, costs, and whether another try can help."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from publish import dbt_results
from publish.dbt_results import Invocation, read_invocations
from publish.history import choose_exit_status, make_label, sum_jobs

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def make_job(invocation: str, node: str, billed: int, slot: int) -> bigquery.QueryJob:
    """Return a job as BigQuery lists it."""
    return bigquery.QueryJob.from_api_repr(
        {
            "jobReference": {"projectId": "p", "jobId": f"{node}{billed}", "location": "US"},
            "configuration": {
                "query": {"query": "select 1"},
                "labels": {"dbt_invocation_id": invocation, "node_id": node},
            },
            "statistics": {
                "totalSlotMs": f"{slot}",
                "query": {"totalBytesBilled": f"{billed}", "totalSlotMs": f"{slot}"},
            },
        },
        bigquery.Client("p", AnonymousCredentials()),  # type: ignore[no-untyped-call]
    )


def test_all_statements_of_a_node_are_billed_to_it() -> None:
    jobs = [make_job("a", "model_p_users", 1000, 5), make_job("a", "model_p_users", 11, 1)]
    jobs += [make_job("a", "", 10, 1), make_job("b", "model_p_users", 7, 7)]
    assert sum_jobs(jobs, "a") == {
        "model_p_users": {"bytes_billed": 1011, "slot_ms": 6},
        "": {"bytes_billed": 10, "slot_ms": 1},
    }
    assert make_label("model.p.Users") == "model_p_users"


def make_invocation(**statuses: str) -> Invocation:
    results = [
        {"unique_id": f"{key.replace('__', '.p.')}", "status": status}
        for key, status in statuses.items()
    ]
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
    parents |= {"model.p.unchanged": ["model.p.b"], "model.p.d": ["model.p.c"]}
    parents |= {"test.p.of_a": ["model.p.a"], "test.p.of_a_and_z": ["model.p.a", "model.p.z"]}
    parents |= {"unit_test.p.of_d": ["model.p.d"], "model.p.a": ["source.p.s"]}
    assert dbt_results.find_causes(invocation, parents) == {
        "model.p.b": ["test.p.of_a"],
        "snapshot.p.c": ["test.p.of_a"],
        "model.p.d": ["unit_test.p.of_d"],
    }
    without_manifest = dbt_results.find_causes(invocation, {})
    assert [*without_manifest.values()] == [[], [], []]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of what dbt writes, and of its log."""
    for name in ("DBT_TARGET_PATH", "DBT_LOG_PATH"):
        monkeypatch.setenv(name, str(tmp_path))
    return tmp_path


def write_results(folder: Path, statuses: list[str], name: str = "run_results") -> None:
    """Write what a build, or a check of freshness, leaves."""
    metadata = dict.fromkeys(("generated_at", "invocation_started_at"), "2026-01-01T05:00:00Z")
    results = [{"unique_id": f"node.{status}", "status": status} for status in statuses]
    content = {"metadata": metadata | {"invocation_id": "of results"}, "results": results}
    args = {"args": {"which": "build"}} if name == "run_results" else {}
    (folder / f"{name}.json").write_text(json.dumps(content | args))


@pytest.mark.parametrize(
    ("statuses", "dbt_status", "expected"),
    [
        (["success", "fail", "skipped"], 1, 3),
        (["fail", "error"], 1, 1),
        (["error", "skipped"], 1, 1),
        (["pass", "warn"], 0, 0),
        (["fail"], 2, 2),
        (["fail"], 137, 137),
    ],
)
def test_build_with_only_failed_tests_fails_again(
    folder: Path, statuses: list[str], dbt_status: int, expected: int
) -> None:
    write_results(folder, statuses)
    assert choose_exit_status(dbt_status, read_invocations()) == expected


@pytest.mark.parametrize(("status", "expected"), [("error", 3), ("runtime error", 1)])
def test_stale_source_is_stale_again(folder: Path, status: str, expected: int) -> None:
    write_results(folder, [status], "sources")
    assert choose_exit_status(1, read_invocations()) == expected


def test_results_of_an_earlier_command_tell_nothing(folder: Path) -> None:
    write_results(folder, ["fail"])
    invocation = "0d8f7e31-5f5b-4c39-8bb6-7d2f6f3d1a55"
    command = "'invocation_command': 'dbt build'"
    (folder / "dbt.log").write_text(f"===== 05:00:00.000000 | {invocation} =====\n{command}\n")
    assert choose_exit_status(1, read_invocations()) == choose_exit_status(1, []) == 1
