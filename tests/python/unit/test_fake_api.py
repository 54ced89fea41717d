"""The fake API: its responses have the fields and the quirks of the real API."""

import hashlib
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from local.api import serve

ROOT = Path(__file__).parents[3]

TEXT, NUMBER = {"str"}, {"int"}
FIELD_TYPES = {  # of the saved responses of version 1.4, in their order
    "results.gender": TEXT,
    "results.name.title": TEXT,
    "results.name.first": TEXT,
    "results.name.last": TEXT,
    "results.location.street.number": NUMBER,
    "results.location.street.name": TEXT,
    "results.location.city": TEXT,
    "results.location.state": TEXT,
    "results.location.country": TEXT,
    "results.location.postcode": TEXT | NUMBER,
    "results.location.coordinates.latitude": TEXT,
    "results.location.coordinates.longitude": TEXT,
    "results.location.timezone.offset": TEXT,
    "results.location.timezone.description": TEXT,
    "results.email": TEXT,
    "results.login.uuid": TEXT,
    "results.login.username": TEXT,
    "results.login.password": TEXT,
    "results.login.salt": TEXT,
    "results.login.md5": TEXT,
    "results.login.sha1": TEXT,
    "results.login.sha256": TEXT,
    "results.dob.date": TEXT,
    "results.dob.age": NUMBER,
    "results.registered.date": TEXT,
    "results.registered.age": NUMBER,
    "results.phone": TEXT,
    "results.cell": TEXT,
    "results.id.name": TEXT,
    "results.id.value": TEXT | {"NoneType"},
    "results.picture.large": TEXT,
    "results.picture.medium": TEXT,
    "results.picture.thumbnail": TEXT,
    "results.nat": TEXT,
    "info.seed": TEXT,
    "info.results": NUMBER,
    "info.page": NUMBER,
    "info.version": TEXT,
}
# A special letter in the names and places of a nationality, if it has any.
LETTERS = {
    **{"AU": "", "BR": "ã", "CA": "é", "CH": "ü", "DE": "ß", "DK": "ø", "ES": "ñ", "FI": "ä"},
    **{"FR": "é", "GB": "", "IE": "'", "IN": "", "IR": "س", "MX": "é", "NL": "", "NO": "å"},
    **{"NZ": "ā", "RS": "ć", "TR": "ş", "UA": "'", "US": ""},
}
STRING_POSTCODES = {"CA", "GB", "NO"}
NO_ID = {"IR", "NZ", "TR", "UA"}
ASCII = {chr(code) for code in range(32, 127)}


def get(url: str, **parameters: object) -> Any:
    """Return the response of the API to the parameters."""
    response = requests.get(
        url, params={name: str(value) for name, value in parameters.items()}, timeout=60
    )
    response.raise_for_status()
    return response.json()


def get_users(url: str, **parameters: object) -> list[dict[str, Any]]:
    """Return the users in the response of the API to the parameters."""
    return get(url, **parameters)["results"]  # type: ignore[no-any-return]


def field_types(value: object, path: str = "") -> dict[str, set[str]]:
    """Return the types of each leaf of a JSON document by path; items of a list share a path."""
    if not isinstance(value, dict | list):
        return {path: {type(value).__name__}}
    types: dict[str, set[str]] = {}
    for name, child in value.items() if isinstance(value, dict) else (("", v) for v in value):
        child_path = ".".join(part for part in (path, name) if part)
        for leaf, leaf_types in field_types(child, child_path).items():
            types[leaf] = types.get(leaf, set()) | leaf_types
    return types


@pytest.fixture(scope="module")
def page(api_url: str) -> list[dict[str, Any]]:
    """Return a page of the largest size."""
    return get_users(api_url, results=5_000, seed="page")


def test_response_has_fields_of_real_api(api_url: str) -> None:
    response = get(api_url, results=1_000, seed="fields")

    assert field_types(response) == FIELD_TYPES
    assert list(field_types(response)) == list(FIELD_TYPES)


@pytest.mark.parametrize("name", ["1.4", "1.4-passwords"])
def test_saved_responses_have_same_fields(name: str) -> None:
    saved = json.loads((ROOT / f"tests/responses/randomuser-{name}.json").read_text("utf-8"))

    assert field_types(saved) == FIELD_TYPES
    assert list(field_types(saved)) == list(FIELD_TYPES)


def test_seed_gives_same_users_in_every_process(api_url: str) -> None:
    bodies = []
    for hash_seed in ("1", "2"):
        process = subprocess.Popen(
            [sys.executable, "-m", "local.api"],
            cwd=ROOT,
            env={"PYTHONHASHSEED": hash_seed},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout
        url = process.stdout.readline().strip()
        bodies.append(get(url, results=300, seed="abc", page=3))
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=30) == ("", "")
        assert process.returncode == 0

    assert bodies[0] == bodies[1] == get(api_url, results=300, seed="abc", page=3)


def test_smaller_page_is_start_of_larger_page(api_url: str) -> None:
    assert get_users(api_url, results=20, seed="abc")[:10] == get_users(
        api_url, results=10, seed="abc"
    )


def test_page_number_is_appended_to_seed(api_url: str) -> None:
    twelfth = get_users(api_url, results=5, seed="abc", page=12)

    assert twelfth == get_users(api_url, results=5, seed="abc12")
    assert twelfth != get_users(api_url, results=5, seed="abc")


def test_response_without_seed_reports_random_seed(api_url: str) -> None:
    response = get(api_url, results=3)
    seed = response["info"]["seed"]

    assert re.fullmatch("[0-9a-f]{16}", seed)
    assert get(api_url, results=3, seed=seed) == response
    assert get(api_url, results=3)["info"]["seed"] != seed


@pytest.mark.parametrize("results", ["5001", "0", "-1", "1.5", "many", "", "9" * 5_000])
def test_invalid_results_gives_one_user(api_url: str, results: str) -> None:
    response = get(api_url, results=results, seed="abc")

    assert len(response["results"]) == response["info"]["results"] == 1


@pytest.mark.parametrize("page", ["10001", "-1", "0", "last"])
def test_invalid_page_gives_first_page(api_url: str, page: str) -> None:
    response = get(api_url, results=3, seed="abc", page=page)

    assert response == get(api_url, results=3, seed="abc", page=1)
    assert response["info"] == {"seed": "abc", "results": 3, "page": 1, "version": "1.4"}
    assert get(api_url, results=3, seed="abc", page=10_000)["info"]["page"] == 10_000


def test_gender_is_ignored_with_seed(api_url: str) -> None:
    assert {user["gender"] for user in get_users(api_url, results=100, gender="female")} == {
        "female"
    }
    seeded = get_users(api_url, results=100, gender="female", seed="abc")
    assert seeded == get_users(api_url, results=100, seed="abc")


def test_seed_of_18_characters_ends_in_nationality_or_fails(api_url: str) -> None:
    valid = get(api_url, results=50, seed="0123456789abcdef04")
    invalid = requests.get(api_url, {"seed": "0123456789abcdefgh"}, timeout=60)

    assert {user["nat"] for user in valid["results"]} == {"DE"}
    assert valid["info"]["seed"] == "0123456789abcdef0404"
    assert valid["results"] == get_users(api_url, results=50, seed="0123456789abcdef", nat="de")
    assert invalid.status_code == 500
    assert invalid.json().keys() == {"error"}


def test_inc_exc_and_noinfo_select_fields(api_url: str) -> None:
    full = get_users(api_url, results=5, seed="abc")
    included = get(f"{api_url}?noinfo", results=5, seed="abc", inc="login, name")
    excluded = get_users(api_url, results=5, seed="abc", exc="login,nat")

    assert included == {"results": [{key: user[key] for key in ("name", "login")} for user in full]}
    assert [list(user) for user in excluded] == [
        [key for key in user if key not in ("login", "nat")] for user in full
    ]


def test_nat_selects_nationalities_if_all_are_known(api_url: str) -> None:
    assert {user["nat"] for user in get_users(api_url, results=100, seed="a", nat="fi,UA")} == {
        "FI",
        "UA",
    }
    assert {
        user["nat"] for user in get_users(api_url, results=1_000, seed="a", nat="fi,xx")
    } == set(LETTERS)


@pytest.mark.parametrize("path", ["", "1.4", "1.4/"])
def test_api_serves_version_1_4(api_url: str, path: str) -> None:
    assert get(api_url + path)["info"]["version"] == "1.4"


@pytest.mark.parametrize("path", ["1.3/", "9.9/", "../elsewhere"])
def test_other_versions_are_not_found(api_url: str, path: str) -> None:
    response = requests.get(api_url + path, timeout=60)

    assert response.status_code == 404
    assert response.json().keys() == {"error"}


def test_rate_limit_applies_per_address(api_url: str) -> None:
    with serve(limit=20) as url:
        assert len(get_users(url, results=20)) == 20
        refused = requests.get(url, timeout=60)
    assert refused.status_code == 429
    assert refused.json()["error"].startswith("Whoa, ease up there cowboy. You've requested 20 ")
    assert "Retry-After" not in refused.headers
    assert len(get_users(api_url, results=5_000)) == 5_000  # the default has no limit


@pytest.mark.parametrize(
    "query",
    "? results [ %zz=% &=&= seed=%ff%00%22 nat=, inc=, inc=none page=1e9 password=,, "
    f"password=lower,- password=lower,{'9' * 5_000}".split(),
)
def test_invalid_parameters_give_one_user(api_url: str, query: str) -> None:
    response = get(f"{api_url}?{query}")

    assert len(response["results"]) == response["info"]["results"] == 1


def test_simultaneous_requests_get_their_own_users(api_url: str) -> None:
    seeds = [f"s{number}z" for number in range(24)]
    with ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(lambda seed: get(api_url, results=50, seed=seed), seeds))

    assert [response["info"]["seed"] for response in responses] == seeds
    assert responses == [get(api_url, results=50, seed=seed) for seed in seeds]


def find_texts(value: Any) -> Iterator[str]:
    """Yield every text in a JSON document."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for child in value.values():
            yield from find_texts(child)


@pytest.mark.parametrize("nat", LETTERS)
def test_nationality_has_its_own_names_and_numbers(api_url: str, nat: str) -> None:
    generated = get_users(api_url, results=500, seed="nat", nat=nat, exc="login,picture")

    assert LETTERS[nat] in "".join(text for user in generated for text in find_texts(user))
    assert {type(user["location"]["postcode"]) for user in generated} == {
        str if nat in STRING_POSTCODES else int
    }
    for user in generated:
        assert (user["id"]["value"] is None) == (user["id"]["name"] == "") == (nat in NO_ID)
        assert re.fullmatch(r"[a-z'.-]+\.[a-z'.-]+@example\.com", user["email"])
    titles = {"Monsieur", "Madame", "Mademoiselle"} if nat == "CH" else {"Mr", "Miss", "Mrs", "Ms"}
    assert {user["name"]["title"] for user in generated} == titles


def test_persian_letters_and_serbian_cyrillic_letters(api_url: str) -> None:
    for user in get_users(api_url, results=200, seed="nat", nat="ir"):
        place, name = user["location"], user["name"]
        for text in (name["first"], name["last"], place["street"]["name"], place["city"]):
            assert re.search("[\u0600-\u06ff]", text)
            assert not re.search("[A-Za-z]", text)
    serbian = get_users(api_url, results=200, seed="nat", nat="rs")
    streets = "".join(user["location"]["street"]["name"] for user in serbian)
    assert re.search("[\u0400-\u04ff]", streets)


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


def test_uuids_are_unique_and_usernames_are_not(api_url: str) -> None:
    logins = [
        user["login"]
        for number in range(1, 5)
        for user in get_users(api_url, results=5_000, seed="many", page=number, inc="login")
    ]
    usernames = [login["username"] for login in logins]

    assert len({login["uuid"] for login in logins}) == 20_000
    assert 250 < 20_000 - len(set(usernames)) < 500
    assert all(re.fullmatch("[a-z]+[1-9][0-9]{2}", name) for name in usernames)


def test_default_passwords_repeat_as_in_real_api(page: list[dict[str, Any]]) -> None:
    passwords = [user["login"]["password"] for user in page]

    assert 900 < len(set(passwords[:1_000])) < 960  # 923 in a real response
    assert 3_550 < len(set(passwords)) < 3_750  # 3,645


def test_requested_passwords_are_distinct_and_use_all_characters(api_url: str) -> None:
    rule = "special,upper,lower,number,24-32"
    generated = get_users(api_url, results=1_000, seed="p", password=rule, inc="login")
    passwords = [user["login"]["password"] for user in generated]

    assert len(set(passwords)) == 1_000
    assert set("".join(passwords)) == ASCII
    assert {len(password) for password in passwords} == set(range(24, 33))
    assert any(password.startswith(" ") for password in passwords)
    assert any(password.endswith(" ") for password in passwords)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("upper,8", "[A-Z]{8}"),
        ("lower,number", "[a-z0-9]{8,64}"),
        ("number,70-80", "[0-9]{8,64}"),
        ("unknown,8", "[a-z0-9]+"),
        ("", "[a-z0-9]+"),
    ],
)
def test_passwords_follow_requested_rule(api_url: str, rule: str, expected: str) -> None:
    for user in get_users(api_url, results=200, seed="p", password=rule):
        assert re.fullmatch(expected, user["login"]["password"])
