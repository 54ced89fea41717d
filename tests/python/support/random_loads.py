"""Seeded random histories of loads, and what the marts have to hold after them."""

from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random
from typing import Any

from support.factories import Load, changed

LOOK_BACK = timedelta(hours=6)
TOWNS = ["Graz", " graz ", "GRAZ", "Linz", "Bern", "bern", None]  # three addresses, and none
BAD: list[Any] = ["text", 7, {}, {"login": {"uuid": "7", "username": "u", "password": "p"}}]


class History:
    """Loads in a random order: late ones, ties, repeated users, shared addresses, bad records.

    A load with bad records is held back, until it is accepted in a later run or never.
    """

    def __init__(self, seed: int, users: list[dict[str, Any]]) -> None:
        self.random = Random(seed)
        self.users = users
        self.loads: list[Load] = []
        self.accepted = set[str]()
        self.names = count()
        # Recent, or older than what a run looks at first, with times when nothing landed.
        self.old = self.random.random() < 0.5
        self.clock = datetime.now(UTC) - timedelta(days=60 if self.old else 2)

    def next_loads(self) -> list[Load]:
        """Return what lands before the next run; a late load is no later than the look-back."""
        self.clock += timedelta(days=self.random.choice([0, 6]) if self.old else 0)
        known = max((load.loaded_at for load in self.loads), default=None)
        landed = [self._load(known) for _ in range(self.random.randint(1, 4))]
        self.loads += landed
        return landed

    def next_accepted(self) -> list[str]:
        """Return the loads that are accepted now (`clock`)."""
        held = [it.load_id for it in self.loads if not self._is_used(it)]
        now = [load_id for load_id in held if self.random.random() < 0.5]
        self.accepted.update(now)
        return now

    def _is_used(self, load: Load) -> bool:
        return load.load_id in self.accepted or not any(user in BAD for user in load.users)

    def _load(self, known: datetime | None) -> Load:
        kind = self.random.choice(["next", "next", "late", "latest", "tie"])
        self.clock += timedelta(hours=self.random.choice([0.1, 1, 3]))
        at = self.clock
        if known and kind == "late":
            at = known - self.random.random() * LOOK_BACK
        elif known and kind == "latest":
            at = known - LOOK_BACK
        elif known and kind == "tie":
            near = [it.loaded_at for it in self.loads if it.loaded_at >= known - LOOK_BACK]
            at = self.random.choice(near)
        # Load ids do not sort as the loads landed.
        load_id = f"{self.random.getrandbits(16):04x}-{next(self.names)}"
        return Load(load_id, at, [self._user() for _ in range(self.random.randint(1, 8))])

    def _user(self) -> Any:
        if self.random.random() < 0.15:
            return self.random.choice(BAD)
        user, town = self.random.choice(self.users), self.random.choice(TOWNS)
        uuid = user["login"]["uuid"]
        place = {"street": {"number": 1, "name": "Ring"}, "city": town, "postcode": 1}
        position = {"coordinates": {"latitude": str(self.random.randint(-80, 80))}}
        return changed(
            user,
            login={"uuid": self.random.choice([uuid, uuid.upper()]), "username": self._word()},
            name={"first": self._word()},
            location=place | position | {"state": None, "country": None} if town else None,
        )

    def _word(self) -> str:
        return f"w{self.random.randint(1, 9)}"

    def newest(self) -> dict[str, set[tuple[Any, ...]]]:
        """Return what the marts have to hold: of each key the row that landed last."""
        users, logins, locations = dict[str, Any](), dict[str, Any](), dict[str, Any]()
        used = filter(self._is_used, self.loads)
        for load in sorted(used, key=lambda it: (it.loaded_at, it.load_id)):
            for user in (it for it in load.users if it not in BAD):
                key, said, last = user["login"]["uuid"].lower(), user["location"] or {}, load
                town = said["city"].strip().lower() if said else None
                users[key] = (user["name"]["first"], town, last.loaded_at, last.load_id)
                logins[key] = (user["login"]["username"], last.loaded_at, last.load_id)
                if town:
                    latitude = float(said["coordinates"]["latitude"])
                    locations[town] = (said["city"], latitude, last.loaded_at, last.load_id)
        found = {"users": users, "logins": logins, "locations": locations}
        return {name: {(k, *row) for k, row in rows.items()} for name, rows in found.items()}
