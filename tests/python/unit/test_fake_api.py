"""The fake API: its responses have the fields and the quirks of the real API."""

import hashlib
import json
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
from support.commands import ROOT

from local.api import serve

RULE = "special,upper,lower,number,24-32"  # that of the loader
SAVED = ROOT / "tests/responses"


def get(url: str, query: str = "") -> Any:
    response = requests.get(f"{url}?{query}", timeout=60)
    response.raise_for_status()
    return response.json()


def get_users(url: str, query: str) -> list[dict[str, Any]]:
    return get(url, query)["results"]  # type: ignore[no-any-return]


def field_types(value: Any, path: str = "") -> dict[str, set[type]]:
    """Return the types of each leaf of a JSON document by path; items of a list share a path."""
    if not isinstance(value, dict | list):
        return {path: {type(value)}}
    types: dict[str, set[type]] = {}
    for name, child in value.items() if isinstance(value, dict) else ((">", v) for v in value):
        for leaf, leaf_types in field_types(child, f"{path} {name}").items():
            types[leaf] = types.get(leaf, set()) | leaf_types
    return types


@pytest.fixture(scope="module")
def page(api_url: str) -> list[dict[str, Any]]:
    """A page of the largest size."""
    return get_users(api_url, "results=5000&seed=page")


@pytest.mark.parametrize("name", ["1.4", "1.4-passwords"])
def test_response_has_fields_of_saved_response(api_url: str, name: str) -> None:
    saved = field_types(json.loads((SAVED / f"randomuser-{name}.json").read_text("utf-8")))
    sent = field_types(get(api_url, "results=1000&seed=fields"))
    assert list(sent.items()) == list(saved.items())


def test_seed_gives_same_users_in_every_process(api_url: str) -> None:
    command = [sys.executable, "-m", "local.api"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        url, query = process.stdout.readline().strip(), "results=300&seed=abc&page=3"
        response = get(url, query)
        process.send_signal(signal.SIGTERM)
        assert (process.communicate()[0], process.returncode) == ("", 0)
    assert response == get(api_url, query)


def test_page_number_is_appended_to_seed(api_url: str) -> None:
    twelfth = get_users(api_url, "results=5&seed=abc&page=12")
    assert twelfth == get_users(api_url, "results=9&seed=abc12")[:5]
    assert twelfth != get_users(api_url, "results=5&seed=abc")
    response, other = get(api_url, "results=3"), get(api_url, "results=3")
    assert response["info"]["seed"] != other["info"]["seed"]
    assert response == get(api_url, f"results=3&seed={response['info']['seed']}")


@pytest.mark.parametrize(
    ("query", "users", "page"),
    [
        ("results=5000&page=10000", 5_000, 10_000),
        *((f"results={wrong}&page=2", 1, 2) for wrong in (5_001, 0, -1, 1.5, "", "9" * 5_000)),
        *((f"results=3&page={wrong}", 3, 1) for wrong in (10_001, -1, "last")),
        ("[&%zz=%&=&=&nat=,&inc=,&inc=none&password=,,&password=lower,-", 1, 1),
    ],
    ids=str,
)
def test_invalid_parameters_are_ignored(api_url: str, query: str, users: int, page: int) -> None:
    response = get(api_url, f"{query}&seed=abc")
    info = {"seed": "abc", "results": users, "page": page, "version": "1.4"}
    assert response["info"] == info
    assert len(response["results"]) == users


def test_parameters_choose_users_and_fields(api_url: str) -> None:
    full = get_users(api_url, "results=200&seed=abc")
    nats = {user["nat"] for user in full}
    assert len(nats) == len({user["location"]["country"] for user in full}) == 21
    assert {user["nat"] for user in get_users(api_url, "results=99&nat=fi,UA")} == {"FI", "UA"}
    assert {user["nat"] for user in get_users(api_url, "results=999&nat=fi,xx")} == nats
    assert {user["gender"] for user in get_users(api_url, "results=99&gender=male")} == {"male"}
    assert get_users(api_url, "results=200&seed=abc&gender=male") == full  # as at the service
    included = get(api_url, "results=200&seed=abc&inc=login,%20name&noinfo")
    assert included == {"results": [{key: user[key] for key in ("name", "login")} for user in full]}
    excluded = get_users(api_url, "results=200&seed=abc&exc=login,nat")
    assert [{*user} for user in excluded] == [{*user} - {"login", "nat"} for user in full]


def test_limit_and_other_versions_are_errors(api_url: str) -> None:
    assert get(api_url + "1.4/") and get(api_url + "1.4")
    with serve(limit=20) as url:
        assert len(get_users(url, "results=20")) == 20
        responses = {429: requests.get(url, timeout=60)}
    responses[404] = requests.get(api_url + "1.3/", timeout=60)
    assert [response.status_code for response in responses.values()] == [429, 404]
    assert all(response.json().keys() == {"error"} for response in responses.values())
    assert "Whoa, ease up there cowboy" in responses[429].json()["error"]
    assert "Retry-After" not in responses[429].headers


def test_simultaneous_requests_get_their_own_users(api_url: str) -> None:
    queries = [f"results=400&seed=s{number}z" for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(lambda query: get(api_url, query), queries))
    assert responses == [get(api_url, query) for query in queries]


def test_fields_of_user_match(page: list[dict[str, Any]]) -> None:
    today = datetime.now(UTC)
    for user in page:
        login, place = user["login"], user["location"]
        salted = (login["password"] + login["salt"]).encode()
        for algorithm in ("md5", "sha1", "sha256"):
            digest = hashlib.new(algorithm, salted, usedforsecurity=False).hexdigest()
            assert login[algorithm] == digest
        folder = "men" if user["gender"] == "male" else "women"
        assert re.search(rf"/portraits/{folder}/\d\d?\.jpg$", user["picture"]["large"])
        for angle, most in (("latitude", 90), ("longitude", 180)):
            assert re.fullmatch(r"-?\d+\.\d{4}", place["coordinates"][angle])
            assert abs(float(place["coordinates"][angle])) <= most
        assert re.fullmatch(r"[+-]?\d\d?:\d\d", place["timezone"]["offset"])
        for moment in (user["dob"], user["registered"]):
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", moment["date"])
            years = (today - datetime.fromisoformat(moment["date"])).days / 365.25
            assert abs(years - moment["age"] - 0.5) < 0.51
        assert re.fullmatch(r"[a-z]+\.[a-z]+@example\.com", user["email"])
        has_no_id = user["nat"] in ("IR", "NZ", "TR", "UA")
        assert (user["id"]["value"] is None) == (user["id"]["name"] == "") == has_no_id
    text = json.dumps(page, ensure_ascii=False)
    assert all(letter in text for letter in ("é", "ß", "ø", "ñ", "س", "ж", "ş", "'"))
    text_postcodes = [user for user in page if isinstance(user["location"]["postcode"], str)]
    assert {"CA", "GB"} < {user["nat"] for user in text_postcodes}


def test_usernames_and_default_passwords_repeat_as_at_service(api_url: str) -> None:
    logins = [
        user["login"]
        for number in (1, 2)
        for user in get_users(api_url, f"results=5000&seed=many&page={number}&inc=login")
    ]
    assert len({login["uuid"] for login in logins}) == 10_000
    assert 50 < 10_000 - len({login["username"] for login in logins}) < 150
    assert 3_550 < len({login["password"] for login in logins[:5_000]}) < 3_750  # 3,645


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (RULE, "[ -~]{24,32}"),
        ("upper,8", "[A-Z]{8}"),
        ("lower,number", "[a-z0-9]{8,64}"),
        ("number,70-80", "[0-9]{8,64}"),
        ("unknown,8", "[a-z0-9]+"),
    ],
)
def test_passwords_follow_requested_rule(api_url: str, rule: str, expected: str) -> None:
    generated = get_users(api_url, f"results=1000&seed=p&password={rule}")
    passwords = [user["login"]["password"] for user in generated]
    assert [password for password in passwords if not re.fullmatch(expected, password)] == []
    if rule == RULE:
        assert len({*passwords}) == 1_000
        assert {*"".join(passwords)} == {chr(code) for code in range(32, 127)}
        assert any(map(str.startswith, passwords, " " * 1_000))
        assert any(map(str.endswith, passwords, " " * 1_000))
