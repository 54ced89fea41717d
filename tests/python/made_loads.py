"""Loads of users that a test makes up, landed in raw by one statement a table."""

import json
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import requests
from conftest import Run, Warehouse

from ingest import tables


@dataclass
class Load:
    """A load; its users are whatever JSON the test says."""

    load_id: str
    loaded_at: datetime
    users: list[Any] = field(default_factory=list)


def people(api_url: str, number: int) -> list[dict[str, Any]]:
    """Return users as the API sends them, the same ones every time."""
    answer = requests.get(api_url, {"results": str(number), "seed": "people"}, timeout=60)
    users: list[dict[str, Any]] = answer.json()["results"]
    return users


def changed(user: dict[str, Any], **parts: Any) -> dict[str, Any]:
    """Return the user with other parts: those that are objects are merged, others replaced."""
    made = deepcopy(user)
    for name, value in parts.items():
        made[name] = made[name] | value if isinstance(value, dict) else value
    return made


def make_raw(run: Run, warehouse: Warehouse) -> None:
    """Make the raw dataset and its tables, empty."""
    raw = f"{warehouse.project}.{run.raw}"
    warehouse.client.create_dataset(tables.dataset(raw, "US"))
    warehouse.client.create_table(tables.users(f"{raw}.users"))
    warehouse.client.create_table(tables.loads(f"{raw}.loads"))


def land(run: Run, warehouse: Warehouse, *loads: Load) -> None:
    """Land the loads, as at the times that they say."""
    users = [
        f"struct({_text(load.load_id)} as load_id, {index} as record_index, "
        f"{_text(json.dumps(user, ensure_ascii=False))} as payload, "
        f"timestamp '{load.loaded_at.isoformat()}' as loaded_at)"
        for load in loads
        for index, user in enumerate(load.users)
    ]
    warehouse.rows(
        f"insert into {run.raw}.users (load_id, record_index, page, payload, api_version, seed, "
        "fetched_at, loaded_at) select load_id, record_index, 1, parse_json(payload), '1.4', "
        f"'people', loaded_at, loaded_at from unnest([{', '.join(users)}])"
    )
    ledger = [
        f"struct({_text(load.load_id)} as load_id, {len(load.users)} as users, "
        f"timestamp '{load.loaded_at.isoformat()}' as loaded_at)"
        for load in loads
    ]
    warehouse.rows(
        f"insert into {run.raw}.loads (load_id, source, api_version, seed, users_received, "
        "users_landed, loader_version, started_at, loaded_at) select load_id, 'test', '1.4', "
        f"'people', users, users, 'test', loaded_at, loaded_at from unnest([{', '.join(ledger)}])"
    )


def _text(text: str) -> str:
    """Return a string literal: JSON's escapes are BigQuery's as well."""
    return json.dumps(text, ensure_ascii=False)
