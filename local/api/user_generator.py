"""Makes up the users of a page, as text: encoding objects would take longer than making them up."""

import json
from datetime import UTC, datetime, timedelta
from hashlib import md5, sha1, sha256
from itertools import compress
from string import ascii_letters, digits
from uuid import UUID

from local.api.name_pools import TIMEZONES, USERNAMES, passwords, pool
from local.api.nationalities import NATIONALITIES, SWISS_TITLES, TITLES
from local.api.request import VERSION, Password, Request
from local.api.rng import Rng

PORTRAITS = "https://randomuser.me/api/portraits"
PICTURES = {
    gender: [
        f'"picture":{{"large":"{PORTRAITS}/{folder}/{number}.jpg",'
        f'"medium":"{PORTRAITS}/med/{folder}/{number}.jpg",'
        f'"thumbnail":"{PORTRAITS}/thumb/{folder}/{number}.jpg"}}'
        for number in range(count)
    ]
    for gender, folder, count in [("male", "men", 100), ("female", "women", 97)]
}
EPOCH = datetime(1970, 1, 1)
# Version 1.4 stopped its clock at its release, when nobody was younger than 21; in milliseconds.
RELEASED = 1_653_344_189_000
REGISTERED = (1_016_688_461_000, RELEASED)
BORN = (-800_000_000_000, RELEASED - 21 * 365 * 86_400_000)


def page(request: Request) -> str:
    """The answer to `request`, as JSON."""
    rng = Rng(request.seed + (str(request.page) if request.page > 1 else ""))
    today = datetime.now(UTC)
    users = [
        "{" + ",".join(compress(_user(rng, request, today), request.fields)) + "}"
        for _ in range(request.results)
    ]
    info = {
        "seed": request.echo,
        "results": request.results,
        "page": request.page,
        "version": VERSION,
    }
    tail = f',"info":{json.dumps(info, separators=(",", ":"))}' if request.info else ""
    return f'{{"results":[{",".join(users)}]{tail}}}'


def _user(rng: Rng, request: Request, today: datetime) -> tuple[str, ...]:
    """The fields of a user in the order of FIELDS, each as `"name":value`.

    Those that are not sent are made too, so that `inc` and `exc` do not change the others.
    """
    nat = rng.pick(request.nations)
    nation, names = NATIONALITIES[nat], pool(nat)
    gender = request.gender or rng.pick(["male", "female"])
    title = rng.pick((SWISS_TITLES if nat == "CH" else TITLES)[gender])
    first, email_first = rng.pick(names.first[gender])
    last, email_last = rng.pick(names.last)
    return (
        f'"gender":"{gender}"',
        f'"name":{{"title":"{title}","first":{first},"last":{last}}}',
        f'"location":{{"street":{{"number":{rng.number(1, 10_000)},'
        f'"name":{rng.pick(names.streets)}}},"city":{rng.pick(names.cities)},'
        f'"state":{rng.pick(names.states)},"country":"{nation.country}",'
        f'"postcode":{rng.fill(nation.postcode)},'
        f'"coordinates":{{"latitude":"{rng.random() * 180 - 90:.4f}",'
        f'"longitude":"{rng.random() * 360 - 180:.4f}"}},"timezone":{rng.pick(TIMEZONES)}}}',
        f'"email":"{email_first}.{email_last}@example.com"',
        f'"login":{_login(rng, request.password)}',
        f'"dob":{_date(rng.number(*BORN), today)}',
        f'"registered":{_date(rng.number(*REGISTERED), today)}',
        f'"phone":"{rng.fill(nation.phone)}"',
        f'"cell":"{rng.fill(nation.cell)}"',
        f'"id":{rng.fill(nation.id)}',
        rng.pick(PICTURES[gender]),
        f'"nat":"{nat}"',
    )


def _login(rng: Rng, asked: Password | None) -> str:
    if asked:
        characters, low, high = asked
        password = "".join(rng.choices(characters, k=rng.number(low, high + 1)))
    else:
        password = rng.pick(passwords())
    uuid = UUID(int=rng.getrandbits(128), version=4)
    salt = "".join(rng.choices(ascii_letters + digits, k=8))
    salted = (password + salt).encode()
    return (
        f'{{"uuid":"{uuid}","username":"{rng.pick(USERNAMES)}{rng.number(100, 1000)}",'
        f'"password":{json.dumps(password)},"salt":"{salt}",'
        f'"md5":"{md5(salted, usedforsecurity=False).hexdigest()}",'
        f'"sha1":"{sha1(salted, usedforsecurity=False).hexdigest()}",'
        f'"sha256":"{sha256(salted).hexdigest()}"}}'
    )


def _date(milliseconds: int, today: datetime) -> str:
    at = EPOCH + timedelta(milliseconds=milliseconds)
    age = today.year - at.year - ((today.month, today.day) < (at.month, at.day))
    return f'{{"date":"{at.isoformat(timespec="milliseconds")}Z","age":{age}}}'
