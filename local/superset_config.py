"""The settings of `make dashboard`: Superset for this machine only, on the embedded BigQuery.

Superset reads this file: local/superset.py names it in SUPERSET_CONFIG_PATH. On BigQuery none of it
is needed: docs/bi.md.
"""

import os
from typing import Any

import sqlglot
from google.api_core.exceptions import Forbidden
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from sqlglot import exp
from superset.config import TALISMAN_CONFIG

from local import local_dir

HOME = local_dir().resolve() / "superset"
DATASET = "analytics"  # all that Superset may read

SQLALCHEMY_DATABASE_URI = f"sqlite:///{HOME / 'superset.db'}"
# It signs the cookies of a page that only this machine can reach, and that asks for no password.
SECRET_KEY = "not a secret"  # noqa: S105
# Superset's page reports its use to a server. The browser may call no other server than this one.
_policy = TALISMAN_CONFIG["content_security_policy"]
for _name in ("img-src", "connect-src", "style-src", "font-src"):
    _policy[_name] = [source for source in _policy[_name] if "." not in source]


class Client(bigquery.Client):
    """A client that reads one dataset only: the embedded BigQuery has no access control."""

    def _call_api(self, *arguments: Any, **request: Any) -> Any:
        job = request.get("data") or {}
        query = job.get("configuration", {}).get("query", job).get("query")
        folders = [*request["path"].split("/"), "", ""]  # /projects/PROJECT/datasets/DATASET/...
        is_listed = folders[3] != "datasets" or folders[4] in ("", DATASET)
        if not is_listed or (job and not (query and reads_only(query, DATASET))):
            message = f"Access Denied: only queries of the dataset {DATASET} are allowed"
            raise Forbidden(message)  # type: ignore[no-untyped-call]
        response = super()._call_api(*arguments, **request)
        if folders[3:5] == ["datasets", ""]:
            ids = [dataset["datasetReference"]["datasetId"] for dataset in response["datasets"]]
            response["datasets"] = [response["datasets"][ids.index(DATASET)]]
        return response


def reads_only(sql: str, dataset: str) -> bool:
    """Return whether all statements are queries, and all their tables are in the dataset."""
    statements = sqlglot.parse(sql, read="bigquery")
    return all(
        isinstance(statement, exp.Query)
        and all(
            isinstance(table.this, exp.Identifier) and table.db in ("", dataset)
            for table in statement.find_all(exp.Table)
        )
        for statement in statements
    )


def DB_CONNECTION_MUTATOR(  # noqa: N802
    url: Any, parameters: dict[str, Any], *_: object
) -> tuple[Any, dict[str, Any]]:
    """Give each connection the client above; Superset calls this."""
    client = Client(os.environ["GOOGLE_CLOUD_PROJECT"], AnonymousCredentials())  # type: ignore[no-untyped-call]
    url = url.update_query_dict({"user_supplied_client": "True"})
    return url, parameters | {"connect_args": {"client": client}}
