"""What the loader knows of an API: a module of `ingest.sources` defines one as SOURCE."""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, NamedTuple

import msgspec

from ingest import sources
from ingest.settings import Settings, SettingsError


class Page(msgspec.Struct, kw_only=True):
    """The records of one response, in order and as sent; `fetched_at`: when it was read, UTC.

    A source adds what else its responses have. Its `__post_init__` may raise SourceError, whose
    text follows the name of the response.
    """

    records: list[msgspec.Raw]
    fetched_at: datetime = msgspec.field(default_factory=partial(datetime.now, UTC), name="-")

    @property
    def columns(self) -> dict[str, Any]:
        """The columns `page`, `api_version` and `seed` of raw, if the response has them."""
        return {}


class Load(NamedTuple):
    """What a load holds: the response to a request, or files."""

    id: str
    url: str  # of the API, or the names of the files
    hash: str  # of what it holds, beside its id: a load id has only one
    pages: Iterable[Page]  # reading them raises SourceError if one is wrong or missing
    asked: int | None = None  # how many records are requested, if the request says it
    page_count: int | None = None
    is_replay: bool = False  # of files, whose records may be sent twice


def hash_request(*values: object) -> str:
    """Return a hash of what decides which records a load holds, beside its id."""
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:20]


@dataclass(frozen=True)
class Source:
    """An API."""

    name: str
    records: str  # what messages, tables and columns call its records, in the plural
    settings: type[Settings]  # it has NAME_URL
    page: type[Page]
    person: tuple[str, ...]  # path to the id of the person in a record
    request: Callable[[Any, str], Load]  # of the settings and the load id
    error: Any = None  # the type of a wrong response whose `error` can hold no record: it is shown

    @property
    def url_setting(self) -> str:
        """The setting of the API's URL."""
        return f"{self.name.upper()}_URL"

    @property
    def count_setting(self) -> str:
        """The setting of how many records are requested, if the API has a number of them."""
        return f"{self.name}_{self.records}"


def find_source(name: str) -> Source:
    """Return a source by its name; raises SettingsError, which names those that there are."""
    names = [module.name for module in iter_modules(sources.__path__)]
    if name not in names:
        raise SettingsError(f"there is no source {name!r}, only {', '.join(names)}")
    source: Source = import_module(f"{sources.__name__}.{name}").SOURCE
    return source
