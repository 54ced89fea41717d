"""The words of docs/benchmarks.md."""

from typing import NamedTuple


class Case(NamedTuple):
    """A case in words; `about` names in braces the sizes that its result tells."""

    title: str
    about: str


ABOUT = """# Benchmarks

Written by `make bench` (all of it) or `make bench ONLY=end-to-end` (one case anew). Ratios travel
from machine to machine, seconds don't: each ratio is taken from two runs that followed each other
on one machine. Shown are the median and, in brackets, the least and the greatest."""

HOW = """## How

- The sides take turns: theirs, ours, theirs, ours. Every run starts from empty tables (or from a
  copy of the same ones), and ends with a count of every table: a run that left any other number of
  rows, or in which a test failed, gives no figure. Caches of the operating system are left as they
  are.
- Time is wall-clock, from the start of the first program to the end of the last, the start of
  Python included. Not in it: starting the embedded BigQuery and the API, which are up
  already, and one `dbt parse` ahead of each run, ours and the peer's, because dbt keeps what it
  parsed between runs.
- Memory is the peak of the proportional share (PSS; shared pages count once), sampled every 30 ms
  or less often, summed over a process and all its children. "Memory" is the greater of the loader's
  and dbt's. "With the warehouse" adds, moment by moment, the embedded BigQuery, a process of its
  own. The others' warehouse, DuckDB, is inside their process, so **the figure with the warehouse is
  the fair one**; the one without it is what a machine needs that talks to the real BigQuery.
- The others run in an environment of their own, locked in `requirements/bench.txt`.
- Left out: the real BigQuery and the real API (neither can be measured fairly from a laptop), other
  destinations of dlt, other loaders, disk space."""

CASES = {
    "end-to-end": Case(
        "end to end: the API to tested tables",
        """{users} users over loopback HTTP, {page_users} a page and {concurrency} pages at once on
both sides; the same seed, so the same users. The answers are the fake API's, made beforehand
and served by a process of its own: to make a user up takes longer than to load one, and is no
work of a pipeline. Ours: `python -m ingest`, then `dbt build` with seed, models, snapshot and
data tests; unit tests test the SQL and not the data, and are left to development.

**dlt and dbt** do the same work on DuckDB, which no server stands in front of
(`benchmarks/peers/dlt_raw.py`, then `dbt build` of `benchmarks/peers/dbt_duckdb/`): dlt lands the
users raw, one row a user, and dbt-duckdb makes the same marts, merged on the same keys, the same
history and the same data tests. Each half is the fastest that we found. dlt passes Arrow tables on
as they are; that takes a quarter of the time of its own normalizing, which keeps no raw. DuckDB
takes a payload apart in one go, its types given, and dbt has as many threads as there are cores.
Where the two differ the peer does less: no contracts, no comments on columns, no failures kept, no
API before version 1.3, nobody to decide about a load that is held back.

**dlt alone** makes the tables users, logins and locations, merged on the key login.uuid. Its job is
the smaller one: it keeps no raw, tests no data, keeps no history. It is tuned as
[dlt's performance guide](https://dlthub.com/docs/reference/performance) says: pages instead of
rows, answers fetched in parallel, files that rotate, as many workers as cores for normalize and
load, large buffers, Parquet.""",
    ),
    "raw-landing": Case(
        "raw landing alone",
        """{many} users from saved answers of {page_users} each. Ours:
`python -m ingest --from-file`, which checks every answer and lands the payload as JSON. dlt by its
fastest path: the source yields Arrow tables with the payload as text and the other raw columns,
appended to DuckDB as Parquet. dlt is given the users one a line, so it has nothing to parse and
checks nothing. The landings over HTTP, the path that users have, show what the loader's memory
depends on; of the two columns of memory the first is the loader's.""",
    ),
    "limit": Case(
        "against the physical limit",
        """{users} users from files to tables, without tests. Ours: `python -m ingest --from-file`,
then `dbt run`. DuckDB alone: one Python process that reads the same users, one a line, into
typed tables users, logins and locations; it checks, merges and keeps no raw.""",
    ),
    "growth": Case(
        "growth of the history",
        """{few} new users (`python -m ingest --from-file`, then `dbt build`) on a history of {few}
("short") and of {many} ("long"): loads of 5,000, one an hour, the newest an hour old. The history
is landed in one go, given its loads and times by SQL, and built with `--full-refresh`; every run
starts from a copy.""",
    ),
    "fixed-cost": Case(
        "the fixed cost of a run",
        """Nothing new: the loader says "Already loaded", then `dbt build` looks at a history of
{few}, finds nothing to do and tests all data. `dbt parse` is dbt reading a project that it has read
before, what any command of dbt costs at least.""",
    ),
}
