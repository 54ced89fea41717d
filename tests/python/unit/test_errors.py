"""An error of BigQuery says what it is and what to do, and shows no value of a user."""

from http.client import BAD_REQUEST, FORBIDDEN, NOT_FOUND, SERVICE_UNAVAILABLE, UNAUTHORIZED

import pytest
from google.api_core.exceptions import from_http_status
from google.auth.exceptions import DefaultCredentialsError, RefreshError, TransportError
from google.cloud.bigquery.job.base import _error_result_to_exception
from requests import Response

from ingest.errors import explain


@pytest.mark.parametrize(
    ("status", "reason", "next_step"),
    [
        (FORBIDDEN, "accessDenied", "this account may write there"),
        (FORBIDDEN, "quotaExceeded", "wait until the quota is free again"),
        (FORBIDDEN, "billingNotEnabled", "enable billing"),
        (FORBIDDEN, "accessNotConfigured", "enable the API"),
        (FORBIDDEN, "policyViolation", "fix what the error names"),
        (NOT_FOUND, "notFound", "check that GOOGLE_CLOUD_PROJECT is right"),
        (UNAUTHORIZED, "authError", "gcloud auth application-default login"),
        (SERVICE_UNAVAILABLE, "backendError", "check BigQuery, or BIGQUERY_EMULATOR_HOST"),
    ],
)
def test_reason_decides_next_step(status: int, reason: str, next_step: str) -> None:
    error = from_http_status(status, "the text", errors=[{"reason": reason}], response=Response())  # type: ignore[no-untyped-call]
    text, step = explain(error)
    assert text == f"{int(status)} the text" and next_step in step


@pytest.mark.parametrize("kind", [DefaultCredentialsError, RefreshError])
def test_missing_credentials_say_how_to_log_in(kind: type[Exception]) -> None:
    assert "gcloud auth application-default login" in explain(kind("none"))[1]
    assert "log" not in explain(TransportError("no network"))[1]  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("reason", ["invalid", "invalidQuery"])
def test_failed_job_does_not_show_values(reason: str) -> None:
    why = {"reason": reason, "message": "Bad int64 value: Zelda"}
    error = _error_result_to_exception(why, [why])  # type: ignore[no-untyped-call]
    error.message += "\n\nLocation: US\nJob ID: some-job\n"
    text, step = explain(error)
    assert "Zelda" not in text + step and reason in text and "bq show -j some-job`" in step
    sent = from_http_status(BAD_REQUEST, "Bad value: Zelda", errors=[why], response=Response())  # type: ignore[no-untyped-call]
    assert ("Zelda" in explain(sent)[0]) is (reason == "invalid")  # of a request, not of a job
