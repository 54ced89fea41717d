"""The fake API: it has the shape and the traps of the real one."""

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
SHAPE = {  # of every real answer of version 1.4 that is at hand, in the order of its fields
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
# A letter or mark that shows up in each nationality's names and places, where it has any.
LETTERS = {
    **{"AU": "", "BR": "ã", "CA": "é", "CH": "ü", "DE": "ß", "DK": "ø", "ES": "ñ", "FI": "ä"},
    **{"FR": "é", "GB": "", "IE": "'", "IN": "", "IR": "س", "MX": "é", "NL": "", "NO": "å"},
    **{"NZ": "ā", "RS": "ć", "TR": "ş", "UA": "'", "US": ""},
}
STRING_POSTCODES = {"CA", "GB", "NO"}
NO_ID = {"IR", "NZ", "TR", "UA"}
ASCII = {chr(code) for code in range(32, 127)}


def get(url: str, **parameters: object) -> Any:
    """What the API answers to the parameters."""
    response = requests.get(url, params={k: str(v) for k, v in parameters.items()}, timeout=60)
    response.raise_for_status()
    return response.json()


def users(url: str, **parameters: object) -> list[dict[str, Any]]:
    """The users that the API answers to the parameters."""
    return get(url, **parameters)["results"]  # type: ignore[no-any-return]


def shape(value: object, path: str = "") -> dict[str, set[str]]:
    """The types of every leaf of a JSON document, by path; the items of a list share one."""
    if not isinstance(value, dict | list):
        return {path: {type(value).__name__}}
    types: dict[str, set[str]] = {}
    for name, child in value.items() if isinstance(value, dict) else (("", v) for v in value):
        below = ".".join(part for part in (path, name) if part)
        for leaf, seen in shape(child, below).items():
            types[leaf] = types.get(leaf, set()) | seen
    return types


@pytest.fixture(scope="module")
def page(api_url: str) -> list[dict[str, Any]]:
    """The biggest page there is."""
    return users(api_url, results=5_000, seed="page")


def test_an_answer_has_the_shape_of_a_real_one(api_url: str) -> None:
    answer = get(api_url, results=1_000, seed="shape")

    assert shape(answer) == SHAPE
    assert list(shape(answer)) == list(SHAPE)


@pytest.mark.parametrize("answer", ["1.4", "1.4-passwords"])
def test_the_shape_is_that_of_the_saved_answers(answer: str) -> None:
    real = json.loads((ROOT / f"tests/answers/randomuser-{answer}.json").read_text("utf-8"))

    assert shape(real) == SHAPE
    assert list(shape(real)) == list(SHAPE)


def test_the_same_seed_gives_the_same_users_in_every_process(api_url: str) -> None:
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


def test_fewer_users_are_the_first_of_more(api_url: str) -> None:
    assert users(api_url, results=20, seed="abc")[:10] == users(api_url, results=10, seed="abc")


def test_the_seed_of_a_page_ends_in_its_number(api_url: str) -> None:
    twelfth = users(api_url, results=5, seed="abc", page=12)

    assert twelfth == users(api_url, results=5, seed="abc12")
    assert twelfth != users(api_url, results=5, seed="abc")


def test_without_a_seed_a_random_one_is_echoed_and_gives_the_same_users(api_url: str) -> None:
    answer = get(api_url, results=3)
    seed = answer["info"]["seed"]

    assert re.fullmatch("[0-9a-f]{16}", seed)
    assert get(api_url, results=3, seed=seed) == answer
    assert get(api_url, results=3)["info"]["seed"] != seed


@pytest.mark.parametrize("results", ["5001", "0", "-1", "1.5", "many", "", "9" * 5_000])
def test_too_many_results_or_no_whole_number_give_one_user(api_url: str, results: str) -> None:
    answer = get(api_url, results=results, seed="abc")

    assert len(answer["results"]) == answer["info"]["results"] == 1


@pytest.mark.parametrize("page", ["10001", "-1", "0", "last"])
def test_past_the_last_page_comes_the_first(api_url: str, page: str) -> None:
    answer = get(api_url, results=3, seed="abc", page=page)

    assert answer == get(api_url, results=3, seed="abc", page=1)
    assert answer["info"] == {"seed": "abc", "results": 3, "page": 1, "version": "1.4"}
    assert get(api_url, results=3, seed="abc", page=10_000)["info"]["page"] == 10_000


def test_gender_counts_only_without_a_seed(api_url: str) -> None:
    assert {user["gender"] for user in users(api_url, results=100, gender="female")} == {"female"}
    seeded = users(api_url, results=100, gender="female", seed="abc")
    assert seeded == users(api_url, results=100, seed="abc")


def test_a_seed_of_18_characters_ends_in_a_nationality_or_breaks(api_url: str) -> None:
    lucky = get(api_url, results=50, seed="0123456789abcdef04")
    unlucky = requests.get(api_url, {"seed": "0123456789abcdefgh"}, timeout=60)

    assert {user["nat"] for user in lucky["results"]} == {"DE"}
    assert lucky["info"]["seed"] == "0123456789abcdef0404"
    assert lucky["results"] == users(api_url, results=50, seed="0123456789abcdef", nat="de")
    assert unlucky.status_code == 500
    assert unlucky.json().keys() == {"error"}


def test_inc_and_exc_choose_the_fields_and_noinfo_drops_the_rest(api_url: str) -> None:
    full = users(api_url, results=5, seed="abc")
    included = get(f"{api_url}?noinfo", results=5, seed="abc", inc="login, name")
    excluded = users(api_url, results=5, seed="abc", exc="login,nat")

    assert included == {"results": [{key: u[key] for key in ("name", "login")} for u in full]}
    assert [list(user) for user in excluded] == [
        [key for key in user if key not in ("login", "nat")] for user in full
    ]


def test_nat_chooses_nationalities_unless_one_is_unknown(api_url: str) -> None:
    assert {u["nat"] for u in users(api_url, results=100, seed="a", nat="fi,UA")} == {"FI", "UA"}
    assert {u["nat"] for u in users(api_url, results=1_000, seed="a", nat="fi,xx")} == set(LETTERS)


@pytest.mark.parametrize("path", ["", "1.4", "1.4/"])
def test_version_1_4_answers(api_url: str, path: str) -> None:
    assert get(api_url + path)["info"]["version"] == "1.4"


@pytest.mark.parametrize("path", ["1.3/", "9.9/", "../elsewhere"])
def test_nothing_else_is_found(api_url: str, path: str) -> None:
    response = requests.get(api_url + path, timeout=60)

    assert response.status_code == 404
    assert response.json().keys() == {"error"}


def test_an_address_that_asks_for_too_many_users_is_refused(api_url: str) -> None:
    with serve(limit=20) as url:
        assert len(users(url, results=20)) == 20
        refused = requests.get(url, timeout=60)
    assert refused.status_code == 429
    assert refused.json()["error"].startswith("Whoa, ease up there cowboy. You've requested 20 ")
    assert "Retry-After" not in refused.headers
    assert len(users(api_url, results=5_000)) == 5_000  # no limit unless asked for


@pytest.mark.parametrize(
    "query",
    "? results [ %zz=% &=&= seed=%ff%00%22 nat=, inc=, inc=none page=1e9 password=,, "
    f"password=lower,- password=lower,{'9' * 5_000}".split(),
)
def test_bad_parameters_are_survived(api_url: str, query: str) -> None:
    answer = get(f"{api_url}?{query}")

    assert len(answer["results"]) == answer["info"]["results"] == 1


def test_connections_at_once_get_their_own_users(api_url: str) -> None:
    seeds = [f"s{number}z" for number in range(24)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda seed: get(api_url, results=50, seed=seed), seeds))

    assert [answer["info"]["seed"] for answer in answers] == seeds
    assert answers == [get(api_url, results=50, seed=seed) for seed in seeds]


def strings(value: Any) -> Iterator[str]:
    """Every text in a JSON document."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for child in value.values():
            yield from strings(child)


@pytest.mark.parametrize("nat", LETTERS)
def test_a_nationality_has_its_own_names_and_numbers(api_url: str, nat: str) -> None:
    people = users(api_url, results=500, seed="nat", nat=nat, exc="login,picture")

    assert LETTERS[nat] in "".join(text for user in people for text in strings(user))
    assert {type(u["location"]["postcode"]) for u in people} == {
        str if nat in STRING_POSTCODES else int
    }
    for user in people:
        assert (user["id"]["value"] is None) == (user["id"]["name"] == "") == (nat in NO_ID)
        assert re.fullmatch(r"[a-z'.-]+\.[a-z'.-]+@example\.com", user["email"])
    titles = {"Monsieur", "Madame", "Mademoiselle"} if nat == "CH" else {"Mr", "Miss", "Mrs", "Ms"}
    assert {user["name"]["title"] for user in people} == titles


def test_persian_is_in_persian_letters_and_serbian_has_stray_cyrillic_ones(api_url: str) -> None:
    for user in users(api_url, results=200, seed="nat", nat="ir"):
        place, name = user["location"], user["name"]
        for text in (name["first"], name["last"], place["street"]["name"], place["city"]):
            assert re.search("[\u0600-\u06ff]", text)
            assert not re.search("[A-Za-z]", text)
    serbian = users(api_url, results=200, seed="nat", nat="rs")
    streets = "".join(user["location"]["street"]["name"] for user in serbian)
    assert re.search("[\u0400-\u04ff]", streets)


def test_users_are_made_of_what_belongs_together(page: list[dict[str, Any]]) -> None:
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


def test_no_two_of_20_000_users_share_a_uuid_but_some_share_a_name(api_url: str) -> None:
    logins = [
        user["login"]
        for number in range(1, 5)
        for user in users(api_url, results=5_000, seed="many", page=number, inc="login")
    ]
    names = [login["username"] for login in logins]

    assert len({login["uuid"] for login in logins}) == 20_000
    assert 250 < 20_000 - len(set(names)) < 500
    assert all(re.fullmatch("[a-z]+[1-9][0-9]{2}", name) for name in names)


def test_passwords_repeat_like_words_of_a_list(page: list[dict[str, Any]]) -> None:
    words = [user["login"]["password"] for user in page]

    assert 900 < len(set(words[:1_000])) < 960  # 923 in a real answer
    assert 3_550 < len(set(words)) < 3_750  # 3,645


def test_passwords_asked_for_are_distinct_and_of_every_printable_character(api_url: str) -> None:
    asked = "special,upper,lower,number,24-32"
    people = users(api_url, results=1_000, seed="p", password=asked, inc="login")
    words = [user["login"]["password"] for user in people]

    assert len(set(words)) == 1_000
    assert set("".join(words)) == ASCII
    assert {len(word) for word in words} == set(range(24, 33))
    assert any(word.startswith(" ") for word in words)
    assert any(word.endswith(" ") for word in words)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("upper,8", "[A-Z]{8}"),
        ("lower,number", "[a-z0-9]{8,64}"),
        ("number,70-80", "[0-9]{8,64}"),
        ("unknown,8", "[a-z0-9]+"),
        ("", "[a-z0-9]+"),
    ],
)
def test_passwords_are_made_as_asked(api_url: str, asked: str, expected: str) -> None:
    for user in users(api_url, results=200, seed="p", password=asked):
        assert re.fullmatch(expected, user["login"]["password"])
