"""The 21 nationalities of version 1.4, and the shapes of their numbers."""

import re
from typing import NamedTuple

from local.api.rng import Mask, mask

# Locale: whose names to take from mimesis, the nearest where it lacks the country's own. Masks: see
# `mask`; a postcode is JSON. Telephone numbers with letters and a broken Finnish one are as sent.
_TABLE = """
AU  en-au  Australia       0#-####-####     04##-###-###     TFN #########         !###|!###|2##
BR  pt-br  Brazil          (##) ####-####   (##) ####-####   CPF ###.###.###-##    !####
CA  en-ca  Canada          @## @##-####     @## @##-####     SIN #########         "@#@ #@#"
CH  de-ch  Switzerland     07# ### ## ##    07# ### ## ##    AVS 756.####.####.##  !###
DE  de     Germany         0###-#######     017#-#######     SVNR ## ###### @ ###  !####
DK  da     Denmark         ########         ########         CPR ######-####       !####
ES  es     Spain           9##-###-###      6##-###-###      DNI ########-@        !####
FI  fi     Finland         0!-###-###       04#-###-##-##    HETU NaNNA###undefined  !####
FR  fr     France          0!-##-##-##-##   06-##-##-##-##   INSEE ############# ##  !####
GB  en-gb  United Kingdom  01#### #####     07### ######     NINO @@ ## ## ## @  "@# #@@"|"@@## #@@"
IE  en-gb  Ireland         0#1-###-####     081-###-####     PPS #######T          !####
IN  en     India           9#########       9#########       UIDAI ############    !####
IR  fa     Iran            0##-########     09##-###-####    -                     !####
MX  es-mx  Mexico          (6##) ### ####   (6##) ### ####   NSS ## ## ## #### #   !####
NL  nl     Netherlands     (###)-###-####   (###)-###-####   BSN ########          !####
NO  no     Norway          !#######         9#######         FN ###########        "####"
NZ  en-gb  New Zealand     (###)-###-####   (###)-###-####   -                     !####
RS  hr     Serbia          0##-####-###     06#-####-###     SID #########         !####
TR  tr     Turkey          (###)-###-####   (###)-###-####   -                     !####
UA  uk     Ukraine         (09#) @##-####   (09#) @##-####   -                     !####
US  en     United States   (###) ###-####   (###) ###-####   SSN ###-##-####       !####
"""


class Nation(NamedTuple):
    """What the users of a nationality have in common."""

    locale: str
    country: str
    phone: Mask
    cell: Mask
    id: Mask
    """As JSON, like the postcode."""
    postcode: Mask


def _nation(columns: list[str]) -> Nation:
    locale, country, phone, cell, number, postcode = columns
    name, _, value = number.partition(" ")
    id_ = f'"name":"{name}","value":"{value}"' if value else '"name":"","value":null'
    return Nation(locale, country, mask(phone), mask(cell), mask(f"{{{id_}}}"), mask(postcode))


NATIONALITIES = {
    nat: _nation(columns)
    for nat, *columns in (re.split("  +", line) for line in _TABLE.strip().splitlines())
}
TITLES = {"male": ["Mr"], "female": ["Miss", "Mrs", "Ms"]}
SWISS_TITLES = {"male": ["Monsieur"], "female": ["Madame", "Mademoiselle"]}
