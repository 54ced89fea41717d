"""Google's own analyzer of BigQuery's SQL: GoogleSQL, which Google publishes, as WebAssembly.

It parses and type-checks statements in the order in which they were sent, and adds the tables and
views that they create to its catalog. googlesql.toml lists the features of BigQuery.
"""

import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from support.sql_recorder import Statement
from wasmtime import Engine, Module, WasmtimeError
from zetasql.core import wasm_client
from zetasql.core.exceptions import ServerError
from zetasql.core.local_service import ZetaSqlLocalService
from zetasql.types import ErrorMessageMode, FunctionSignatureId, LanguageFeature, ProductMode
from zetasql.wasi._pb2.zetasql.local_service.local_service_pb2 import (
    AnalyzeRequest,
    AnalyzeResponse,
    EvaluateQueryRequest,
    EvaluateQueryResponse,
)

BIGQUERY = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())

Columns = dict[str, Any]  # column name: GoogleSQL's type, a protocol buffer


class RefusedError(Exception):
    """GoogleSQL refused a statement; the message says where and why."""


class GoogleSQL:
    """GoogleSQL with the tables that exist so far."""

    def __init__(self, tables: dict[str, dict[str, str]]) -> None:
        """Start with `tables`: {"project.dataset.table": {column: type}}."""
        self._service = ZetaSqlLocalService.get_instance()
        self._request = AnalyzeRequest()
        options = self._request.options
        options.default_timezone = "UTC"
        options.error_message_mode = ErrorMessageMode.ERROR_MESSAGE_ONE_LINE
        language = options.language_options
        language.product_mode = ProductMode.PRODUCT_EXTERNAL
        language.reserved_keywords.append("QUALIFY")
        for name in BIGQUERY["features"].split():
            language.enabled_language_features.append(LanguageFeature[f"FEATURE_{name}"])
        functions = self._request.simple_catalog.builtin_function_options
        functions.language_options.CopyFrom(language)
        prefixes = tuple(f"FN_{name}" for name in BIGQUERY["not_in_bigquery"].split())
        functions.exclude_function_ids.extend(
            function for function in FunctionSignatureId if function.name.startswith(prefixes)
        )
        self.tables: dict[str, Columns] = {}
        self._types: dict[str, Any] = {}
        options.allowed_hints_and_options.disallow_unknown_options = True
        for name, kind in BIGQUERY["options"].items():
            options.allowed_hints_and_options.option.add(name=name, type=self.type(kind))
        for name, columns in tables.items():
            self.tables[name] = {column: self.type(kind) for column, kind in columns.items()}

    def type(self, name: str) -> Any:
        """Return GoogleSQL's type with that name."""
        if name not in self._types:
            columns = self.check(Statement(f"select cast(null as {name}) as value"))
            self._types[name] = columns["value"]
        return self._types[name]

    def check(self, statement: Statement) -> Columns:
        """Return the columns of a statement's result or of its new table; raise RefusedError."""
        request = AnalyzeRequest()
        request.CopyFrom(self._request)
        request.sql_statement = statement.sql
        for parameter in statement.parameters:
            kind = self.type(parameter.type_)
            request.options.query_parameters.add(name=parameter.name, type=kind)
        for path, columns in self.tables.items():
            if path.split(".")[-1] in statement.sql:
                _add_table(request.simple_catalog, path.split("."), columns)
                _add_table(request.simple_catalog, [path], columns)
        try:
            response = self._service.wasm_client.call_grpc_func(
                "ZetaSqlLocalService_Analyze", request, AnalyzeResponse
            )
        except ServerError as error:
            # its `message` has only the first line, without the position
            reason = error.raw_error.partition("Message: ")[2].strip()
            name = f"{statement.node_id or statement.command}, {statement.phase}"
            raise RefusedError(f"{name}: {reason} in:\n{statement.sql}") from None
        node = dict(_fields(response.resolved_statement))
        if "column_definition_list" not in node:
            outputs = node.get("output_column_list", [])
            return {output.name: output.column.type for output in outputs}
        columns = {column.name: column.type for column in node["column_definition_list"]}
        self.tables[".".join(node["name_path"])] = columns
        return columns

    def evaluate(self, sql: str) -> list[tuple[str | None, ...]]:
        """Return the rows of a query that reads no table and returns only strings."""
        request = EvaluateQueryRequest(sql=sql)
        request.options.CopyFrom(self._request.options)
        request.simple_catalog.CopyFrom(self._request.simple_catalog)
        response = self._service.wasm_client.call_grpc_func(
            "ZetaSqlLocalService_EvaluateQuery", request, EvaluateQueryResponse
        )
        return [
            tuple(cell.string_value if cell.HasField("string_value") else None for cell in row.cell)
            for row in response.content.table_data.row
        ]


def _add_table(catalog: Any, path: list[str], columns: Columns) -> None:
    """Add a table to a catalog; all names of `path` but the last are nested catalogs."""
    for name in path[:-1]:
        inner = next((child for child in catalog.catalog if child.name == name), None)
        catalog = inner or catalog.catalog.add(name=name)
    table = catalog.table.add(name=path[-1])
    for name, kind in columns.items():
        table.column.add(name=name, type=kind, is_writable_column=True)


def _fields(message: Any) -> Iterator[tuple[str, Any]]:
    """Yield the fields of a node of GoogleSQL's tree, those of its parent classes included."""
    for field, value in message.ListFields():
        if field.name == "parent" or field.name.endswith("_node"):
            yield from _fields(value)
        else:
            yield field.name, value


class _Compiled(Module):
    """Compiling takes half a minute, so the result is stored in the virtual environment."""

    @classmethod
    def from_file(cls, engine: Engine, path: Any) -> Module:
        """Return the module, from the stored result or compiled now."""
        names = "-".join(version(package) for package in ("zetasql", "wasmtime"))
        stored = Path(sys.prefix, f"googlesql-{names}.compiled")
        try:
            return Module.deserialize_file(engine, str(stored))
        except WasmtimeError:  # missing, or from another machine
            module = Module.from_file(engine, path)
            unfinished = stored.with_suffix(".unfinished")
            unfinished.write_bytes(module.serialize())
            unfinished.replace(stored)
            return module


wasm_client.Module = _Compiled
