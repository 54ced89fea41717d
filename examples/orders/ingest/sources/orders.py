"""Requests the orders of an hour from an API that grows, with a token and pages by token."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import msgspec
from pydantic import Field, SecretStr

from ingest.fetcher import PageFetcher
from ingest.load_id import read_interval
from ingest.response import SourceError
from ingest.settings import Dataset, Settings, Url
from ingest.source import Load, Page, Source, hash_request

INTERVAL = timedelta(hours=1)  # that of RANDOMUSER_SCHEDULE


class OrdersSettings(Settings):
    """The settings of this source: ORDERS_URL, ORDERS_TOKEN, ORDERS_RAW_DATASET."""

    orders_url: Url
    orders_token: SecretStr = Field(min_length=1)
    raw_dataset: Dataset = Field("raw_orders", alias="orders_raw_dataset")


class Orders(Page):
    """A response: the orders that were created from `created_from` until before `created_to`."""

    records: list[msgspec.Raw] = msgspec.field(name="orders")
    created_from: datetime
    created_to: datetime
    next_token: str | None = None  # of the next page; none in the last one


def request(settings: OrdersSettings, load_id: str) -> Load:
    """Return a load: the orders of the hour that begins at its load id."""
    url, interval = settings.orders_url, read_interval(load_id, INTERVAL)
    key = hash_request(urlsplit(url).path, INTERVAL.total_seconds())
    return Load(load_id, url, key, fetch_pages(settings, interval))


def fetch_pages(settings: OrdersSettings, interval: tuple[datetime, datetime]) -> Iterator[Page]:
    """Yield the pages of an interval; raise SourceError if a page is wrong or missing."""
    created_from, created_to = map(datetime.isoformat, interval)
    parameters = {"created_from": created_from, "created_to": created_to}
    with PageFetcher(SOURCE, settings.orders_url, settings) as fetcher:
        fetcher.headers["Authorization"] = f"Bearer {settings.orders_token.get_secret_value()}"
        token: str | None = ""
        while token is not None:
            page = fetcher.fetch(parameters | ({"token": token} if token else {}))
            if (received := (page.created_from, page.created_to)) != interval:
                sent = " to ".join(map(datetime.isoformat, received))
                raise SourceError(f"requested orders of {created_from} to {created_to}, got {sent}")
            yield page
            token = page.next_token


SOURCE = Source(
    name="orders",
    records="orders",
    settings=OrdersSettings,
    page=Orders,
    person=("customer", "id"),
    request=request,
)
