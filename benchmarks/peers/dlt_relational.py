"""dlt loads the API over HTTP into the tables users, logins and locations of a DuckDB file.

    python dlt_relational.py FOLDER URL SEED PASSWORD USERS PAGE_USERS CONCURRENCY

FOLDER gets `peer.duckdb` and dlt's own working files. The work is the pipeline's without its tests:
pages of PAGE_USERS users, CONCURRENCY pages requested at once, nested JSON into columns, every
table merged on the key login.uuid.

It is tuned as https://dlthub.com/docs/reference/performance recommends: pages are yielded instead
of rows, dlt's own requests and orjson, responses fetched in parallel, files that rotate so that
every core normalizes, buffers larger than the default of 5,000 items, Parquet to the destination,
finished files deleted.
"""

import os
import sys
from pathlib import Path

FOLDER, URL, SEED, PASSWORD, USERS, PAGE_USERS, CONCURRENCY = sys.argv[1:8]
CORES = str(os.cpu_count() or 1)

# Set before dlt is imported. Extract has one worker per concurrent request: they only wait.
os.environ |= {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "EXTRACT__WORKERS": CONCURRENCY,
    "DATA_WRITER__BUFFER_MAX_ITEMS": "25000",
    "DATA_WRITER__FILE_MAX_ITEMS": "25000",
    "DATA_WRITER__DISABLE_COMPRESSION": "true",
    "NORMALIZE__WORKERS": CORES,
    "LOAD__WORKERS": CORES,
    "LOAD__DELETE_COMPLETED_JOBS": "true",
}

import dlt
from dlt.common import json
from dlt.sources.helpers import requests

PARAMETERS = {"seed": SEED} | ({"password": PASSWORD} if PASSWORD else {})
MERGED = {"write_disposition": "merge", "primary_key": "login_uuid"}


@dlt.source
def randomuser():
    """Fetch every response once and pass it to the three tables."""

    @dlt.resource(selected=False)
    def pages():
        for number, first in enumerate(range(0, int(USERS), int(PAGE_USERS)), start=1):
            yield {"page": number, "results": min(int(PAGE_USERS), int(USERS) - first)}

    @dlt.transformer(data_from=pages, parallelized=True, selected=False)
    def results(page):
        response = requests.get(URL, params=PARAMETERS | page, timeout=60)
        return json.loadb(response.content)["results"]

    @dlt.transformer(data_from=results, **MERGED)
    def users(results):
        fields = ("gender", "name", "email", "phone", "cell", "id", "nat")
        yield [
            {name: user[name] for name in fields}
            | {
                "login_uuid": user["login"]["uuid"],
                "born_on": user["dob"]["date"],
                "registered_at": user["registered"]["date"],
                "picture_url": user["picture"]["large"],
            }
            for user in results
        ]

    @dlt.transformer(data_from=results, **MERGED)
    def logins(results):
        fields = ("username", "password", "salt", "md5", "sha1", "sha256")
        yield [
            {name: user["login"][name] for name in fields} | {"login_uuid": user["login"]["uuid"]}
            for user in results
        ]

    @dlt.transformer(data_from=results, **MERGED)
    def locations(results):
        # A postcode is a number or a string; dlt would create two columns for it.
        yield [
            user["location"]
            | {
                "login_uuid": user["login"]["uuid"],
                "postcode": str(user["location"]["postcode"]),
            }
            for user in results
        ]

    return users, logins, locations


def main() -> None:
    """Run the pipeline once."""
    pipeline = dlt.pipeline(
        "peer",
        pipelines_dir=str(Path(FOLDER, "pipelines")),
        destination=dlt.destinations.duckdb(str(Path(FOLDER, "peer.duckdb"))),
        dataset_name="randomuser",
    )
    pipeline.run(randomuser(), loader_file_format="parquet")


if __name__ == "__main__":
    main()
