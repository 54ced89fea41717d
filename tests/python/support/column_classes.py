"""Finds columns whose class, `config.meta.class` in the YAML, is missing or too low.

sqlglot traces each column of a query to the columns of tables that its value is made from. Columns
that only filter, group or join are not among them.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sqlglot import exp, parse_one
from sqlglot.lineage import Node, lineage
from sqlglot.schema import MappingSchema

CLASSES = ("public", "personal", "credential")


class ColumnClasses:
    """The classes of the columns in dbt's manifest, after a build."""

    def __init__(self, manifest: Mapping[str, Any]) -> None:
        """Read the classes of all sources, models, seeds and snapshots."""
        nodes = [*manifest["sources"].values(), *manifest["nodes"].values()]
        kinds = ("source", "model", "seed", "snapshot")
        self.tables = {
            node["relation_name"].replace("`", ""): node
            for node in nodes
            if node["resource_type"] in kinds and node["relation_name"]
        }
        self.tests = [node for node in nodes if node["resource_type"] == "test"]
        self._schema = MappingSchema(dialect="bigquery", normalize=False)
        for name, node in self.tables.items():
            self._schema.add_table(f"`{name}`", dict.fromkeys(node["columns"], "string"))

    def trace(self, sql: str | exp.Expr) -> dict[str, str]:
        """Return for each column of a query the highest class of the columns it is made from."""
        query = parse_one(sql, dialect="bigquery") if isinstance(sql, str) else sql.copy()
        for window in query.find_all(exp.Window):
            window.set("partition_by", None)  # it only groups
        columns = lineage(None, query, schema=self._schema, dialect="bigquery")
        return {
            name: max(map(self._find_class, column.walk()), key=CLASSES.index)
            for name, column in columns.items()
        }

    def find_problems(self, built: Mapping[str, Iterable[str]]) -> list[str]:
        """Return what is wrong, as messages; `built`: {"project.dataset.table": its columns}."""
        # Without all classes the other messages would mislead.
        return list(self._find_unclassed(built)) or [
            *self._find_too_low(),
            *self._find_misplaced(),
            *self._find_without_key(),
            *self._find_printed(),
        ]

    def _find_class(self, origin: Node) -> str:
        """Return the class of a column of a table; literals and counts have none."""
        table = origin.expression
        if isinstance(table, exp.Table):
            name = ".".join(part.name for part in table.parts)
            return _class(self.tables[name], exp.to_column(origin.name).name)
        # sqlglot does not know where a placeholder comes from.
        return "credential" if isinstance(table, exp.Placeholder) else "public"

    def _find_unclassed(self, built: Mapping[str, Iterable[str]]) -> Iterator[str]:
        for table, node in self.tables.items():
            for column in built[table]:
                if column not in node["columns"]:
                    yield f"{node['name']}.{column} is not in the YAML: list it, with its class"
            for column in node["columns"]:
                if _class(node, column) not in CLASSES:
                    yield f"{node['name']}.{column} has no class: {', '.join(CLASSES)}"

    def _find_too_low(self) -> Iterator[str]:
        for node in self.tables.values():
            if node["resource_type"] not in ("model", "snapshot"):
                continue
            origins = self.trace(node["compiled_code"])
            if "base" in node["fqn"]:  # it decides which fields of a payload are credentials
                lower = {"credential": "personal"}
                origins = {column: lower.get(origin, origin) for column, origin in origins.items()}
            if node["resource_type"] == "snapshot":  # dbt makes this hash from the key
                origins["dbt_scd_id"] = origins[node["config"]["unique_key"]]
            for column, origin in origins.items():
                own = _class(node, column)
                is_masked = column in node["config"]["meta"].get("masked", [])
                if not is_masked and CLASSES.index(own) < CLASSES.index(origin):
                    yield f"{node['name']}.{column} is {own}, but it is made from {origin} columns"

    def _find_misplaced(self) -> Iterator[str]:
        for node in self.tables.values():
            if node["resource_type"] != "source" and not node["schema"].endswith("_restricted"):
                for column in node["columns"]:
                    if _class(node, column) == "credential":
                        yield f"{node['name']}.{column} is a credential in {node['schema']}"
        for node in self.tests:
            if not node["schema"].endswith("_restricted"):
                yield f"{node['name']} stores its failures in {node['schema']}"

    def _find_without_key(self) -> Iterator[str]:
        for node in self.tables.values():
            metas = [column["config"]["meta"] for column in node["columns"].values()]
            is_public = all(meta["class"] == "public" for meta in metas)
            is_view = node["config"].get("materialized") == "view"
            if not (is_public or is_view or any("key" in meta for meta in metas)):
                yield f"{node['name']} has personal columns, and no column has a `key`"

    def _find_printed(self) -> Iterator[str]:
        for node in self.tests:
            meta = node["config"]["meta"]
            if meta.get("show_failures"):
                for column, origin in self.trace(node["compiled_code"]).items():
                    if origin != "public" and column not in meta.get("masked", []):
                        yield f"{node['name']} prints {column}, which is made from {origin} columns"


def _class(node: Mapping[str, Any], column: str) -> str:
    return str(node["columns"][column]["config"]["meta"].get("class"))
