"""DuckDB alone loads NDJSON files into typed tables users, logins and locations: the limit.

    python duckdb_alone.py FOLDER FILE...

FOLDER gets `peer.duckdb`; FILEs have one user a line. The types of the fields are given, so that
DuckDB infers nothing. The script validates, merges and tests nothing, and keeps no raw.
"""

import sys
from pathlib import Path

import duckdb

FOLDER, FILES = Path(sys.argv[1]), sys.argv[2:]
FIELDS = """{
    gender: 'varchar', email: 'varchar', phone: 'varchar', cell: 'varchar', nat: 'varchar',
    name: 'struct(title varchar, first varchar, last varchar)',
    id: 'struct(name varchar, value varchar)',
    picture: 'struct(large varchar)',
    dob: 'struct(date timestamp)',
    registered: 'struct(date timestamp)',
    login: 'struct(uuid varchar, username varchar, password varchar, salt varchar, md5 varchar,
        sha1 varchar, sha256 varchar)',
    location: 'struct(street struct(number varchar, name varchar), city varchar, state varchar,
        country varchar, postcode varchar, coordinates struct(latitude double, longitude double),
        timezone struct("offset" varchar, description varchar))'
}"""
ADDRESS = ("street.number", "street.name", "city", "state", "country", "postcode")
LOCATION_ID = f"md5(concat_ws('-', {', '.join(f'location.{field}' for field in ADDRESS)}))"
TABLES = {
    "users": f"""
        login.uuid as user_id, {LOCATION_ID} as location_id, gender, name.*, nat,
        id.name as identity_name, id.value as identity_value, dob.date::date as born_on,
        email, phone, cell, picture.large as picture_url, registered.date as registered_at""",
    "logins": "login.* rename (uuid as login_uuid)",
    "locations": f"""
        {LOCATION_ID} as location_id,
        location.street.number as street_number, location.street.name as street_name,
        location.city, location.state, location.country, location.postcode,
        location.coordinates.latitude, location.coordinates.longitude,
        location.timezone.offset as timezone_offset,
        location.timezone.description as timezone_description""",
}


def main() -> None:
    """Create the three tables."""
    with duckdb.connect(str(FOLDER / "peer.duckdb")) as connection:
        connection.sql("create schema randomuser")
        files = f"read_ndjson({FILES}, columns = {FIELDS})"
        connection.sql(f"create temp table results as from {files}")
        for table, columns in TABLES.items():
            connection.sql(f"create table randomuser.{table} as select {columns} from results")


if __name__ == "__main__":
    main()
