"""The four cases. Each measures its sides in turn, round by round, and checks every outcome."""

from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.measure import Step
from benchmarks.responses import serve
from benchmarks.sides import PEER, PEER_ON_DUCKDB, PIPELINE, Side, open_sides


@dataclass(frozen=True)
class Sizes:
    """How many users and rounds a case takes; the goals are set for the defaults."""

    users: int = 200_000
    many: int = 1_000_000
    few: int = 5_000
    rounds: int = 3


QUICK = Sizes(users=4_000, many=8_000, few=1_000, rounds=1)


@dataclass
class Bench:
    """Where the cases work, how large they are, and what they have measured."""

    folder: Path
    sizes: Sizes
    runs: dict[str, list[list[Step]]] = field(default_factory=lambda: defaultdict(list))
    """For each line of the page the runs, and for each run its steps."""
    hourly: dict[str, Any] = field(default_factory=dict)
    """For each side the jobs of an hourly run on BigQuery, and their price."""

    def keep(self, line: str, *steps: Step) -> None:
        """Keep a run."""
        self.runs[line].append(list(steps))
        print(f"  {line}: {sum(step.seconds for step in steps):.2f} s", flush=True)

    def open(self, *names: str, history: Path | None = None) -> AbstractContextManager[list[Side]]:
        """Open sides in the folder of a run."""
        return open_sides(self.folder / "run", *names, history=history)

    def serve(self, users: int, after: int = 0) -> AbstractContextManager[str]:
        """Serve saved responses, which all cases share."""
        return serve(self.folder / "responses", users, after)


def end_to_end(bench: Bench) -> None:
    """From the API over HTTP to tested tables."""
    for users in (bench.sizes.users, bench.sizes.many):
        names = [PEER, PIPELINE] + [PEER_ON_DUCKDB] * (users == bench.sizes.users)
        with bench.serve(users) as api:
            for name in names * bench.sizes.rounds:
                with bench.open(name) as (side,):
                    steps = side.land(api, users), side.build()
                    side.check(users)
                bench.keep(f"{name}, {users:,}", *steps)


def landing(bench: Bench) -> None:
    """From the API over HTTP to raw."""
    users = bench.sizes.users
    with bench.serve(users) as api:
        for name in [PEER, PIPELINE] * bench.sizes.rounds:
            with bench.open(name) as (side,):
                step = side.land(api, users)
                side.check(users, has_marts=False)
            bench.keep(name, step)


def growth(bench: Bench) -> None:
    """New users on top of a short history and of a long history."""
    few, many = bench.sizes.few, bench.sizes.many
    histories = {users: _build_history(bench, users) for users in (few, many)}
    with bench.serve(few, after=many) as api:
        for users in [few, many] * bench.sizes.rounds:
            with bench.open(PIPELINE, history=histories[users]) as (side,):
                steps = side.land(api, few), side.build()
                side.check(users + few)
            bench.keep(f"on {users:,}", *steps)


def _build_history(bench: Bench, users: int) -> Path:
    """Return the folder of tables with `users` users, in hourly loads, the newest an hour old.

    They land as one load, because so many loads would take hours and all be new.
    """
    folder, few = bench.folder / f"history-{users}", bench.sizes.few
    hour = f"div(record_index, {few})"
    loaded_at = f"timestamp_sub(current_timestamp(), interval ({users // few} - {{}}) hour)"
    split_users = f"""
        update raw_randomuser.users
        set
            load_id = concat('hour-', cast({hour} as string)),
            record_index = mod(record_index, {few}),
            fetched_at = {loaded_at.format(hour)},
            loaded_at = {loaded_at.format(hour)}
        where loaded_at >= timestamp '1970-01-01 00:00:00+00'"""
    split_ledger = f"""
        insert into raw_randomuser.loads
        select loads.* replace (
            concat('hour-', cast(hour as string)) as load_id,
            {few} as users_asked, {few} as users_received, {few} as users_landed,
            {loaded_at.format("hour")} as started_at, {loaded_at.format("hour")} as loaded_at)
        from raw_randomuser.loads as loads
        cross join unnest(generate_array(0, {users // few} - 1)) as hour"""
    delete = "delete from raw_randomuser.loads where load_id = 'history'"
    with bench.serve(users) as api, open_sides(folder, PIPELINE) as (side,):
        side.land(api, users, "history")
        for statement in (split_users, split_ledger, delete):
            side.warehouse.client.query_and_wait(statement)
        side.build("--full-refresh")
        side.check(users)
    return folder


def nothing_new(bench: Bench) -> None:
    """A build that finds nothing new; before it, counted but not timed, an hourly run."""
    users, few, rounds = bench.sizes.users, bench.sizes.few, bench.sizes.rounds
    with (
        bench.serve(users - few) as old,
        bench.serve(few, after=users - few) as new,
        bench.open(PEER, PIPELINE) as sides,
    ):
        for side in sides:
            side.land(old, users - few, "history")
            side.build()
        for side in sides:
            jobs_before = len(side.warehouse.jobs())
            steps = side.land(new, few), side.build()
            bench.hourly[side.name] = {"steps": steps, "price": side.warehouse.price(jobs_before)}
        for number in range(rounds + 1):  # the first round warms up
            for side in sides:
                step = side.build()
                if number:
                    bench.keep(f"{side.name}, {users:,}", step)
        for side in sides:
            side.check(users)
    with bench.serve(few) as api, bench.open(PIPELINE) as (side,):
        side.land(api, few)
        side.build()
        for _ in range(rounds):
            bench.keep(f"{PIPELINE}, {few:,}", side.land(api, few), side.build())
            bench.keep("dbt parse", side.parse())
        side.check(few)


CASES: dict[str, Callable[[Bench], None]] = {
    "end-to-end": end_to_end,
    "landing": landing,
    "growth": growth,
    "nothing-new": nothing_new,
}
