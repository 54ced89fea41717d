"""Estimates what a statement reads after BigQuery's pruning, and what BigQuery bills for it.

sqlglot resolves names and stars, inlines the queries of views, drops unused columns and pushes
conditions down to the tables. A bound on `loaded_at` prunes partitions only if it is a constant.
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
WINDOW_HOURS = 7  # that a run reads: 6 of the look-back and 1 since the last run
MINIMUM_BYTES, BYTES_PER_DOLLAR = 10 * 2**20, 2**40 / 6.25  # the minimum: per table and statement
TOTAL = "**a run**"


@dataclass
class Scan:
    """The columns and the hours before the statement that a statement reads of a table."""

    columns: set[str] = field(default_factory=set)  # `*`: an UPDATE may rewrite all columns
    hours: float = 0.0  # infinite: the whole table


class ScanEstimator:
    """Estimates scans of statements in their order, and knows the tables and views they create."""

    def __init__(self, tables: Mapping[str, Iterable[str]]) -> None:
        """Start with `tables`: {"project.dataset.table": its columns}."""
        # {"project.dataset.table": hours of a partition}, at first only of the loader's table
        self.partitions = {name: HOURS["DAY"] for name in tables if name.endswith(".users")}
        self._schema = MappingSchema(dialect="bigquery", normalize=False)
        self._views: dict[str, Any] = {}
        for name, columns in tables.items():
            self._schema.add_table(f"`{name}`", dict.fromkeys(columns, "string"))

    def estimate(self, sql: str, parameters: Iterable[Any] = ()) -> dict[str, Scan]:
        """Return the scan of each table; two scans of the same table are united."""
        tree, scans = parse_one(sql, dialect="bigquery"), defaultdict[str, Scan](Scan)
        query: Any = _query(tree)
        # BigQuery scans nothing for `limit 0`: github.com/dbt-labs/dbt-bigquery/issues/487
        if not query or re.search(r"\blimit 0\s*$", sql):
            return scans
        query = qualify(exp.expand(query, self._views), schema=self._schema, dialect="bigquery")
        query = pushdown_predicates(pushdown_projections(query, schema=self._schema))
        query = pushdown_predicates(query)  # again, into the moved subqueries
        if isinstance(tree, exp.Create):
            name = _name(tree.find(exp.Table))
            self._schema.add_table(f"`{name}`", dict.fromkeys(query.named_selects, "string"))
            for unit in re.findall(r"loaded_at, (\w+)", str(tree.find(exp.PartitionedByProperty))):
                self.partitions[name] = HOURS[unit.upper()]
            if tree.kind == "VIEW":
                self._views[name] = tree.expression
                return scans
        for scope in traverse_scope(query):
            bounds = _bounds(scope, parameters)
            for alias, (_, table) in scope.selected_sources.items():
                if isinstance(table, exp.Table):
                    scan = scans[_name(table)]
                    scan.columns |= {col.name for col in scope.columns if col.table == alias}
                    scan.hours = max(scan.hours, bounds.get(alias, math.inf))
        if isinstance(tree, exp.Merge) and tree.find(exp.Update):
            scans[_name(tree.this)].columns.add("*")
        return scans


def _name(table: Any) -> str:
    return ".".join(part.name for part in table.parts)


def _query(tree: exp.Expr) -> Any:
    """Return a query that reads the same as a statement, or None if the statement reads nothing."""
    inner = tree.expression if isinstance(tree, exp.Create | exp.Insert) else tree
    if inner is None or isinstance(inner, exp.Query | exp.Alter | exp.Drop):
        return inner.unnest() if isinstance(inner, exp.Query) else None
    if not isinstance(tree, exp.Merge):
        raise NotImplementedError(f"unknown kind of statement: {tree.sql('bigquery')[:200]}")
    source, clauses = tree.args["using"], tree.args["whens"].copy()
    for clause in [*clauses.find_all(exp.Insert, exp.Update)]:  # target columns are not read
        clause.set("this", None)
        clause.set("expressions", [assignment.expression for assignment in clause.expressions])
    columns = {(col.table or source.alias, col.name) for col in clauses.find_all(exp.Column)}
    query = exp.select(*(exp.column(name, table) for table, name in sorted(columns)))
    query = query.from_(source.copy()).join(tree.this.copy(), join_type="cross")
    return query.where(tree.args["on"].copy())


def _bounds(scope: Scope, parameters: Iterable[Any]) -> dict[str, float]:
    """Return how many hours back each table in `scope` is read, by alias."""
    conditions = [node.args.get("on") or node.this for node in scope.find_all(exp.Where, exp.Join)]
    bounds: dict[str, float] = defaultdict(lambda: math.inf)
    for part in exp.and_(exp.true(), *conditions, wrap=False).flatten():
        if isinstance(part, exp.GTE | exp.GT | exp.EQ) and part.this.name == "loaded_at":
            alias = part.this.table
            bounds[alias] = min(bounds[alias], _hours(part.expression, parameters))
    return bounds


def _hours(bound: Any, parameters: Iterable[Any]) -> float:
    """Return how many hours ago a constant is; infinite if the bound is not a constant."""
    values = {parameter.name: str(parameter.value) for parameter in parameters}
    if isinstance(bound, exp.TimestampSub):
        number = values.get(bound.expression.name, bound.expression.name)
        return _hours(bound.this, parameters) + int(number) * HOURS[str(bound.unit)]
    if isinstance(bound, exp.CurrentTimestamp):
        return 0
    text = values.get(bound.name, bound.name)
    if isinstance(bound, exp.Column) or not re.match(r"\d{4}-\d\d-\d\d", text):
        return math.inf
    time = datetime.fromisoformat(text)
    return (datetime.now(UTC) - time.replace(tzinfo=time.tzinfo or UTC)) / timedelta(hours=1)


def estimate_bytes(
    labelled: Iterable[tuple[str, str, Any]], tables: Mapping[str, Any], client: Client
) -> tuple[Counter[str], Counter[tuple[str, int]], dict[str, set[str]]]:
    """Return for each line its statements, its bytes (for each of USERS) and its full scans."""
    estimator, statements = ScanEstimator(tables), Counter[str]()
    billed = Counter[tuple[str, int]]()
    full_scans, sizes = defaultdict[str, set[str]](set), dict[str, dict[str, float]]()
    for line, sql, parameters in labelled:
        statements.update([line, TOTAL] if line else [])
        for name, scan in estimator.estimate(sql, parameters).items():
            if not (line and scan.columns):
                continue
            # A temporary table has the columns of its target.
            target = re.sub(r"__dbt_tmp\w*$", "", name)
            sizes[target] = widths = sizes.get(target) or column_sizes(client, target)
            width = sum(widths.get(column, 8) for column in scan.columns)
            partition = estimator.partitions.get(target, 0)
            window = max(scan.hours, WINDOW_HOURS) + partition / 2
            hours = window if name == target else WINDOW_HOURS
            if partition and math.isinf(hours):
                full_scans[line].add(target.split(".")[-1])
            for users in USERS:
                # A table without partitions has one row for each run, or fewer.
                rows = min(hours * USERS_AN_HOUR, users) if partition else users / USERS_AN_HOUR
                size = max(MINIMUM_BYTES, width * rows)
                billed.update({(line, users): size, (TOTAL, users): size})
    return statements, billed, full_scans


def list_dollars(billed: Counter[tuple[str, int]], line: str) -> list[float]:
    """Return the dollars a month of a line of `estimate_bytes`, for each of USERS."""
    return [billed[line, users] / BYTES_PER_DOLLAR * RUNS_A_MONTH for users in USERS]


def list_columns(client: Client) -> dict[str, list[str]]:
    """Return the columns of each table and view: {"project.dataset.table": columns}."""
    return {
        str(table.reference): [column.name for column in client.get_table(table).schema]
        for dataset in client.list_datasets()
        for table in client.list_tables(dataset.reference)
    }


def column_sizes(client: Client, name: str) -> dict[str, float]:
    """Return the average bytes of each column of a table, and of a row as `*`."""
    sizes = []
    for column in client.get_table(name).schema:
        is_text = column.field_type in ("STRING", "JSON")  # other types have 8 bytes
        size = f"byte_length(to_json_string({column.name}))" if is_text else "8"
        sizes.append(f"ifnull(avg(if({column.name} is null, 0, {size})), 0) as {column.name}")
    sql = f"select {', '.join(sizes)} from `{name}`"
    widths: dict[str, float] = dict(next(iter(client.query_and_wait(sql))))
    return widths | {"*": sum(widths.values())}
