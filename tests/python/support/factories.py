"""Users and loads for tests; a load lands in raw by one request a table."""

import json
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import requests
from support.commands import Run
from support.warehouse import Warehouse

from ingest import statements, tables

User = dict[str, Any]


@dataclass
class Load:
    """A load; its users may be any JSON."""

    load_id: str
    loaded_at: datetime
    users: list[Any] = field(default_factory=list)
    api_version: str = "1.4"


def fetch_users(api_url: str, number: int) -> list[dict[str, Any]]:
    """Return users of the fake API, the same users every time."""
    response = requests.get(api_url, {"results": str(number), "seed": "people"}, timeout=60)
    users: list[dict[str, Any]] = response.json()["results"]
    return users


def changed_user(user: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return a copy of a user with other fields; objects are merged, others replaced."""
    changed = deepcopy(user)
    for name, value in fields.items():
        changed[name] = changed[name] | value if isinstance(value, dict) else value
    return changed


def user(number: int) -> User:
    """Return a user as the API sends one."""
    credentials = {"username": f"user{number}", "password": f"secret{number}", "salt": "salt"}
    hashes = {name: size * "0" for name, size in (("md5", 32), ("sha1", 40), ("sha256", 64))}
    born = {"date": "1990-05-31T23:59:59.999Z", "age": 36}
    return {
        "gender": "female",
        "name": {"title": "Ms", "first": "Ann", "last": "Other"},
        "location": {
            "street": {"number": 12, "name": "High Street"},
            "city": "Town",
            "state": "State",
            "country": "Nepal",
            "postcode": 1234 if number % 2 else "AB1 2CD",
            "coordinates": {"latitude": "-21.6687", "longitude": "53.7805"},
            "timezone": {"offset": "+5:45", "description": "Kathmandu"},
        },
        "email": "ann@example.com",
        "login": {"uuid": f"00000000-0000-4000-8000-{number:012}"} | credentials | hashes,
        "dob": born,
        "registered": born | {},
        "phone": "1",
        "cell": "2",
        "id": {"name": "", "value": None if number % 3 else "7"},
        "picture": dict.fromkeys(("large", "medium", "thumbnail"), f"http://localhost/{number}"),
        "nat": "GB",
    }


def response_file(folder: Path, name: str, users: list[User]) -> Path:
    info = {"seed": "s", "results": len(users), "page": 1, "version": "1.4"}
    file = folder / f"{name}.json"
    file.write_text(json.dumps({"results": users, "info": info}))
    return file


def make_raw(run: Run, warehouse: Warehouse, records: str = "users") -> None:
    """Make the raw dataset and its tables, empty; `records` as in `land`."""
    raw = f"{warehouse.project}.{run.raw}"
    warehouse.client.create_dataset(tables.define_dataset(raw, "US"))
    warehouse.client.create_table(tables.define_records(f"{raw}.{records}"))
    warehouse.client.create_table(tables.define_loads(f"{raw}.loads", records))
    warehouse.client.create_table(tables.define_forgotten(f"{raw}.forgotten"))
    warehouse.rows(statements.FORGOTTEN_KEY.format(forgotten=f"{raw}.forgotten"))


def land(run: Run, warehouse: Warehouse, *loads: Load, records: str = "users") -> None:
    """Land loads at their own times; `records` is what the source calls its records."""
    users, ledger = list[dict[str, Any]](), list[dict[str, Any]]()
    for load in loads:
        time, number = load.loaded_at.isoformat(), len(load.users)
        row = {"load_id": load.load_id, "api_version": load.api_version, "seed": "people"}
        row |= {"loaded_at": time}
        of_user = row | {"page": 1, "fetched_at": time}
        for index, user in enumerate(load.users):
            payload = json.dumps(user, ensure_ascii=False)
            users.append(of_user | {"record_index": index, "payload": payload})
        row |= {"source": "test", "loader_version": "test", "started_at": time}
        ledger.append(row | {f"{records}_received": number, f"{records}_landed": number})
    for table, rows in ((records, users), ("loads", ledger)):
        assert not warehouse.client.insert_rows_json(f"{warehouse.project}.{run.raw}.{table}", rows)


def decide(
    run: Run, warehouse: Warehouse, decision: str, load_id: str, decided_at: datetime | None = None
) -> None:
    """Decide about a load, now or at that time."""
    time = f"timestamp '{decided_at.isoformat()}'" if decided_at else "current_timestamp()"
    warehouse.rows(
        f"update {run.raw}.loads set decision = '{decision}', decided_at = {time} "
        f"where load_id = '{load_id}'"
    )
