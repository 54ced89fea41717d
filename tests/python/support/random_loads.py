"""Random loads from a seed, and the rows that the marts must hold after them."""

from datetime import UTC, datetime, timedelta
from itertools import zip_longest
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
        # Recent, or older than what a run reads first, with gaps in which nothing landed.
        self.is_old = self.random.random() < 0.5
        self.clock = datetime.now(UTC) - timedelta(days=60 if self.is_old else 2)

    def next_loads(self) -> list[Load]:
        """Return the loads that land before the next run; none is later than the look-back."""
        self.clock += timedelta(days=self.random.choice([0, 6]) if self.is_old else 0)
        times = sorted(load.loaded_at for load in self.loads)
        loads = [self._load(times) for _ in range(self.random.randint(1, 4))]
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

    def _load(self, times: list[datetime]) -> Load:
        self.clock += timedelta(hours=self.random.choice([0.1, 1, 3]))
        choices = [self.clock, self.clock]
        if times:
            start, share = times[-1] - LOOK_BACK, self.random.random()
            tie = self.random.choice([time for time in times if time >= start])
            choices += [start, start + share * LOOK_BACK, tie]
        load_id = f"{self.random.getrandbits(32):x}"  # does not sort as the loads landed
        users = [self._user() for _ in range(self.random.randint(1, 8))]
        return Load(load_id, self.random.choice(choices), users)

    def _user(self) -> Any:
        if self.random.random() < 0.15:
            return self.random.choice(BAD)
        user, city = self.random.choice(self.users), self.random.choice(CITIES)
        uuid = user["login"]["uuid"]
        place = {"street": {"number": 1, "name": "Ring"}, "city": city, "postcode": 1}
        position = {"coordinates": {"latitude": str(self.random.randint(-80, 80))}}
        return changed_user(
            user,
            login={"uuid": self.random.choice([uuid, uuid.upper()])},
            name={"first": f"w{self.random.randint(1, 9)}"},
            location=place | position | {"state": None, "country": None} if city else None,
        )

    def expected_marts(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return the rows that the marts must hold: the row of each key that landed last.

        Of a user who changed, the history has each version since the load that brought it. `logins`
        has the SQL of the other marts.
        """
        users, locations = dict[str, Any](), dict[str, Any]()
        history = dict[str, list[tuple[Any, ...]]]()
        used = filter(self._is_used, self.loads)
        for load in sorted(used, key=lambda load: (load.loaded_at, load.load_id)):
            metadata = (load.loaded_at, load.load_id)
            for user in (record for record in load.users if record not in BAD):
                city = user["location"] and user["location"]["city"].strip().lower()
                users[user["login"]["uuid"].lower()] = (user["name"]["first"], city, *metadata)
                if city:
                    latitude = float(user["location"]["coordinates"]["latitude"])
                    locations[city] = (user["location"]["city"], latitude, *metadata)
            for key, (*values, _, load_id) in users.items():
                versions = history.setdefault(key, [])
                if load_id == load.load_id and values not in [[*v[:2]] for v in versions[-1:]]:
                    versions.append((*values, load.loaded_at))
        marts = {"users": users, "locations": locations}
        rows = {name: [(key, *row) for key, row in mart.items()] for name, mart in marts.items()}
        rows["users_history"] = [
            (key, *version, following and following[2])
            for key, versions in history.items()
            for version, following in zip_longest(versions, versions[1:])
        ]
        return rows
