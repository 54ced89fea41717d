"""The five cases. Each measures its sides in turn, round by round, and checks every outcome."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmarks.answers import CONCURRENCY, LOAD_ID, PASSWORD, SEED, Answers
from benchmarks.history import make
from benchmarks.measure import Cost
from benchmarks.ours import started
from benchmarks.theirs import MARTS, RAW, TABLES, peer
from ingest.api import PAGE_USERS

Runs = dict[str, list[Cost]]
"""For each side the costs of its rounds, in order."""


@dataclass(frozen=True)
class Sizes:
    """How many users and rounds a case takes; the goals speak of the defaults."""

    users: int = 200_000
    many: int = 1_000_000
    few: int = 5_000
    rounds: int = 3
    landings: tuple[int, ...] = (10_000, 100_000)
    """Landings over HTTP besides `many`, to see what the loader's memory depends on."""


QUICK = Sizes(users=10_000, many=20_000, rounds=1, landings=(5_000, 10_000))


@dataclass
class Bench:
    """Where the cases work, how large they are, and what they have measured."""

    folder: Path
    sizes: Sizes
    runs: Runs = field(default_factory=lambda: defaultdict(list))

    def measure(self, side: str, measured: Callable[[], Cost], *, keep: bool = True) -> None:
        """Measure one side once and keep the figure, unless it was to warm up."""
        cost = measured()
        if keep:
            self.runs[side].append(cost)
        print(f"  {side}: {cost.seconds:.2f} s{'' if keep else ' (warm-up)'}", flush=True)

    def answers(self, users: int, after: int = 0) -> Answers:
        """Saved answers; they are kept from case to case."""
        return Answers(self.folder / "answers", users, after)


def _asked(users: int) -> tuple[str, ...]:
    return ("--users", str(users), "--load-id", LOAD_ID)


def end_to_end(bench: Bench) -> None:
    """From the API over HTTP to tested tables, against dlt with dbt on DuckDB, and dlt alone."""
    users = bench.sizes.users
    with bench.answers(users).served() as url:

        def ours(users: int) -> Cost:
            with started(bench.folder / "ours", url) as project:
                cost = project.ingest(*_asked(users)) + project.build()
                project.expect(users)
                return cost

        def theirs(script: str, users: int, tables: Sequence[str], *, with_dbt: bool) -> Cost:
            asked = (url, SEED, PASSWORD, str(users), str(PAGE_USERS), str(CONCURRENCY))
            folder = bench.folder / "theirs"
            return peer(script, folder, *asked, users=users, tables=tables, with_dbt=with_dbt)

        def dlt_and_dbt(users: int) -> Cost:
            return theirs("dlt_raw", users, RAW + MARTS, with_dbt=True)

        def dlt(users: int) -> Cost:
            return theirs("dlt_relational", users, TABLES, with_dbt=False)

        sides = {"dlt and dbt": dlt_and_dbt, "ours": ours, "dlt": dlt}
        for side, run in sides.items():
            bench.measure(side, partial(run, 1_000), keep=False)
        for _ in range(bench.sizes.rounds):
            for side, run in sides.items():
                bench.measure(side, partial(run, users))


def raw_landing(bench: Bench) -> None:
    """From saved answers to raw, against dlt given Arrow tables; the loader's memory over HTTP."""
    answers = bench.answers(bench.sizes.many)

    def ours(users: int, url: str = "") -> Cost:
        with started(bench.folder / "ours", url) as project:
            cost = project.ingest(*(_asked(users) if url else ("--from-file", *answers.files)))
            project.expect(users, built=False)
            return cost

    def dlt() -> Cost:
        folder = bench.folder / "theirs"
        return peer("dlt_raw", folder, *answers.lines, users=answers.users, tables=RAW)

    for _ in range(bench.sizes.rounds):
        bench.measure("ours", lambda: ours(answers.users))
        bench.measure("dlt", dlt)
    with answers.served() as url:
        for users in (*bench.sizes.landings, answers.users):
            bench.measure(f"ours over HTTP, {users:,}", partial(ours, users, url))


def limit(bench: Bench) -> None:
    """From saved answers to tables without tests, against DuckDB alone."""
    answers = bench.answers(bench.sizes.users)

    def ours() -> Cost:
        with started(bench.folder / "ours") as project:
            cost = project.ingest("--from-file", *answers.files) + project.dbt("run")
            project.expect(answers.users)
            return cost

    def duckdb() -> Cost:
        folder = bench.folder / "theirs"
        return peer("duckdb_alone", folder, *answers.lines, users=answers.users, tables=TABLES)

    bench.measure("DuckDB", duckdb, keep=False)
    for _ in range(bench.sizes.rounds):
        bench.measure("ours", ours)
        bench.measure("DuckDB", duckdb)


def growth(bench: Bench) -> None:
    """5,000 new users on top of a short history and of a long one."""
    few, many = bench.sizes.few, bench.sizes.many
    new = bench.answers(few, after=many)
    states = {n: make(bench.folder / f"history-{n}", bench.answers(n)) for n in (few, many)}

    def ours(users: int) -> Cost:
        with started(bench.folder / "ours", state=states[users]) as project:
            cost = project.ingest("--from-file", *new.files) + project.build()
            project.expect(users + few)
            return cost

    bench.measure("short", lambda: ours(few), keep=False)
    for _ in range(bench.sizes.rounds):
        bench.measure("short", lambda: ours(few))
        bench.measure("long", lambda: ours(many))


def fixed_cost(bench: Bench) -> None:
    """A run that finds nothing new, against dbt doing nothing but reading the project."""
    few = bench.sizes.few
    answers = bench.answers(few)
    with started(bench.folder / "ours") as project:

        def load() -> Cost:
            return project.ingest("--from-file", *answers.files)

        load()
        project.build()
        for number in range(bench.sizes.rounds + 1):
            warm = number > 0
            bench.measure("nothing new", lambda: load() + project.build(), keep=warm)
            bench.measure("dbt parse", lambda: project.dbt("parse"), keep=warm)
            project.expect(few)


CASES: dict[str, Callable[[Bench], None]] = {
    "end-to-end": end_to_end,
    "raw-landing": raw_landing,
    "limit": limit,
    "growth": growth,
    "fixed-cost": fixed_cost,
}
