"""Draws what an hourly run costs on BigQuery: `make cost`.

It prints Markdown. The statements are those that the project sends, recorded against the embedded
BigQuery; how wide columns are is measured there, and how much is read of them is counted.
"""

import math
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from reads import Read, Reader
from statements import ROOT, Recording, Statement, record

from local.__main__ import PROJECT
from local.api import serve
from local.bigquery import bigquery as embedded_bigquery

USERS = (10**4, 10**6, 10**8)
USERS_AN_HOUR, RUNS_A_MONTH = 5_000, 730
HOURS = {"DAY": 24.0, "MONTH": 730.5}  # of a partition
LOOKBACK = yaml.safe_load((ROOT / "dbt_project.yml").read_text())["vars"]["lookback_hours"] + 1
MB, TIB, DOLLARS = 2**20, 2**40, 6.25  # a TiB
LEAST = 10 * MB  # a table and statement
SIZES = {"STRING": "2 + byte_length({0})", "JSON": "byte_length(to_json_string({0}))"}
STEPS = {
    r"^\s*(create or replace view|alter table)|\blimit 0\s*$": "(reads nothing)",
    r"^select count\(\*\) as n from \S+$": "(reads nothing)",
    r"^\s*select users_landed": "landed already?",
    r"^\s*insert into `[^`]*\.(\w+)`": "insert into {}",
    r"max\(loaded_at\) as max_loaded_at": "freshness",
    r"^\s*select (timestamp_sub\(max\(loaded_at\)|min\(least\()": "newest row known",
    r"^\s*select min\(loaded_at\)": "oldest row touched",
    r"^\s*create or replace table .*__dbt_tmp": "what is new",
    r"^\s*merge into": "merge",
    r"^select (count\(\*\)|sum\(users_landed\)) as n": "rows",
    r"^select .* order by ": "all rows",
}


@dataclass
class Line:
    """A line of the page: what a run pays for, in bytes, at each number of users."""

    statements: int = 0
    billed: list[int] = field(default_factory=lambda: [0] * len(USERS))
    reads: set[str] = field(default_factory=set)


@dataclass
class Table:
    """Average bytes of a table's columns, and its rows in the embedded BigQuery."""

    widths: dict[str, float]
    rows: int


def lines(recording: Recording, client: bigquery.Client) -> dict[str, Line]:
    """Return what is paid for, by step; those that `publish` sends have names that begin so."""
    start = Reader(recording.tables)
    tables, found, seen = dict[str, Table](), dict[str, Line](), set[str]()
    for name in recording.tables:
        if partitioning := "landing_" not in name and client.get_table(name).time_partitioning:
            start.partitions[name] = str(partitioning.type_)
    for statement in recording.statements:
        if (statement.node_id or "").startswith("unit_test."):
            continue
        reads = start.read(statement)
        if statement.phase != "incremental":
            continue
        published = statement.file.startswith("publish/")
        if published and statement.sql in seen:
            continue  # the same for `publish csv` and for `publish csv --with-secrets`
        seen.add(statement.sql)
        reads = {name: read for name, read in reads.items() if read.columns}
        for name in {_kept(it) for it in reads} - set(tables):
            tables[name] = _measured(client, name)
        line = found.setdefault(_step(recording, statement, reads), Line())
        line.statements += 1
        line.reads |= {f"{_short(it)} {_window(it, read)}" for it, read in reads.items()}
        for index, users in enumerate(USERS):
            for name, read in reads.items():
                table, unit = tables[_kept(name)], start.partitions.get(name)
                width = sum(table.widths.get(it, 8) for it in read.columns)
                width += sum(table.widths.values()) if read.rewritten else 0
                size = width * _rows(name, read, table, unit, users / USERS_AN_HOUR)
                line.billed[index] += max(LEAST, math.ceil(size / MB) * MB)
    return found


def _rows(name: str, read: Read, table: Table, unit: str | None, history: float) -> float:
    """Return how many rows of a table are read when the history is so many hours long."""
    if _kept(name) != name:  # made by the run: of what one load, or the look-back, brought
        return USERS_AN_HOUR * (1 if "landing_" in name else min(LOOKBACK, history))
    if unit is None:  # one row a load, or a seed
        return history if name.endswith(".loads") else table.rows
    # The bound lies anywhere in its partition, of which all is read: the mean of that.
    before = min(max(history - _hours(read), 0), HOURS[unit])
    hours = _hours(read) + before - before**2 / (2 * HOURS[unit]) if before else history
    return USERS_AN_HOUR * hours


def _hours(read: Read) -> float:
    """Return how far back a read goes in an hourly run: its declared window."""
    if read.hours <= LOOKBACK:
        return float(LOOKBACK)
    return read.hours if math.isinf(read.hours) else float(round(read.hours / 24) * 24)


def _window(name: str, read: Read) -> str:
    hours = _hours(read)
    if _kept(name) != name:
        return "new"
    if math.isinf(hours):
        return "all"
    return f"{hours:.0f} h" if hours < 24 else f"{hours / 24:.0f} d"


def _kept(name: str) -> str:
    """Return the table that has the columns of one that is dropped after the run."""
    return re.sub(r"__dbt_tmp\w*$", "", re.sub(r"\.landing_\w+$", ".users", name))


def _short(name: str) -> str:
    dataset, table = _kept(name).split(".")[1:]
    return f"raw.{table}" if dataset.startswith("raw") else table.replace("randomuser__", "")


def _measured(client: bigquery.Client, name: str) -> Table:
    columns = {it.name: it.field_type for it in client.get_table(name).schema}
    sizes = [
        f"avg(if({it} is null, 0, {SIZES.get(kind, '8').format(it)})) as {it}"
        for it, kind in columns.items()
    ]
    sql = f"select {', '.join(sizes)}, count(*) as all_rows from `{name}`"  # noqa: S608
    row = dict(next(iter(client.query_and_wait(sql))))
    return Table({it: float(row[it] or 0) for it in columns}, row["all_rows"])


def _step(recording: Recording, statement: Statement, reads: dict[str, Read]) -> str:
    node_id = statement.node_id or ""
    if node_id.startswith("test."):
        node = recording.manifest["nodes"][node_id]
        tested = node.get("attached_node") or node_id
        if "source_" in node_id:
            tested = node["depends_on"]["nodes"][0]
        everything = any(math.isinf(_hours(it)) for it in reads.values())
        label = "tests of all rows" if everything else "tests of recent rows"
        return f"{_node(tested)}: {label}" if reads else "(reads nothing)"
    sql = re.sub(r"/\*.*?\*/|--.*", "", statement.sql)
    for pattern, meaning in STEPS.items():
        if match := re.search(pattern, sql, re.DOTALL | re.IGNORECASE):
            step = meaning.format(*match.groups())
            if step.startswith("("):
                return step
            if statement.file.startswith("publish/"):
                secrets = " with secrets" if "password" in sql else ""
                kinds = {"csv_files": "csv", "report": "report"}  # the other files are alert's
                kind = kinds.get(Path(statement.file).stem, "alert")
                return f"publish {kind}: {_short(next(iter(reads)))}{secrets}"
            return f"{_node(node_id) if node_id else 'ingest'}: {step}"
    raise NotImplementedError(f"what is this for? {statement.sql[:200]}")


def _node(node_id: str) -> str:
    kind, _, *names = node_id.split(".")
    return ("raw." if kind == "source" else "") + names[-1 if kind == "source" else 0].replace(
        "randomuser__", ""
    )


def size(amount: float) -> str:
    """Return bytes for people, in BigQuery's MB of 2^20."""
    amount, unit = (amount / MB, "MB") if amount < 1000 * MB else (amount / MB / 1024, "GB")
    digits = 0 if unit == "MB" or amount >= 100 else 2 if amount < 10 else 1
    return f"{amount:,.{digits}f} {unit}"


def price(amount: float) -> float:
    """Return dollars for bytes."""
    return amount / TIB * DOLLARS


def sums(of: Iterable[Line]) -> list[int]:
    """Return the sum of lines, at each number of users."""
    chosen = list(of)
    return [sum(it.billed[index] for it in chosen) for index in range(len(USERS))]


def _table(of: dict[str, Line], total: str) -> str:
    rows = [
        "| step | statements | reads | 10⁴ users | 10⁶ users | 10⁸ users |",
        "| --- | --: | --- | --: | --: | --: |",
    ]
    for name, it in sorted(of.items(), key=lambda item: (-item[1].billed[-1], item[0])):
        cells = [name, str(it.statements), ", ".join(sorted(it.reads)), *map(size, it.billed)]
        rows.append(f"| {' | '.join(cells)} |")
    summed = [it for name, it in of.items() if not name.endswith(" with secrets")]
    count, whole = sum(it.statements for it in summed), sums(summed)
    for name, cells in {
        total: [str(count), "", *map(size, whole)],
        "price": ["", "", *(f"${price(it):,.4f}" for it in whole)],
        "price of a month": ["", "", *(f"${price(it) * RUNS_A_MONTH:,.2f}" for it in whole)],
    }.items():
        rows.append(f"| **{name}** | {' | '.join(cells)} |")
    return "\n".join(rows)


def page(of: dict[str, Line]) -> str:
    """Return the page."""
    run = {name: it for name, it in of.items() if not name.startswith("publish ")}
    published = {name: it for name, it in of.items() if name not in run}
    whole = sums(run.values())[-1]

    def part(pattern: str) -> str:
        billed = sums(it for name, it in of.items() if re.search(pattern, name))[-1]
        return f"{size(billed)} | {price(billed) * RUNS_A_MONTH:,.0f}"

    dearest = sorted(run.items(), key=lambda item: -item[1].billed[-1])[:4]
    return TEXT.format(
        run=_table(run, "a run"),
        publish=_table(published, "csv, report and alert"),
        dearest="\n".join(f"- {name}: {it.billed[-1] / whole:.0%}" for name, it in dearest),
        snapshot=part("^users_history: (?!tests)"),
        tests=part(": tests of all rows"),
        oldest=part(": oldest row touched"),
        csv=part("^publish csv: (?!.*secrets)"),
        lookback=LOOKBACK - 1,
        hours=LOOKBACK,
    )


TEXT = """# What an hourly run costs

Bytes that BigQuery bills for each statement, by its on-demand rules, at 10⁴, 10⁶ and 10⁸ users of
history. Drawn from the statements that a second run sends; `make cost` draws it anew, and a test
fails when it no longer fits. Nothing here was measured on BigQuery: a dry run says what it bills.

Every hour brings 5,000 new users and none that is known, so 10⁴ users are 2 hours of history, 10⁶
are 200 hours and 10⁸ are 20,000 hours (2.3 years). MB and GB are BigQuery's, 2²⁰ and 2³⁰ bytes.
The first TiB of a month is free; it is not taken off. Loading, storage and metadata are left out:
the first and the last are free.

## Ingest, freshness, build

"users 3 d" is read from 3 days ago on, "all" is read whole, "new" holds what the run found: it is
a table of one load, or of the {hours} hours that are looked at again.

{run}

## Publish

`publish csv` reads each mart whole, the logins without secrets; `--with-secrets` reads them with
secrets instead, which is not in the sum. `publish report` counts the rejected and reads the ledger;
to count the rows of a mart reads no column. `publish alert` looks for unfinished loads, of the last
30 days, and for what it said.

{publish}

## What dominates at 10⁸, and the levers

The dearest of a run at 10⁸ users:

{dearest}

What carries a bound stays at what it reads of a month at most; the rest grows with the history.

| lever | bytes a run | $ a month | what it takes |
| --- | --: | --: | --- |
| snapshot daily | {snapshot} | 1/24; a version that lives for less than a day is not seen |
| tests of all rows daily | {tests} | 1/24; a doubled key is seen a day later |
| (looking for the oldest row) | {oldest} | no lever: without it a merge is billed all partitions |
| `publish csv` when needed | {csv} | whoever needs the files runs it |

At 10⁴ users it is the minimum of 10 MB a table that is paid for, and nothing but fewer statements
helps.

## The formula

A statement is billed, for each table that it reads a column of,

    max(10 MB, rows * (width of the columns read + width of all columns, if it rewrites))

rounded up to full MB, and costs $6.25 for 2⁴⁰ bytes
([prices](https://cloud.google.com/bigquery/pricing), on demand, region US).

- Columns: those that the statement needs, views put in, as sqlglot resolves them. `count(*)` by
  itself needs none, and dbt's `limit 0` reads nothing.
- Width: the average over 110 users in the embedded BigQuery by
  [BigQuery's sizes](https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types#data_type_sizes):
  2 + UTF-8 bytes for a string, the bytes of its text for JSON, 8 for numbers, dates and
  timestamps, 0 for a null.
- It rewrites: a `merge` with an `update` is billed the columns it reads and, on top, all columns
  of the [partitions that it may update](https://cloud.google.com/bigquery/docs/reference/standard-sql/dml-syntax#on-demand_query_size_calculation):
  those from its bound on, or all where it has none.
- Rows: 5,000 times the hours read. Without a bound these are all; with one of *h* hours ago they
  begin with the partition that holds the bound, which on average adds half a partition of *P*
  hours (24 in raw and base, 730.5 in the marts and the history): *h + P/2*. A history of *H*
  hours that ends within that partition gives *h + x - x²/2P* with *x = H - h*, the mean of
  min(*H*, *h* + 0 ... *P*).
- *h*: {hours} for the look-back ({lookback} hours before a newest row that is an hour old), and the
  days that tests, freshness and the loader name.
- A table that a statement reads twice counts once, with all that either reads.
- Clustering spares more, by what nobody can tell before; it is not counted.
"""


def main() -> None:
    """Print the page."""
    with (
        TemporaryDirectory() as folder,
        embedded_bigquery(Path(folder, "bigquery")) as warehouse_url,
        serve() as api_url,
    ):
        recording = record(warehouse_url, api_url, Path(folder))
        if recording.failed:
            sys.exit(recording.failed)
        client = bigquery.Client(
            PROJECT,
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
            client_options={"api_endpoint": warehouse_url},
        )
        print(page(lines(recording, client)), end="")


if __name__ == "__main__":
    main()
