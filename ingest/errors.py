"""Explains an error that ends a load, without the values of records that its text may quote."""

import re
import tempfile

from google.api_core.exceptions import ClientError, Unauthorized
from google.auth.exceptions import DefaultCredentialsError, RefreshError
from requests import RequestException

from ingest.logs import to_one_line

_ACCESS = "check that GOOGLE_CLOUD_PROJECT is right and that this account may write there"
_LOG_IN = "run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS"
_NEXT_STEPS = {  # by the reason that BigQuery gives
    "accessDenied": _ACCESS,
    "notFound": _ACCESS,
    "accessNotConfigured": "enable the API: `gcloud services enable bigquery.googleapis.com`",
    "billingNotEnabled": "enable billing for the project",
    "quotaExceeded": "wait until the quota is free again, or have it raised",
    "rateLimitExceeded": "wait a minute",
}


def explain(error: BaseException) -> tuple[str, str]:
    """Return the text of `error` in one line, and what to do if it is of a disk or of BigQuery."""
    text = to_one_line(error)
    if isinstance(error, OSError) and not isinstance(error, RequestException):
        text = f"cannot write a temporary file in {tempfile.tempdir or 'any folder'}: {text}"
        return text, "free space there, or set TMPDIR to another folder"
    if isinstance(error, (DefaultCredentialsError, RefreshError, Unauthorized)):
        return text, _LOG_IN
    if not isinstance(error, ClientError):
        return text, "check BigQuery, or BIGQUERY_EMULATOR_HOST if set"
    reason = error.errors[0].get("reason", "") if error.errors else ""
    # A failed statement or load job may quote the value that it failed at.
    if reason == "invalidQuery" or (reason == "invalid" and error.response is None):
        job_id = "".join(re.findall(r"Job ID: (\S+)", str(error))) or "JOB_ID"
        text = f"{error.code} {reason}, with a text that is not shown because it may quote records"
        return text, f"read it with `bq show -j {job_id}`"
    return text, _NEXT_STEPS.get(reason, "fix what the error names")
