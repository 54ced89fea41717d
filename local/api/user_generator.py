"""Generates a page of users as JSON text: encoding objects takes longer than generating them."""

import json
from datetime import UTC, datetime, timedelta
from hashlib import md5, sha1, sha256
from itertools import compress
from string import ascii_letters, digits
from uuid import UUID

from local.api.name_pools import TIMEZONES, USERNAMES, make_passwords, make_pool
from local.api.nationalities import NATIONALITIES, SWISS_TITLES, TITLES
from local.api.request import VERSION, PasswordRule, Request
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
# Version 1.4 generates dates up to its release and users of at least 21 years; in milliseconds.
RELEASED = 1_653_344_189_000
REGISTERED = (1_016_688_461_000, RELEASED)
BORN = (-800_000_000_000, RELEASED - 21 * 365 * 86_400_000)


def generate_page(request: Request) -> str:
    """Return the response to `request`, as JSON."""
    seed = request.seed + (str(request.page) if request.page > 1 else "")
    rng = Rng(int(md5(seed.encode(), usedforsecurity=False).hexdigest()[:8], 16))  # as the service
    today = datetime.now(UTC)
    users = [
        "{" + ",".join(compress(_generate_user(rng, request, today), request.fields)) + "}"
        for _ in range(request.results)
    ]
    info = {
        "seed": request.info_seed,
        "results": request.results,
        "page": request.page,
        "version": VERSION,
    }
    info_json = f',"info":{json.dumps(info, separators=(",", ":"))}' if request.has_info else ""
    return f'{{"results":[{",".join(users)}]{info_json}}}'


def _generate_user(rng: Rng, request: Request, today: datetime) -> tuple[str, ...]:
    """Return the fields of a user in the order of FIELDS, each as `"name":value`.

    Fields that are not sent are generated too, so that `inc` and `exc` do not change the others.
    """
    nat = rng.pick(request.nationalities)
    nationality, pool = NATIONALITIES[nat], make_pool(nat)
    gender = request.gender or rng.pick(["male", "female"])
    title = rng.pick((SWISS_TITLES if nat == "CH" else TITLES)[gender])
    first, email_first = rng.pick(pool.first[gender])
    last, email_last = rng.pick(pool.last)
    return (
        f'"gender":"{gender}"',
        f'"name":{{"title":"{title}","first":{first},"last":{last}}}',
        f'"location":{{"street":{{"number":{rng.pick_number(1, 10_000)},'
        f'"name":{rng.pick(pool.streets)}}},"city":{rng.pick(pool.cities)},'
        f'"state":{rng.pick(pool.states)},"country":"{nationality.country}",'
        f'"postcode":{rng.fill_mask(nationality.postcode)},'
        f'"coordinates":{{"latitude":"{rng.random() * 180 - 90:.4f}",'
        f'"longitude":"{rng.random() * 360 - 180:.4f}"}},"timezone":{rng.pick(TIMEZONES)}}}',
        f'"email":"{email_first}.{email_last}@example.com"',
        f'"login":{_generate_login(rng, request.password)}',
        f'"dob":{_format_date(rng.pick_number(*BORN), today)}',
        f'"registered":{_format_date(rng.pick_number(*REGISTERED), today)}',
        f'"phone":"{rng.fill_mask(nationality.phone)}"',
        f'"cell":"{rng.fill_mask(nationality.cell)}"',
        f'"id":{rng.fill_mask(nationality.id)}',
        rng.pick(PICTURES[gender]),
        f'"nat":"{nat}"',
    )


def _generate_login(rng: Rng, rule: PasswordRule | None) -> str:
    if rule:
        characters, low, high = rule
        password = "".join(rng.choices(characters, k=rng.pick_number(low, high + 1)))
    else:
        password = rng.pick(make_passwords())
    uuid = UUID(int=rng.getrandbits(128), version=4)
    salt = "".join(rng.choices(ascii_letters + digits, k=8))
    salted = (password + salt).encode()
    return (
        f'{{"uuid":"{uuid}","username":"{rng.pick(USERNAMES)}{rng.pick_number(100, 1000)}",'
        f'"password":{json.dumps(password)},"salt":"{salt}",'
        f'"md5":"{md5(salted, usedforsecurity=False).hexdigest()}",'
        f'"sha1":"{sha1(salted, usedforsecurity=False).hexdigest()}",'
        f'"sha256":"{sha256(salted).hexdigest()}"}}'
    )


def _format_date(milliseconds: int, today: datetime) -> str:
    moment = EPOCH + timedelta(milliseconds=milliseconds)
    age = today.year - moment.year - ((today.month, today.day) < (moment.month, moment.day))
    return f'{{"date":"{moment.isoformat(timespec="milliseconds")}Z","age":{age}}}'
