"""No secret leaves its place in a run of the pipeline, and no log or alert shows a user.

Each secret and the values of two users are marked here, so that a search for the marks finds them
in whatever was written, printed, sent, stored, or shown in the list of processes.
"""

import json
import subprocess
import sys
from base64 import b64encode
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from support import faulty_api
from support.commands import BUILD, ROOT, Run, make_prod_settings
from support.fake_slack import FakeSlack, fake_slack
from support.fake_slack import Response as SlackResponse
from support.faulty_api import Handler, Query
from support.proxy import Request, Response, json_response, proxy
from support.warehouse import Warehouse

WEBHOOK, NAME, PASSWORD = "WebhookXoXo", "NameXoXo", "PasswordXoXo"
BASIC = b64encode(f"{NAME}:{PASSWORD}".encode()).decode()  # how the API receives the two
TOKEN, KEY_TOKEN = "TokenXoXo", "KeyTokenXoXo"  # for dbt: from the environment, and by a key file
LOGIN, PERSON = "LoginXoXo", "PersonXoXo"  # in the password of each user, in two users' values
SETTINGS = [WEBHOOK, NAME, PASSWORD, BASIC, TOKEN, KEY_TOKEN]
UUID = "0badc0de-0000-4000-8000-000000000000"
INGEST = ("ingest", "--users", "40", "--load-id", "x")
LOCAL = "-m local -- python -m ingest --users 5"


@dataclass
class Watch:
    """What the servers see of the commands, and of the list of processes while a command waits."""

    api_url: str
    status: int = 200  # the API's, from now on
    body_end: int | None = None  # where the API's body is cut
    processes: set[bytes] = field(default_factory=set)
    credentials: set[str] = field(default_factory=set)  # received by the API and BigQuery

    def see(self, credentials: object) -> None:
        self.credentials.add(str(credentials))
        for file in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):  # it has ended
                self.processes.add(file.read_bytes().replace(b"\0", b" "))

    def send_users(self, handler: Handler, query: Query) -> None:
        """Send the users of the fake API with marks; the first of them is rejected."""
        self.see(handler.headers["Authorization"])
        page: dict[str, Any] = requests.get(self.api_url, query, timeout=60).json()
        for user in page["results"]:
            for name in ("password", "salt", "md5", "sha1", "sha256"):
                user["login"][name] = LOGIN + user["login"][name]
        for number, user in enumerate(page["results"][:2]):
            user |= {name: f"{PERSON} {name}" for name in ("email", "phone", "cell", "new")}
            user["id"]["value"] = user["location"]["street"]["name"] = f"{PERSON} {number}"
            user["login"] |= {"uuid": UUID, "username": PERSON * number}
            user["dob"]["date"] = f"{PERSON} date"
        handler.send_body(json.dumps(page).encode()[: self.body_end], self.status)

    def see_request(self, request: Request) -> Response | None:
        """Exchange a key for a token, as Google does; BigQuery responds to any other request."""
        self.see(request.headers["Authorization"])
        token = {"access_token": KEY_TOKEN, "expires_in": 3600, "token_type": "Bearer"}
        return json_response(200, token) if request.path == "/token" else None


def write_key_file(file: Path, token_url: str) -> str:
    """Write a service account with a private key, and return a line of the key."""
    key = generate_private_key(65537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    account = {"type": "service_account", "client_email": "me@example.com", "private_key": pem}
    file.write_text(json.dumps(account | {"token_uri": token_url}))
    return pem.splitlines()[5]


def run_with_variables(run: Run, watch: Watch, slack: FakeSlack, private: Path) -> list[Any]:
    """Run every command with its secrets in the environment; return what was printed."""
    wrong_url = run.environment["RANDOMUSER_URL"].replace(PASSWORD, f"#{PASSWORD}")
    closed_url, ingest_failed = f"http://{NAME}:{PASSWORD}@127.0.0.1:1", "ingest=failed"
    slack.responses = [SlackResponse(429, "rate_limited", 0), SlackResponse(404, "no_service")]
    done = [
        run("ingest", "--check"),
        run(*INGEST),
        run(*INGEST),
        run("ingest", RANDOMUSER_URL=closed_url, RETRY_SECONDS="1"),
        run("ingest", RANDOMUSER_URL=wrong_url),
        run("ingest", "--list"),
    ]
    watch.body_end = 1000
    done.append(run("ingest", "--users", "40"))
    watch.status = 503
    done.append(run("ingest", "--users", "40", RETRY_SECONDS="1"))
    watch.status, watch.body_end = 200, None
    done += [
        run("dbt", "debug"),
        run("dbt", "--debug", "source", "freshness"),
        run(*BUILD, "--store-failures"),
        run("publish", "history"),
        run("publish", "csv"),
        run("publish", "csv", "--with-secrets", "--output", private / "exports"),
        run("publish", "report"),
        run("publish", "alert", ALERT_TASKS=ingest_failed),
        run("publish", "alert", ALERT_TASKS=ingest_failed),
        run("publish", "alert", BIGQUERY_EMULATOR_HOST="http://127.0.0.1:1"),
    ]
    expected = [0, 0, 0, 1, 2, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0]
    assert [each.returncode for each in done] == expected, done
    return done


def run_with_files(run: Run, private: Path) -> list[Any]:
    """Move the secrets to files and run the commands that read them; return what was printed."""
    for name in ("RANDOMUSER_URL", "SLACK_WEBHOOK_URL"):
        (private / name).write_text(f"{run.environment.pop(name)}\n")
        run.environment[f"{name}_FILE"] = str(private / name)
    del run.environment["DBT_ENV_SECRET_BIGQUERY_TOKEN"]
    run.environment |= {"BIGQUERY_METHOD": "oauth", "LOCAL_DIR": str(private / "local")}
    run.environment["GOOGLE_APPLICATION_CREDENTIALS"] = str(private / "key.json")
    local, settings = [sys.executable, *LOCAL.split()], run.environment
    done = [
        subprocess.run(local, cwd=ROOT, env=settings, capture_output=True, text=True, check=False),
        run("ingest", "--users", "5"),
        run("dbt", "debug"),
        run("publish", "alert", ALERT_TASKS="ingest=success"),
    ]
    assert not any(each.returncode for each in done), done
    return done


def find_marks(marks: list[str], texts: dict[str, str]) -> list[str]:
    return [f"{mark} in {name}" for name, text in texts.items() for mark in marks if mark in text]


def test_secrets_and_users_stay_in_their_places(
    run: Run, warehouse: Warehouse, api_url: str, tmp_path: Path
) -> None:
    private, watch = tmp_path / "private", Watch(api_url)
    private.mkdir()
    with (
        proxy(warehouse.url) as bigquery,
        fake_slack(WEBHOOK) as slack,
        faulty_api.serve(watch.send_users) as api,
    ):
        bigquery.before = watch.see_request
        key = write_key_file(private / "key.json", f"{bigquery.url}/token")
        run.environment |= make_prod_settings(private, bigquery.url) | {
            "BIGQUERY_EMULATOR_HOST": bigquery.url,
            "RANDOMUSER_URL": api.url.replace("://", f"://{NAME}:{PASSWORD}@"),
            "SLACK_WEBHOOK_URL": slack.url,
            "DBT_ENV_SECRET_BIGQUERY_TOKEN": TOKEN,
            "LOG_LEVEL": "DEBUG",
        }
        done = run_with_variables(run, watch, slack, private) + run_with_files(run, private)

    shown = {f"{n} {each.args}": each.stdout + each.stderr for n, each in enumerate(done)}
    shown |= {  # without the uploads of users, and the credentials that Google exchanges
        f"request {request.number}": f"{request.path} {request.body.decode()}"
        for request in bigquery.requests
        if b"PAR1" not in request.body and request.path != "/token"
    }
    shown["Slack"] = "\n".join(slack.accepted)
    shown["processes"] = b"\n".join(watch.processes).decode()
    files = {
        str(file.relative_to(tmp_path)): file.read_text("utf-8", "replace")
        for file in tmp_path.rglob("*")
        if file.is_file() and private not in file.parents
    }
    exports = {name: files.pop(name) for name in list(files) if name.startswith("exports/")}
    tables = warehouse.read_texts(run.raw, run.analytics)
    secret = {name: tables.pop(name) for name in list(tables) if "_restricted." in name}
    secret[f"{run.raw}.users"] = tables.pop(f"{run.raw}.users")
    about_loads = {name: text for name, text in tables.items() if name.startswith(run.raw)}

    assert find_marks([*SETTINGS, key], shown | files | exports | tables | secret) == []
    assert find_marks([LOGIN], shown | files | exports | tables) == []
    assert find_marks([PERSON, UUID], shown | files | about_loads) == []

    # The marks were there to be found.
    assert watch.credentials >= {f"Basic {BASIC}", f"Bearer {TOKEN}", f"Bearer {KEY_TOKEN}"}
    assert len(slack.request_times) == 5 and len(slack.accepted) == 3
    assert LOCAL in shown["processes"]
    assert {"logs/dbt.log", "target/manifest.json", "target/partial_parse.msgpack"} <= set(files)
    assert len(about_loads) == 5 and PERSON in exports["exports/users.csv"]
    assert LOGIN in (private / "exports/logins.csv").read_text()
    assert LOGIN in secret[f"{run.analytics}_restricted.stg_randomuser__rejected"]
    assert str(shown).count("; read 1,000 bytes") > 2
