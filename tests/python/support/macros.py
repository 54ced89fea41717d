"""Calls the project's macros with dbt's own Jinja; a command of dbt would take seconds."""

import re
from types import SimpleNamespace
from typing import Any, NoReturn

import yaml
from dbt_common.clients.jinja import CallableMacroGenerator
from dbt_common.exceptions.macros import MacroReturn
from support.commands import ROOT


class RefusedError(Exception):
    """A macro raised a compiler error."""


def load_macros(
    target: str = "prod", variables: dict[str, Any] | None = None, **context: Any
) -> Any:
    """Return the macros as functions, which get the project's vars with changes, and `context`."""
    project = yaml.safe_load((ROOT / "dbt_project.yml").read_text())
    context |= {
        "var": (project["vars"] | (variables or {})).__getitem__,
        "target": SimpleNamespace(name=target),
        "exceptions": SimpleNamespace(raise_compiler_error=_refuse),
        "return": _return,
    }
    for file in (ROOT / "macros").rglob("*.sql"):
        text = file.read_text()
        for name in re.findall(r"{% macro (\w+)\(", text):
            macro: Any = SimpleNamespace(name=name, macro_sql=text, unique_id=name)
            context[name] = CallableMacroGenerator(macro, context)
    return SimpleNamespace(**context)


def _refuse(message: str) -> NoReturn:
    raise RefusedError(message)


def _return(value: Any) -> NoReturn:
    raise MacroReturn(value)
