"""Generates a page of users."""

import hashlib
from datetime import UTC, datetime, timedelta
from string import ascii_letters, digits
from threading import Lock
from typing import Any
from uuid import UUID

import msgspec
from mimesis.enums import Gender
from text_unidecode import unidecode

from local.api.nationalities import NATIONALITIES, RANDOM
from local.api.request import VERSION, PasswordRule, Request

TITLES = {"male": ["Mr"], "female": ["Miss", "Mrs", "Ms"]}
SWISS_TITLES = {"male": ["Monsieur"], "female": ["Madame", "Mademoiselle"]}
PORTRAITS = {
    size: f"https://randomuser.me/api/portraits{folder}"
    for size, folder in (("large", ""), ("medium", "/med"), ("thumbnail", "/thumb"))
}
# With a number of three digits these are 23 * 26 * 900 usernames: some of 10,000 users share one.
ADJECTIVES = (
    "angry big black blue bouncy brown calm clever crazy golden green grumpy happy jolly lazy "
    "orange purple quiet red silver ticklish white yellow"
)
ANIMALS = (
    "badger bear bird cat crow deer dog duck eagle fish fox frog goose hare horse koala lion mouse "
    "otter owl panda rabbit seal tiger wolf zebra"
)
USERNAMES = [adjective + animal for adjective in ADJECTIVES.split() for animal in ANIMALS.split()]
TIMEZONES = {
    **{"-9:00": "Anchorage", "-5:00": "New York, Lima", "-3:30": "St. John's", "0:00": "London"},
    **{"+1:00": "Paris, Lagos", "+5:45": "Kathmandu", "+8:00": "Perth", "+11:00": "Nouméa"},
}
# Version 1.4 generates dates up to its release, and users of at least 21 years.
RELEASED = datetime(2022, 5, 23, 22, 16, 29)
REGISTERED_FROM, BORN_FROM = datetime(2002, 3, 21), datetime(1944, 8, 25)
BORN_UNTIL = RELEASED - timedelta(days=21 * 365)

_lock = Lock()  # of RANDOM


def generate_page(request: Request) -> str:
    """Return the response to `request`, as JSON."""
    seed = request.seed + (str(request.page) if request.page > 1 else "")
    today = datetime.now(UTC)
    with _lock:  # the service, too, seeds its generator with eight digits of the hash
        RANDOM.seed(int(_hash("md5", seed)[:8], 16))
        users = [_generate_user(request, today) for _ in range(request.results)]
    fields = [name for name in request.included or users[0] if name not in request.excluded]
    response: dict[str, Any] = {
        "results": [{name: user[name] for name in user if name in fields} for user in users]
    }
    if request.has_info:
        info = {"seed": request.seed, "results": request.results, "page": request.page}
        response["info"] = info | {"version": VERSION}
    return msgspec.json.encode(response).decode()


def _generate_user(request: Request, today: datetime) -> dict[str, Any]:
    """Return a user with all fields, so that `inc` and `exc` do not change the fields sent."""
    nat = RANDOM.choice(request.nationalities)
    country, number_name, person, address = NATIONALITIES[nat]
    gender = request.gender or RANDOM.choice(["male", "female"])
    first, last = person.first_name(Gender(gender)), person.last_name(Gender(gender))
    title = RANDOM.choice((SWISS_TITLES if nat == "CH" else TITLES)[gender])
    postcode, offset = address.postal_code(), RANDOM.choice([*TIMEZONES])
    portrait = f"{'men' if gender == 'male' else 'women'}/{RANDOM.randrange(97)}.jpg"
    return {
        "gender": gender,
        "name": {"title": title, "first": first, "last": last},
        "location": {
            "street": {"number": RANDOM.randrange(1, 10_000), "name": address.street_name()},
            "city": address.city(),
            "state": address.state(),
            "country": country,
            "postcode": int(postcode) if postcode.isdecimal() and postcode[0] != "0" else postcode,
            "coordinates": {
                "latitude": f"{RANDOM.uniform(-90, 90):.4f}",
                "longitude": f"{RANDOM.uniform(-180, 180):.4f}",
            },
            "timezone": {"offset": offset, "description": TIMEZONES[offset]},
        },
        "email": f"{_to_ascii(first)}.{_to_ascii(last)}@example.com",
        "login": _generate_login(request.password),
        "dob": _generate_date(BORN_FROM, BORN_UNTIL, today),
        "registered": _generate_date(REGISTERED_FROM, RELEASED, today),
        "phone": person.phone_number(),
        "cell": person.phone_number(),
        "id": {
            "name": number_name or "",
            "value": person.identifier("########-@") if number_name else None,
        },
        "picture": {size: f"{folder}/{portrait}" for size, folder in PORTRAITS.items()},
        "nat": nat,
    }


def _to_ascii(name: str) -> str:
    return "".join(filter(str.isalpha, unidecode(name))).lower()


def _generate_login(rule: PasswordRule | None) -> dict[str, str]:
    password = f"secret{RANDOM.randrange(7_547)}"  # the API has as many passwords
    if rule:
        characters, low, high = rule
        password = "".join(RANDOM.choices(characters, k=RANDOM.randint(low, high)))
    salt = "".join(RANDOM.choices(ascii_letters + digits, k=8))
    return {
        "uuid": str(UUID(int=RANDOM.getrandbits(128), version=4)),
        "username": f"{RANDOM.choice(USERNAMES)}{RANDOM.randrange(100, 1_000)}",
        "password": password,
        "salt": salt,
        **{name: _hash(name, password + salt) for name in ("md5", "sha1", "sha256")},
    }


def _hash(algorithm: str, text: str) -> str:
    return hashlib.new(algorithm, text.encode(), usedforsecurity=False).hexdigest()


def _generate_date(first: datetime, last: datetime, today: datetime) -> dict[str, str | int]:
    moment = first + (last - first) * RANDOM.random()
    age = today.year - moment.year - ((today.month, today.day) < (moment.month, moment.day))
    return {"date": f"{moment.isoformat(timespec='milliseconds')}Z", "age": age}
