"""The loader believes no answer unchecked: each that is not what was asked for ends the load."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import Run, Warehouse
from wrong_api import Query, WrongApi, serve_wrong

from ingest import api
from ingest.answers import SourceError

SEED = "0123x"


@pytest.fixture
def wrong_api() -> Iterator[WrongApi]:
    with serve_wrong() as served:
        yield served


def good(query: Query) -> dict[str, Any]:
    count = int(query["results"])
    info = {"seed": query["seed"], "results": count, "page": int(query["page"]), "version": "1.4"}
    return {"results": [{"login": {"uuid": str(n)}} for n in range(count)], "info": info}


def answered(query: Query, users: int | None = None, **info: Any) -> bytes:
    """A good answer but for `info`, and with `users` users whatever it says."""
    answer = good(query)
    answer["info"] |= info
    if users is not None:
        answer["results"] = [{}] * users
    return json.dumps(answer).encode()


WRONG = {
    "one user for too many": (lambda q: answered(q, 1, results=1), "got ('0123x', 1, 1, '1.4')"),
    "another page": (lambda q: answered(q, page=7), "got ('0123x', 3, 7, '1.4')"),
    "another seed": (lambda q: answered(q, seed="abc"), "got ('abc', 3, 1, '1.4')"),
    "another version": (lambda q: answered(q, version="1.3"), "got ('0123x', 3, 1, '1.3')"),
    "no info": (lambda q: json.dumps({"results": good(q)["results"]}).encode(), "has no info"),
    "no results": (lambda q: json.dumps({"info": good(q)["info"]}).encode(), "has no results"),
    "results not a list": (
        lambda q: json.dumps(good(q) | {"results": {"a": 1}}).encode(),
        "Expected `array | null`, got `object`",
    ),
    "too few users": (lambda q: answered(q, 2), "says that it holds 3 users and holds 2"),
    "too many users": (lambda q: answered(q, 4), "says that it holds 3 users and holds 4"),
    "an outage": (lambda q: answered(q, 0, seed="d3adb33f", results=0), "holds no users"),
    "an error": (lambda _: b'{"error": "Uh oh"}', "is an error of the API: Uh oh"),
    "HTML": (lambda _: b"<html>down</html>", "is not JSON: "),
    "nothing": (lambda _: b"", "is not JSON: "),
    "cut short": (lambda q: answered(q)[:-9], "is not JSON: "),
    "not UTF-8": (lambda q: answered(q).replace(b"uuid", b"\xff"), "is not JSON: 'utf-8'"),
}


@pytest.mark.parametrize(("body", "came"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_answer_with_http_200_is_refused_and_named(
    wrong_api: WrongApi, body: Any, came: str
) -> None:
    wrong_api.body = body
    with pytest.raises(SourceError) as refused:
        list(api.pages(wrong_api.url, 3, SEED, ""))
    assert f"page 1 (3 users) of {wrong_api.url}" in str(refused.value)
    assert came in str(refused.value)
    assert len(wrong_api.asked) == 1


@pytest.mark.parametrize(
    ("status", "headers", "named"),
    [(404, {}, "HTTP 404 Not Found"), (302, {"Location": "/elsewhere"}, "HTTP 302 Found")],
)
def test_another_http_status_is_refused_and_a_redirect_is_not_followed(
    wrong_api: WrongApi, status: int, headers: Query, named: str
) -> None:
    wrong_api.status, wrong_api.headers, wrong_api.body = status, headers, answered
    with pytest.raises(SourceError, match=re.escape(named)) as refused:
        list(api.pages(wrong_api.url, 3, SEED, ""))
    assert f"page 1 (3 users) of {wrong_api.url}" in str(refused.value)
    assert len(wrong_api.asked) == 1


def test_a_right_answer_passes_and_the_url_says_which_version_is_right(wrong_api: WrongApi) -> None:
    wrong_api.body = answered
    (page,) = api.pages(wrong_api.url, 3, SEED, "")
    assert [json.loads(bytes(user))["login"]["uuid"] for user in page.users] == ["0", "1", "2"]
    with pytest.raises(SourceError, match=re.escape("('0123x', 3, 1, '1.3'), got")):
        list(api.pages(f"{wrong_api.url}1.3/", 3, SEED, ""))


def test_one_wrong_page_among_right_ones_lands_nothing(
    run: Run, warehouse: Warehouse, wrong_api: WrongApi
) -> None:
    wrong_api.body = lambda q: answered(q, page=1)
    done = run("ingest", "--users", "2500", RANDOMUSER_URL=wrong_api.url)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "page 2 (1000 users)" in done.stderr and "nothing was landed" in done.stderr
    raw = run.raw
    for table in ("users where loaded_at >= timestamp '1970-01-01'", "loads"):
        assert warehouse.rows(f"select count(*) from {raw}.{table}") == [(0,)]
    left = [table.table_id for table in warehouse.client.list_tables(raw)]
    assert sorted(left) == ["loads", "users"]
