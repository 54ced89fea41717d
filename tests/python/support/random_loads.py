"""Random loads from a seed, and the rows that the marts must hold after them."""

from datetime import UTC, datetime, timedelta
from itertools import count, zip_longest
from random import Random
from typing import Any

from support.factories import Load, changed_user

LOOK_BACK = timedelta(hours=6)
CITIES = ["Graz", " graz ", "GRAZ", "Linz", "Bern", "bern", None]  # three addresses, and none
BAD: list[Any] = ["text", 7, {}, {"login": {"uuid": "7", "username": "u", "password": "p"}}]


class RandomLoads:
    """Loads in random order: late loads, ties, repeated users, shared addresses, bad records.

    A load with bad records is held back, until it is accepted in a later run or never. A load that
    the marts have may be set aside, and accepted again.
    """

    def __init__(self, seed: int, users: list[dict[str, Any]]) -> None:
        self.random = Random(seed)
        self.users = users
        self.loads: list[Load] = []
        self.decisions = dict[str, str]()
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

    def next_decisions(self) -> dict[str, str]:
        """Return what somebody decides now (`clock`), by load."""
        decisions = {
            load.load_id: "set aside" if self._is_used(load) else "accepted"
            for load in self.loads
            if self.random.random() < (0.2 if self._is_used(load) else 0.5)
        }
        self.decisions |= decisions
        return decisions

    def _is_used(self, load: Load) -> bool:
        decision = self.decisions.get(load.load_id)
        is_good = not any(user in BAD for user in load.users)
        return decision == "accepted" or (is_good and decision is None)

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

    def expected_marts(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return the rows that the marts must hold: the row of each key that landed last.

        Of a user who changed, the history has each version since the load that brought it.
        """
        users, logins, locations = dict[str, Any](), dict[str, Any](), dict[str, Any]()
        history = dict[str, list[tuple[Any, ...]]]()
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
            for key, (name, city, _, load_id) in users.items():
                versions = history.setdefault(key, [])
                is_known = (name, city) in [version[:2] for version in versions[-1:]]
                if load_id == load.load_id and not is_known:
                    versions.append((name, city, load.loaded_at))
        marts = {"users": users, "logins": logins, "locations": locations}
        rows = {name: [(key, *row) for key, row in mart.items()] for name, mart in marts.items()}
        rows["users_history"] = [
            (key, *version, following and following[2])
            for key, versions in history.items()
            for version, following in zip_longest(versions, versions[1:])
        ]
        return rows
