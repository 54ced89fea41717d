"""The 21 nationalities of version 1.4, and the masks of their numbers."""

import re
from typing import NamedTuple

from local.api.rng import Mask, parse_mask

# Columns: locale of mimesis (a similar one if mimesis lacks the country), country, and the masks of
# phone, cell, id and postcode (as JSON). Letters and the broken Finnish id are as the API sends.
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


class Nationality(NamedTuple):
    """The names and numbers of the users of a nationality."""

    locale: str
    country: str
    phone: Mask
    cell: Mask
    id: Mask
    """The fields of `id`, as JSON; the postcode is JSON too."""
    postcode: Mask


def _parse_columns(columns: list[str]) -> Nationality:
    locale, country, phone, cell, number, postcode = columns
    name, _, value = number.partition(" ")
    id_json = f'"name":"{name}","value":"{value}"' if value else '"name":"","value":null'
    return Nationality(locale, country, *map(parse_mask, (phone, cell, f"{{{id_json}}}", postcode)))


NATIONALITIES = {
    nat: _parse_columns(columns)
    for nat, *columns in (re.split("  +", line) for line in _TABLE.strip().splitlines())
}
TITLES = {"male": ["Mr"], "female": ["Miss", "Mrs", "Ms"]}
SWISS_TITLES = {"male": ["Monsieur"], "female": ["Madame", "Mademoiselle"]}
