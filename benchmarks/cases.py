"""The five cases. Each measures its sides in turn, round by round, and checks every outcome."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmarks.history import build_history
from benchmarks.measure import Cost
from benchmarks.peer_runs import MARTS, RAW, TABLES, run_peer
from benchmarks.pipeline import start_pipeline
from benchmarks.responses import CONCURRENCY, LOAD_ID, PASSWORD, SEED, SavedResponses
from ingest.api import PAGE_USERS

Runs = dict[str, list[Cost]]
"""For each side the costs of its rounds, in order."""


@dataclass(frozen=True)
class Sizes:
    """How many users and rounds a case takes; the goals are set for the defaults."""

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

    def measure(self, side: str, run: Callable[[], Cost], *, keep: bool = True) -> None:
        """Run one side once and keep its cost, unless the run is a warm-up."""
        cost = run()
        if keep:
            self.runs[side].append(cost)
        print(f"  {side}: {cost.seconds:.2f} s{'' if keep else ' (warm-up)'}", flush=True)

    def responses(self, users: int, after: int = 0) -> SavedResponses:
        """Return saved responses, which all cases share."""
        return SavedResponses(self.folder / "responses", users, after)


def _http_options(users: int) -> tuple[str, ...]:
    return ("--users", str(users), "--load-id", LOAD_ID)


def end_to_end(bench: Bench) -> None:
    """From the API over HTTP to tested tables, against dlt with dbt on DuckDB, and dlt alone."""
    users = bench.sizes.users
    with bench.responses(users).serve() as url:

        def run_pipeline(users: int) -> Cost:
            with start_pipeline(bench.folder / "pipeline", url) as pipeline:
                cost = pipeline.ingest(*_http_options(users)) + pipeline.build()
                pipeline.check_rows(users)
                return cost

        def run_dlt(script: str, users: int, tables: Sequence[str], *, with_dbt: bool) -> Cost:
            arguments = (url, SEED, PASSWORD, str(users), str(PAGE_USERS), str(CONCURRENCY))
            folder = bench.folder / "peer"
            return run_peer(
                script, folder, *arguments, users=users, tables=tables, with_dbt=with_dbt
            )

        def run_dlt_and_dbt(users: int) -> Cost:
            return run_dlt("dlt_raw", users, RAW + MARTS, with_dbt=True)

        def run_dlt_alone(users: int) -> Cost:
            return run_dlt("dlt_relational", users, TABLES, with_dbt=False)

        sides = {"dlt and dbt": run_dlt_and_dbt, "pipeline": run_pipeline, "dlt": run_dlt_alone}
        for side, run in sides.items():
            bench.measure(side, partial(run, 1_000), keep=False)
        for _ in range(bench.sizes.rounds):
            for side, run in sides.items():
                bench.measure(side, partial(run, users))


def raw_landing(bench: Bench) -> None:
    """From saved responses to raw, against dlt with Arrow tables; the loader's memory over HTTP."""
    responses = bench.responses(bench.sizes.many)

    def run_pipeline(users: int, url: str = "") -> Cost:
        options = _http_options(users) if url else ("--from-file", *responses.pages)
        with start_pipeline(bench.folder / "pipeline", url) as pipeline:
            cost = pipeline.ingest(*options)
            pipeline.check_rows(users, has_marts=False)
            return cost

    def run_dlt() -> Cost:
        folder = bench.folder / "peer"
        return run_peer("dlt_raw", folder, *responses.ndjson, users=responses.users, tables=RAW)

    for _ in range(bench.sizes.rounds):
        bench.measure("pipeline", lambda: run_pipeline(responses.users))
        bench.measure("dlt", run_dlt)
    with responses.serve() as url:
        for users in (*bench.sizes.landings, responses.users):
            bench.measure(f"pipeline over HTTP, {users:,}", partial(run_pipeline, users, url))


def limit(bench: Bench) -> None:
    """From saved responses to tables without tests, against DuckDB alone."""
    responses = bench.responses(bench.sizes.users)

    def run_pipeline() -> Cost:
        with start_pipeline(bench.folder / "pipeline") as pipeline:
            cost = pipeline.ingest("--from-file", *responses.pages) + pipeline.dbt("run")
            pipeline.check_rows(responses.users)
            return cost

    def run_duckdb() -> Cost:
        folder, files = bench.folder / "peer", responses.ndjson
        return run_peer("duckdb_alone", folder, *files, users=responses.users, tables=TABLES)

    bench.measure("DuckDB", run_duckdb, keep=False)
    for _ in range(bench.sizes.rounds):
        bench.measure("pipeline", run_pipeline)
        bench.measure("DuckDB", run_duckdb)


def growth(bench: Bench) -> None:
    """5,000 new users on top of a short history and of a long history."""
    few, many = bench.sizes.few, bench.sizes.many
    new = bench.responses(few, after=many)
    histories = {
        users: build_history(bench.folder / f"history-{users}", bench.responses(users))
        for users in (few, many)
    }

    def run_pipeline(users: int) -> Cost:
        with start_pipeline(bench.folder / "pipeline", history=histories[users]) as pipeline:
            cost = pipeline.ingest("--from-file", *new.pages) + pipeline.build()
            pipeline.check_rows(users + few)
            return cost

    bench.measure("short", lambda: run_pipeline(few), keep=False)
    for _ in range(bench.sizes.rounds):
        bench.measure("short", lambda: run_pipeline(few))
        bench.measure("long", lambda: run_pipeline(many))


def fixed_cost(bench: Bench) -> None:
    """A run that finds nothing new, against dbt that only reads the project."""
    few = bench.sizes.few
    responses = bench.responses(few)
    with start_pipeline(bench.folder / "pipeline") as pipeline:

        def load() -> Cost:
            return pipeline.ingest("--from-file", *responses.pages)

        load()
        pipeline.build()
        for number in range(bench.sizes.rounds + 1):
            is_warm = number > 0
            bench.measure("nothing new", lambda: load() + pipeline.build(), keep=is_warm)
            bench.measure("dbt parse", lambda: pipeline.dbt("parse"), keep=is_warm)
            pipeline.check_rows(few)


CASES: dict[str, Callable[[Bench], None]] = {
    "end-to-end": end_to_end,
    "raw-landing": raw_landing,
    "limit": limit,
    "growth": growth,
    "fixed-cost": fixed_cost,
}
