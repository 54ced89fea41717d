"""The texts of docs/benchmarks.md."""

from typing import NamedTuple


class Case(NamedTuple):
    """The text of a case; `description` names in braces the sizes that its result holds."""

    title: str
    description: str


INTRODUCTION = """# Benchmarks

`make bench` measures all cases and writes this page; `make bench ONLY=end-to-end` measures one case
again. Ratios are comparable between machines, seconds are not: each ratio compares two runs that
followed each other on one machine. The page shows the median and, in brackets, minimum and maximum.
"Pipeline" is this project: the loader and dbt."""

METHOD = """## Method

- The sides take turns: peer, pipeline, peer, pipeline. Every run starts from empty tables (or from
  a copy of the same tables) and ends with a count of every table: a run that left another number of
  rows, or in which a test failed, gives no figure. The caches of the operating system are not
  cleared.
- Time is wall-clock time, from the start of the first program to the end of the last, the start of
  Python included. It excludes the start of the embedded BigQuery and of the API, which already run,
  and one `dbt parse` before each run of either side, because dbt keeps its parsed project between
  runs.
- Memory is the peak of the proportional set size (PSS, which counts shared pages once), sampled
  every 30 ms or less often, summed over a process and all its children. "Memory" is the higher of
  the loader's and dbt's. "With the warehouse" adds, sample by sample, the embedded BigQuery, which
  is a separate process. The peers' warehouse, DuckDB, runs inside their process, so **the figure
  with the warehouse is the fair comparison**; the figure without it is what a machine needs that
  uses the real BigQuery.
- The peers run in a virtual environment of their own, locked in `requirements/bench.txt`.
- Not measured: the real BigQuery and the real API (a laptop cannot measure them fairly), other
  destinations of dlt, other loaders, disk space."""

CASES = {
    "end-to-end": Case(
        "end to end: the API to tested tables",
        """{users} users over loopback HTTP, {page_users} a page and {concurrency} pages at once on
both sides; the same seed, so the same users. The responses are saved responses of the fake API,
served by a separate process: generating a user takes longer than loading it, and is not the work of
a pipeline. Pipeline: `python -m ingest`, then `dbt build` with seed, models, snapshot and data
tests; unit tests test the SQL and not the data, and belong to development.

**dlt and dbt** do the same work on DuckDB, which needs no server
(`benchmarks/peers/dlt_raw.py`, then `dbt build` of `benchmarks/peers/dbt_duckdb/`): dlt lands the
users raw, one row per user, and dbt-duckdb builds the same marts, merged on the same keys, the same
history and the same data tests. Each half is the fastest way that we found. dlt passes Arrow tables
on as they are; that takes a quarter of the time of its own normalizing, which keeps no raw. DuckDB
parses a payload once, with given types, and dbt has as many threads as the machine has cores.
Where the two differ the peer does less: no contracts, no comments on columns, no stored failures,
no API before version 1.3, no decision about a load that is held back.

**dlt alone** builds the tables users, logins and locations, merged on the key login.uuid. It does
less work: it keeps no raw, tests no data, keeps no history. It is tuned as
[dlt's performance guide](https://dlthub.com/docs/reference/performance) recommends: pages instead
of rows, responses fetched in parallel, files that rotate, as many workers as cores for normalize
and load, large buffers, Parquet.""",
    ),
    "raw-landing": Case(
        "raw landing alone",
        """{many} users from saved responses of {page_users} each. Pipeline:
`python -m ingest --from-file`, which validates every response and lands the payload as JSON. dlt by
its fastest path: the source yields Arrow tables with the payload as text and the other raw columns,
appended to DuckDB as Parquet. dlt reads NDJSON, one user a line, so it parses and validates
nothing. The landings over HTTP, the path of a real load, show what the loader's memory depends on;
of the two columns of memory the first is the loader's.""",
    ),
    "limit": Case(
        "against the physical limit",
        """{users} users from files to tables, without tests. Pipeline:
`python -m ingest --from-file`, then `dbt run`. DuckDB alone: one Python process that reads the same
users, one a line, into typed tables users, logins and locations; it validates nothing, merges
nothing and keeps no raw.""",
    ),
    "growth": Case(
        "growth of the history",
        """{few} new users (`python -m ingest --from-file`, then `dbt build`) on a history of {few}
("short") and of {many} ("long"): hourly loads of 5,000, the newest an hour old. The history is
landed as one load, split into hourly loads by SQL, and built with `--full-refresh`; every run
starts from a copy.""",
    ),
    "fixed-cost": Case(
        "the fixed cost of a run",
        """Nothing new: the loader prints "Already loaded", then `dbt build` reads a history of
{few}, finds nothing new and tests all data. `dbt parse` only reads a project that dbt has parsed
before; every command of dbt takes at least that long.""",
    ),
}
