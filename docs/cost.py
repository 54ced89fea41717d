"""What a statement reads, as BigQuery prunes columns and partitions, and what it bills for that.

sqlglot resolves names and stars, puts the views' queries in, drops the columns that nobody asks
for and moves conditions down to the tables. A bound on `loaded_at` counts where it is a constant.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from google.cloud.bigquery import Client
from sqlglot import exp, parse_one
from sqlglot.optimizer.pushdown_predicates import pushdown_predicates
from sqlglot.optimizer.pushdown_projections import pushdown_projections
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, traverse_scope
from sqlglot.schema import MappingSchema

HOURS = {"HOUR": 1.0, "DAY": 24.0, "MONTH": 730.5}
USERS, USERS_AN_HOUR, RUNS_A_MONTH = (10**4, 10**6, 10**8), 5_000, 730
NEW = 7  # hours that a run looks at: the look-back of 6 and the one since the last run
LEAST, DOLLAR = 10 * 2**20, 2**40 / 6.25  # bytes: for each table of a statement; for $1
TOTAL = "**a run**"


@dataclass
class Read:
    """Columns of a table, from so many hours before the statement on."""

    columns: set[str] = field(default_factory=set)  # `*`: an UPDATE may rewrite all of them
    hours: float = 0.0  # infinitely many: all of it


class Reader:
    """Reads statements in their order, and learns what tables and views they make."""

    def __init__(self, tables: Mapping[str, Iterable[str]]) -> None:
        """Start with `tables`: {"project.dataset.table": its columns}."""
        # {"project.dataset.table": hours of a partition}; of the loader's own at first
        self.partitions = {it: HOURS["DAY"] for it in tables if it.endswith(".users")}
        self._schema = MappingSchema(dialect="bigquery", normalize=False)
        self._views: dict[str, Any] = {}
        for name, columns in tables.items():
            self._schema.add_table(f"`{name}`", dict.fromkeys(columns, "string"))

    def read(self, sql: str, parameters: Iterable[Any] = ()) -> dict[str, Read]:
        """Return what a statement reads, by table: of two reads of one, all that either does."""
        tree, found = parse_one(sql, dialect="bigquery"), defaultdict[str, Read](Read)
        query: Any = _query(tree)
        # BigQuery reads nothing for `limit 0`: github.com/dbt-labs/dbt-bigquery/issues/487
        if not query or re.search(r"\blimit 0\s*$", sql):
            return found
        query = qualify(exp.expand(query, self._views), schema=self._schema, dialect="bigquery")
        query = pushdown_predicates(pushdown_projections(query, schema=self._schema))
        query = pushdown_predicates(query)  # again: into the subqueries that it has moved
        if isinstance(tree, exp.Create):
            name = _name(tree.find(exp.Table))
            self._schema.add_table(f"`{name}`", dict.fromkeys(query.named_selects, "string"))
            for unit in re.findall(r"loaded_at, (\w+)", str(tree.find(exp.PartitionedByProperty))):
                self.partitions[name] = HOURS[unit.upper()]
            if tree.kind == "VIEW":
                self._views[name] = tree.expression
                return found
        for scope in traverse_scope(query):
            bounds = _bounds(scope, parameters)
            for alias, (_, table) in scope.selected_sources.items():
                if isinstance(table, exp.Table):
                    read = found[_name(table)]
                    read.columns |= {it.name for it in scope.columns if it.table == alias}
                    read.hours = max(read.hours, bounds.get(alias, math.inf))
        if isinstance(tree, exp.Merge) and tree.find(exp.Update):
            found[_name(tree.this)].columns.add("*")
        return found


def _name(table: Any) -> str:
    return ".".join(part.name for part in table.parts)


def _query(tree: exp.Expr) -> Any:
    """Return the query that reads what a statement reads, or None where that is nothing."""
    inner = tree.expression if isinstance(tree, exp.Create | exp.Insert) else tree
    if inner is None or isinstance(inner, exp.Query | exp.Alter | exp.Drop):
        return inner.unnest() if isinstance(inner, exp.Query) else None
    if not isinstance(tree, exp.Merge):
        raise NotImplementedError(f"what does this read? {tree.sql('bigquery')[:200]}")
    source, clauses = tree.args["using"], tree.args["whens"].copy()
    for clause in list(clauses.find_all(exp.Insert, exp.Update)):  # what they write is not read
        clause.set("this", None)
        clause.set("expressions", [it.expression for it in clause.expressions])
    columns = {(it.table or source.alias, it.name) for it in clauses.find_all(exp.Column)}
    query = exp.select(*(exp.column(name, table) for table, name in sorted(columns)))
    query = query.from_(source.copy()).join(tree.this.copy(), join_type="cross")
    return query.where(tree.args["on"].copy())


def _bounds(scope: Scope, parameters: Iterable[Any]) -> dict[str, float]:
    """Return from how many hours ago on the tables in `scope` are read, by alias."""
    conditions = [it.args.get("on") or it.this for it in scope.find_all(exp.Where, exp.Join)]
    bounds: dict[str, float] = defaultdict(lambda: math.inf)
    for part in exp.and_(exp.true(), *conditions, wrap=False).flatten():
        if isinstance(part, exp.GTE | exp.GT) and part.this.name == "loaded_at":
            alias = part.this.table
            bounds[alias] = min(bounds[alias], _hours(part.expression, parameters))
    return bounds


def _hours(bound: Any, parameters: Iterable[Any]) -> float:
    """Return how long ago a constant is; what is no constant prunes nothing."""
    if isinstance(bound, exp.TimestampSub):
        return _hours(bound.this, parameters) + int(bound.expression.name) * HOURS[str(bound.unit)]
    if isinstance(bound, exp.CurrentTimestamp):
        return 0
    text = next((str(it.value) for it in parameters if it.name == bound.name), bound.name)
    if isinstance(bound, exp.Column) or not re.match(r"\d{4}-\d\d-\d\d", text):
        return math.inf
    moment = datetime.fromisoformat(text)
    return (datetime.now(UTC) - moment.replace(tzinfo=moment.tzinfo or UTC)) / timedelta(hours=1)


def table(sent: Iterable[tuple[str, str, Any]], tables: Mapping[str, Any], client: Client) -> str:
    """Return the body of the table in docs/cost.md; `sent` has lines of it, SQL and parameters."""
    reader, statements, billed = Reader(tables), Counter[str](), Counter[tuple[str, int]]()
    whole, sizes = defaultdict[str, set[str]](set), dict[str, dict[str, float]]()
    for line, sql, parameters in sent:
        statements.update([line, TOTAL] if line else [])
        for name, read in reader.read(sql, parameters).items():
            if not (line and read.columns):
                continue
            # What is dropped after the run has the columns of what it was for.
            kept = re.sub(r"__dbt_tmp\w*$", "", re.sub(r"\.landing_\w+$", ".users", name))
            sizes[kept] = widths = sizes.get(kept) or _sizes(client, kept)
            width = sum(widths.get(it, 8) for it in read.columns)
            partition = reader.partitions.get(kept, 0)
            hours = max(read.hours, NEW) + partition / 2 if name == kept else NEW
            whole[line] |= {kept.split(".")[-1]} if partition and math.isinf(hours) else set()
            for users in USERS:
                # Without partitions it has a row for each run, or fewer.
                rows = min(hours * USERS_AN_HOUR, users) if partition else users / USERS_AN_HOUR
                size = max(LEAST, width * rows)
                billed.update({(line, users): size, (TOTAL, users): size})
    body = ""
    for line in sorted(statements, key=lambda it: (-billed[it, USERS[-1]], it)):
        dollars = "".join(f" {billed[line, it] / DOLLAR * RUNS_A_MONTH:,.2f} |" for it in USERS)
        body += f"| {line} | {statements[line]} | {', '.join(sorted(whole[line]))} |{dollars}\n"
    return body


def _sizes(client: Client, name: str) -> dict[str, float]:
    """Return the average bytes of a table's columns, and as `*` those of a row."""
    sizes = []
    for it in client.get_table(name).schema:
        text = it.field_type in ("STRING", "JSON")  # other types take 8 bytes
        size = f"byte_length(to_json_string({it.name}))" if text else "8"
        sizes.append(f"ifnull(avg(if({it.name} is null, 0, {size})), 0) as {it.name}")
    sql = f"select {', '.join(sizes)} from `{name}`"  # noqa: S608
    widths: dict[str, float] = dict(next(iter(client.query_and_wait(sql))))
    return widths | {"*": sum(widths.values())}
