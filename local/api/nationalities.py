"""The 21 nationalities of version 1.4, with the names and places of mimesis."""

from typing import NamedTuple

from mimesis import Address, Person
from mimesis.locales import Locale
from mimesis.random import Random

# Locale of mimesis (a similar one if mimesis lacks the country), name of the national number (four
# nationalities have none), country.
_TABLE = """
AU en-au TFN   Australia
BR pt-br CPF   Brazil
CA en-ca SIN   Canada
CH de-ch AVS   Switzerland
DE de    SVNR  Germany
DK da    CPR   Denmark
ES es    DNI   Spain
FI fi    HETU  Finland
FR fr    INSEE France
GB en-gb NINO  United Kingdom
IE en-gb PPS   Ireland
IN en    UIDAI India
IR fa    -     Iran
MX es-mx NSS   Mexico
NL nl    BSN   Netherlands
NO no    FN    Norway
NZ en-au -     New Zealand
RS hr    SID   Serbia
TR tr    -     Turkey
UA uk    -     Ukraine
US en    SSN   United States
"""
RANDOM = Random()  # of all users; it is seeded for each page


class Nationality(NamedTuple):
    """What the users of a nationality have in common."""

    country: str
    number_name: str | None
    person: Person
    address: Address


def _parse_line(locale_name: str, number_name: str, country: str) -> Nationality:
    locale, name = Locale(locale_name), None if number_name == "-" else number_name
    return Nationality(country, name, Person(locale, random=RANDOM), Address(locale, random=RANDOM))


NATIONALITIES = {
    nat: _parse_line(*columns)
    for nat, *columns in (line.split(maxsplit=3) for line in _TABLE.strip().splitlines())
}
