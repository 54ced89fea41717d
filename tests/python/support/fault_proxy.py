"""The loader with a proxy on each of its wires, so that a test can say at which step what fails."""

import re
from collections import Counter
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from support.commands import Process, Run
from support.proxy import Answer, Proxy, Request, proxy

STEPS = {
    r"GET .*[?&]page=": "a page is asked for",
    r"GET .*/tables/loads\b": "the ledger is looked for",
    r"POST .*/datasets\?|GET .*/datasets/[^/?]+\?": "the dataset is made",
    r"POST /upload/": "an upload begins",
    r"PUT /upload/": "a part is uploaded",
    r"DELETE .*/tables/landing_": "the landing table is dropped",
    r"POST .*count\(\*\) as users,": "the landing table is counted",
    r"POST .*randomuser-users-": "the users are moved to raw",
    r"POST .*randomuser-ledger-": "the ledger is written",
    r'POST .*"tableId": ?"landing_|GET .*/tables/landing_': "the landing table is made",
    r'POST .*"tableId": ?"users"|GET .*/tables/users\?': "the table of users is made",
    r'POST .*"tableId": ?"loads"': "the ledger is made",
    r"POST .*select users_landed": "the ledger is asked",
    r"GET .*/(jobs|queries)/": "a job's end is waited for",
}

FIRST_RUN = {"the dataset is made", "the table of users is made", "the ledger is made"}

Act = Callable[[], Answer | None]


@dataclass
class Wires:
    """Both wires of a loader; steps are counted from the last `at`."""

    run: Run
    api: Proxy
    bigquery: Proxy
    steps: Counter[str] = field(default_factory=Counter)

    def start(self, *flags: str, **extra: str) -> Process:
        """Start the loader; keywords are added to its environment."""
        here = {
            "RANDOMUSER_URL": f"{self.api.url}/api/",
            "BIGQUERY_EMULATOR_HOST": self.bigquery.url,
        }
        return self.run.start("ingest", *flags, **here | extra)

    def at(self, step: str, do: Act, *, after: bool = False, times: Container[int] = (1,)) -> None:
        """Do something when a step comes for the first time (or `times`), or `after` it is done.

        What `do` returns, if not None, is answered; it may raise CutError.
        """
        self.steps.clear()
        due = set[int]()  # requests to act after

        def on_come(request: Request) -> Answer | None:
            came = self.name(request)
            self.steps[came] += 1
            if came != step or self.steps[came] not in times:
                return None
            if after:
                due.add(id(request))
                return None
            return do()

        def on_done(request: Request, _: Answer) -> Answer | None:
            return do() if id(request) in due else None

        for wire in (self.api, self.bigquery):
            wire.before, wire.after = on_come, on_done

    def be_well(self) -> None:
        """Pass everything on."""
        self.at("nothing", lambda: None)

    @staticmethod
    def name(request: Request) -> str:
        """Return what a request is for; raises StopIteration where that is not known."""
        body = "" if request.method == "PUT" else request.body.decode()
        said = f"{request.method} {request.path}? {body}"
        return next(name for pattern, name in STEPS.items() if re.match(pattern, said, re.DOTALL))


@contextmanager
def wires(run: Run) -> Iterator[Wires]:
    """Put proxies before the API and the BigQuery of `run` until the block ends."""
    there = urlsplit(run.environment["RANDOMUSER_URL"])
    with (
        proxy(f"{there.scheme}://{there.netloc}") as api,
        proxy(run.environment["BIGQUERY_EMULATOR_HOST"]) as bigquery,
    ):
        made = Wires(run, api, bigquery)
        made.be_well()
        yield made
