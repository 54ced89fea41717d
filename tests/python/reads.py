"""What a statement reads of which table, as BigQuery prunes columns and partitions.

sqlglot resolves names and stars, puts the views' queries in, drops the columns that nobody asks
for and moves conditions down to the tables. A bound on `loaded_at` counts where it is a constant.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlglot import exp, parse
from sqlglot.optimizer.pushdown_predicates import pushdown_predicates
from sqlglot.optimizer.pushdown_projections import pushdown_projections
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import traverse_scope
from sqlglot.schema import MappingSchema
from statements import Statement

FIELD = "loaded_at"  # what every partitioned table is partitioned by


@dataclass
class Read:
    """Columns of a table, from so many hours before the statement on."""

    columns: set[str] = field(default_factory=set)
    hours: float = 0.0  # infinitely many: all of it
    rewritten: bool = False  # an UPDATE clause may touch every row from then on


class Reader:
    """Reads statements in their order, and learns what tables and views they make."""

    def __init__(self, tables: dict[str, dict[str, str]]) -> None:
        """Start with `tables`: {"project.dataset.table": {column: type}}."""
        self.tables = {name: list(columns) for name, columns in tables.items()}
        self.partitions: dict[str, str] = {}  # {"project.dataset.table": "DAY" or "MONTH"}
        self._views: dict[str, exp.Query] = {}

    def read(self, statement: Statement) -> dict[str, Read]:
        """Return what a statement reads, by table: of two reads of one, all that either does."""
        found: dict[str, Read] = {}
        for tree in filter(None, parse(statement.sql, dialect="bigquery")):
            query = _query(tree)
            if query is None:
                continue
            query = self._resolved(query)
            if isinstance(tree, exp.Create):
                self._learn(tree, query)
            if isinstance(tree, exp.Create) and tree.kind == "VIEW":
                continue
            # BigQuery reads nothing for `limit 0`: github.com/dbt-labs/dbt-bigquery/issues/487
            limit = query.args.get("limit")
            if limit and limit.expression.name == "0":
                continue
            parameters = {it.name: it.value for it in statement.parameters}
            for table, read in _scans(query, parameters):
                known = found.setdefault(table, Read())
                known.columns |= read.columns
                known.hours = max(known.hours, read.hours)
            if isinstance(tree, exp.Merge) and tree.find(exp.Update):
                found[_name(tree.this)].rewritten = True
        return found

    def _resolved(self, query: exp.Query) -> exp.Query:
        views = {name: view.copy() for name, view in self._views.items()}
        schema = MappingSchema(dialect="bigquery", normalize=False)
        for name, columns in self.tables.items():
            project, dataset, own = name.split(".")
            table = exp.table_(own, db=dataset, catalog=project, quoted=True)
            schema.add_table(table, dict.fromkeys(columns, "string"))
        resolved: exp.Expr = exp.expand(query.copy(), views, dialect="bigquery")  # type: ignore[arg-type]
        resolved = qualify(resolved, schema=schema, dialect="bigquery")
        resolved = pushdown_predicates(pushdown_projections(resolved, schema=schema))
        resolved = pushdown_predicates(resolved)  # again: into the subqueries that it has moved
        assert isinstance(resolved, exp.Query)
        return resolved

    def _learn(self, create: exp.Create, query: exp.Query) -> None:
        name = _name(create.find(exp.Table))
        self.tables[name] = query.named_selects
        if create.kind == "VIEW":
            self._views[name] = create.expression
        if partitioned := create.find(exp.PartitionedByProperty):
            unit = re.search(rf"{FIELD}, (day|month)\b", partitioned.sql("bigquery"), re.IGNORECASE)
            assert unit, partitioned
            self.partitions[name] = unit[1].upper()


def _query(tree: exp.Expr) -> exp.Query | None:
    """Return the query that reads what a statement reads, or None where that is nothing."""
    if isinstance(tree, exp.Query):
        return tree
    if isinstance(tree, exp.Create | exp.Insert) and isinstance(tree.expression, exp.Query):
        inner = tree.expression.unnest()
        assert isinstance(inner, exp.Query)
        return inner
    if isinstance(tree, exp.Create | exp.Alter | exp.Drop):
        return None
    if not isinstance(tree, exp.Merge):
        raise NotImplementedError(f"what does this read? {tree.sql('bigquery')[:200]}")
    source = tree.args["using"]
    needed = list(tree.args["whens"].find_all(exp.Column))
    targets = [it.this for update in tree.find_all(exp.Update) for it in update.expressions]
    targets += [
        it for insert in tree.find_all(exp.Insert) for it in insert.this.find_all(exp.Column)
    ]
    written = {id(it) for it in targets}
    columns = {(it.table or source.alias, it.name) for it in needed if id(it) not in written}
    query = exp.select(*(exp.column(name, table) for table, name in sorted(columns)))
    query = query.from_(source.copy()).join(tree.this.copy(), join_type="cross")
    return query.where(tree.args["on"].copy())


def _name(table: exp.Expr | None) -> str:
    assert isinstance(table, exp.Table)
    return ".".join(part.name for part in table.parts)


def _scans(query: exp.Query, parameters: Mapping[str | None, object]) -> Iterator[tuple[str, Read]]:
    for scope in traverse_scope(query):
        where = scope.expression.args.get("where")
        joined = [
            it.args["on"] for it in scope.expression.args.get("joins") or [] if "on" in it.args
        ]
        bounds: dict[str, float] = {}
        for condition in [*([where.this] if where else []), *filter(None, joined)]:
            parts = condition.flatten() if isinstance(condition, exp.And) else [condition]
            for part in (it.unnest() for it in parts):
                if isinstance(part, exp.GTE | exp.GT) and part.this.name == FIELD:
                    alias = part.this.table
                    hours = _hours_ago(part.expression, parameters)
                    bounds[alias] = min(hours, bounds.get(alias, math.inf))
        for alias, (_, source) in scope.selected_sources.items():
            if isinstance(source, exp.Table):
                columns = {it.name for it in scope.columns if it.table == alias}
                yield _name(source), Read(columns, bounds.get(alias, math.inf))


def _hours_ago(bound: exp.Expr, parameters: Mapping[str | None, object]) -> float:
    """Return how old a constant is, in hours; what is no constant prunes nothing."""
    if isinstance(bound, exp.TimestampSub) and isinstance(bound.this, exp.CurrentTimestamp):
        return int(bound.expression.name) * {"HOUR": 1, "DAY": 24}[str(bound.unit)]
    moment = parameters.get(bound.name) if isinstance(bound, exp.Parameter) else None
    if isinstance(bound, exp.Cast) and isinstance(bound.this, exp.Literal):
        moment = datetime.fromisoformat(bound.this.name)
    if not isinstance(moment, datetime) or moment.year == 1970:
        return math.inf
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (datetime.now(UTC) - moment).total_seconds() / 3600
