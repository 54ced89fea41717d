"""The service `airflow` of the compose file, in the environment of `make airflow-test`."""

from pathlib import Path

from support.compose_services import Services


def test_airflow_starts(tmp_path: Path) -> None:
    services = Services(tmp_path)
    with services.up("bigquery"), services.up("api"), services.up("airflow"):
        pass  # each passes its health check, and stops cleanly
