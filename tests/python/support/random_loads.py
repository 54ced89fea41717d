"""Random loads from a seed, and the rows that the marts must hold after them."""

from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random
from typing import Any

from support.factories import Load, changed_user

LOOK_BACK = timedelta(hours=6)
CITIES = ["Graz", " graz ", "GRAZ", "Linz", "Bern", "bern", None]  # three addresses, and none
BAD: list[Any] = ["text", 7, {}, {"login": {"uuid": "7", "username": "u", "password": "p"}}]


class RandomLoads:
    """Loads in random order: late loads, ties, repeated users, shared addresses, bad records.

    A load with bad records is held back, until it is accepted in a later run or never.
    """

    def __init__(self, seed: int, users: list[dict[str, Any]]) -> None:
        self.random = Random(seed)
        self.users = users
        self.loads: list[Load] = []
        self.accepted = set[str]()
        self.names = count()
        # Recent, or older than what a run reads first, with gaps in which nothing landed.
        self.is_old = self.random.random() < 0.5
        self.clock = datetime.now(UTC) - timedelta(days=60 if self.is_old else 2)

    def next_loads(self) -> list[Load]:
        """Return the loads that land before the next run; none is later than the look-back."""
        self.clock += timedelta(days=self.random.choice([0, 6]) if self.is_old else 0)
        newest = max((load.loaded_at for load in self.loads), default=None)
        loads = [self._load(newest) for _ in range(self.random.randint(1, 4))]
        self.loads += loads
        return loads

    def next_accepted(self) -> list[str]:
        """Return the held-back loads that somebody accepts now (`clock`)."""
        held_back = [load.load_id for load in self.loads if not self._is_used(load)]
        accepted = [load_id for load_id in held_back if self.random.random() < 0.5]
        self.accepted.update(accepted)
        return accepted

    def _is_used(self, load: Load) -> bool:
        return load.load_id in self.accepted or not any(user in BAD for user in load.users)

    def _load(self, newest: datetime | None) -> Load:
        kind = self.random.choice(["next", "next", "late", "latest", "tie"])
        self.clock += timedelta(hours=self.random.choice([0.1, 1, 3]))
        loaded_at = self.clock
        if newest and kind == "late":
            loaded_at = newest - self.random.random() * LOOK_BACK
        elif newest and kind == "latest":
            loaded_at = newest - LOOK_BACK
        elif newest and kind == "tie":
            times = [load.loaded_at for load in self.loads]
            loaded_at = self.random.choice([time for time in times if time >= newest - LOOK_BACK])
        # Load ids do not sort as the loads landed.
        load_id = f"{self.random.getrandbits(16):04x}-{next(self.names)}"
        return Load(load_id, loaded_at, [self._user() for _ in range(self.random.randint(1, 8))])

    def _user(self) -> Any:
        if self.random.random() < 0.15:
            return self.random.choice(BAD)
        user, city = self.random.choice(self.users), self.random.choice(CITIES)
        uuid = user["login"]["uuid"]
        place = {"street": {"number": 1, "name": "Ring"}, "city": city, "postcode": 1}
        position = {"coordinates": {"latitude": str(self.random.randint(-80, 80))}}
        return changed_user(
            user,
            login={"uuid": self.random.choice([uuid, uuid.upper()]), "username": self._word()},
            name={"first": self._word()},
            location=place | position | {"state": None, "country": None} if city else None,
        )

    def _word(self) -> str:
        return f"w{self.random.randint(1, 9)}"

    def expected_marts(self) -> dict[str, set[tuple[Any, ...]]]:
        """Return the rows that the marts must hold: the row of each key that landed last."""
        users, logins, locations = dict[str, Any](), dict[str, Any](), dict[str, Any]()
        used = filter(self._is_used, self.loads)
        for load in sorted(used, key=lambda load: (load.loaded_at, load.load_id)):
            metadata = (load.loaded_at, load.load_id)
            for user in (record for record in load.users if record not in BAD):
                key, location = user["login"]["uuid"].lower(), user["location"] or {}
                city = location["city"].strip().lower() if location else None
                users[key] = (user["name"]["first"], city, *metadata)
                logins[key] = (user["login"]["username"], *metadata)
                if city:
                    latitude = float(location["coordinates"]["latitude"])
                    locations[city] = (location["city"], latitude, *metadata)
        marts = {"users": users, "logins": logins, "locations": locations}
        return {name: {(k, *row) for k, row in rows.items()} for name, rows in marts.items()}
