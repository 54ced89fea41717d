"""Google's own reader of BigQuery's SQL: GoogleSQL, which Google publishes, as WebAssembly.

It gets statements in the order in which they are sent, parses and type-checks each, and learns
from those that make a table or a view what the next ones may read. googlesql.toml tells it what
BigQuery has.
"""

import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from support.commands import ROOT
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

Columns = dict[str, Any]  # name: GoogleSQL's type, a protocol buffer


class RefusedError(Exception):
    """GoogleSQL refused a statement; the text says where that stands and why."""

    def __init__(self, statement: Statement, complaint: str) -> None:
        """Name the file, with the line where it is in there, and the position in what was sent."""
        found = re.fullmatch(r"(.*?)(?: \[at (\d+):(\d+)\])?", complaint.strip(), re.DOTALL)
        assert found
        self.complaint, line, column = found[1], int(found[2] or 1), int(found[3] or 1)
        text = statement.sql.splitlines()[line - 1].strip()
        file = ROOT / statement.file
        lines = [it.strip() for it in file.read_text().splitlines()] if file.is_file() else []
        own_line = f":{lines.index(text) + 1}" if lines.count(text) == 1 else ""
        super().__init__(
            f"{statement.file}{own_line}: {self.complaint}\n"
            f"    at {line}:{column} of the statement "
            f"({statement.phase}, {statement.node_id or 'Python'}): {text}"
        )


class GoogleSQL:
    """GoogleSQL and the tables that are there so far."""

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
        starts = tuple(f"FN_{name}" for name in BIGQUERY["not_in_bigquery"].split())
        functions.exclude_function_ids.extend(
            it for it in FunctionSignatureId if it.name.startswith(starts)
        )
        self.tables: dict[str, Columns] = {}
        self._types: dict[str, Any] = {}
        options.allowed_hints_and_options.disallow_unknown_options = True
        for name, kind in BIGQUERY["options"].items():
            options.allowed_hints_and_options.option.add(name=name, type=self.type(kind))
        for name, columns in tables.items():
            self.tables[name] = {column: self.type(kind) for column, kind in columns.items()}

    def type(self, name: str) -> Any:
        """Return GoogleSQL's type of that name."""
        if name not in self._types:
            columns = self.check(Statement(f"select cast(null as {name}) as it"))
            self._types[name] = columns["it"]
        return self._types[name]

    def check(self, statement: Statement) -> Columns:
        """Return the columns that a statement gives or makes; raises RefusedError."""
        request = AnalyzeRequest()
        request.CopyFrom(self._request)
        request.sql_statement = statement.sql
        for parameter in statement.parameters:
            kind = self.type(parameter.type_)
            request.options.query_parameters.add(name=parameter.name, type=kind)
        for path, columns in self.tables.items():
            if path.split(".")[-1] in statement.sql:
                _add(request.simple_catalog, path.split("."), columns)
                _add(request.simple_catalog, [path], columns)
        try:
            response = self._service.wasm_client.call_grpc_func(
                "ZetaSqlLocalService_Analyze", request, AnalyzeResponse
            )
        except ServerError as error:
            # its `message` ends with the first line, and so lacks the position
            raise RefusedError(statement, error.raw_error.partition("Message: ")[2]) from None
        node = dict(_fields(response.resolved_statement))
        if "column_definition_list" not in node:
            return {it.name: it.column.type for it in node.get("output_column_list", [])}
        made = {it.name: it.type for it in node["column_definition_list"]}
        self.tables[".".join(node["name_path"])] = made
        return made

    def evaluate(self, sql: str) -> list[tuple[str | None, ...]]:
        """Return the rows of a query that reads no table and gives strings alone."""
        request = EvaluateQueryRequest(sql=sql)
        request.options.CopyFrom(self._request.options)
        request.simple_catalog.CopyFrom(self._request.simple_catalog)
        response = self._service.wasm_client.call_grpc_func(
            "ZetaSqlLocalService_EvaluateQuery", request, EvaluateQueryResponse
        )
        return [
            tuple(it.string_value if it.HasField("string_value") else None for it in row.cell)
            for row in response.content.table_data.row
        ]


def complaints(
    google: GoogleSQL, statements: list[Statement], unchecked: list[dict[str, str]]
) -> list[str]:
    """Check statements in their order and say what is wrong with them, or with `unchecked`.

    A refused `create` is the last that is checked: those after it may read what it makes.
    """
    found, needed = [], []
    for statement in statements:
        try:
            google.check(statement)
        except RefusedError as error:
            known = [
                it
                for it in unchecked
                if it["statement"] in statement.sql and it["complaint"] in error.complaint
            ]
            needed += known
            if not known:
                found.append(str(error))
                if re.search(r"^\s*create ", statement.sql, re.IGNORECASE | re.MULTILINE):
                    return found
    for it in unchecked:
        if it not in needed:
            found.append(f"{it}: no statement needs this any more, take it out")
        documented = re.match(r"https://(docs\.)?cloud\.google\.com/bigquery/", it["documentation"])
        if not (documented and it["reason"]):
            found.append(f"{it}: no reason, or no documentation of BigQuery")
    return found


def _add(catalog: Any, path: list[str], columns: Columns) -> None:
    """Put a table into a catalog; all but the last of `path` are catalogs in it."""
    for name in path[:-1]:
        inner = next((it for it in catalog.catalog if it.name == name), None)
        catalog = inner or catalog.catalog.add(name=name)
    table = catalog.table.add(name=path[-1])
    for name, kind in columns.items():
        table.column.add(name=name, type=kind, is_writable_column=True)


def _fields(message: Any) -> Iterator[tuple[str, Any]]:
    """Give the fields of a node of GoogleSQL's tree, and of the classes that it is one of."""
    for field, value in message.ListFields():
        if field.name == "parent" or field.name.endswith("_node"):
            yield from _fields(value)
        else:
            yield field.name, value


class _Compiled(Module):
    """To compile it takes half a minute of work, so what comes out is kept with what set-up put."""

    @classmethod
    def from_file(cls, engine: Engine, path: Any) -> Module:
        """Return the module, compiled before or now."""
        names = "-".join(version(package) for package in ("zetasql", "wasmtime"))
        kept = Path(sys.prefix, f"googlesql-{names}.compiled")
        try:
            return Module.deserialize_file(engine, str(kept))
        except WasmtimeError:  # not there, or of another machine
            module = Module.from_file(engine, path)
            unfinished = kept.with_suffix(".unfinished")
            unfinished.write_bytes(module.serialize())
            unfinished.replace(kept)
            return module


wasm_client.Module = _Compiled
