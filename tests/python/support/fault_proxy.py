"""A loader behind two proxies, in which a test injects a fault at a named step."""

import re
from collections import Counter
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from support.commands import Process, Run
from support.proxy import Proxy, Request, Response, proxy

STEPS = {
    r"GET .*[?&]page=": "a page is requested",
    r"GET .*/tables/loads\b": "the ledger is looked up",
    r"POST .*/datasets\?|GET .*/datasets/[^/?]+\?": "the dataset is made",
    r"POST /upload/": "an upload starts",
    r"PUT /upload/": "a part is uploaded",
    r"DELETE .*/tables/landing_": "the landing table is dropped",
    r"POST .*count\(\*\) as users,": "the landing table is counted",
    r"POST .*randomuser-users-": "the users are moved to raw",
    r"POST .*randomuser-ledger-": "the ledger is written",
    r'POST .*"tableId": ?"landing_|GET .*/tables/landing_': "the landing table is made",
    r'POST .*"tableId": ?"users"|GET .*/tables/users\?': "the table of users is made",
    r'POST .*"tableId": ?"loads"': "the ledger is made",
    r'POST .*"forgotten"|GET .*/tables/forgotten\?': "the list of forgotten users is made",
    r"POST .*exists [^ ]*forgotten_key": "the key of that list is made",
    r"POST .*select users_landed": "the ledger is queried",
    r"GET .*/(jobs|queries)/": "a job's end is waited for",
}

FIRST_RUN = {"the dataset is made", "the table of users is made", "the ledger is made"}
FIRST_RUN |= {"the list of forgotten users is made", "the key of that list is made"}

Action = Callable[[], Response | None]


@dataclass
class ProxiedLoader:
    """A loader whose requests to the API and to BigQuery pass through proxies.

    `steps` counts the requests of each step since the last `act_at`.
    """

    run: Run
    api: Proxy
    bigquery: Proxy
    steps: Counter[str] = field(default_factory=Counter)

    def start(self, *flags: str, **extra: str) -> Process:
        """Start the loader; keywords are added to its environment."""
        proxies = {
            "RANDOMUSER_URL": f"{self.api.url}/api/",
            "BIGQUERY_EMULATOR_HOST": self.bigquery.url,
        }
        return self.run.start("ingest", *flags, **proxies | extra)

    def act_at(
        self, step: str, action: Action, *, after: bool = False, times: Container[int] = (1,)
    ) -> None:
        """Call `action` at a step's first request (or `times`), or `after` its response.

        A response that `action` returns is sent instead; it may raise CutError.
        """
        self.steps.clear()
        due = set[int]()  # requests to act after

        def on_request(request: Request) -> Response | None:
            current = self.step_of(request)
            self.steps[current] += 1
            if current != step or self.steps[current] not in times:
                return None
            if after:
                due.add(id(request))
                return None
            return action()

        def on_response(request: Request, _: Response) -> Response | None:
            return action() if id(request) in due else None

        for each in (self.api, self.bigquery):
            each.before, each.after = on_request, on_response

    def pass_everything(self) -> None:
        """Pass everything on."""
        self.act_at("nothing", lambda: None)

    @staticmethod
    def step_of(request: Request) -> str:
        """Return the step of a request, or the request itself, which no test expects."""
        body = "" if request.method == "PUT" else request.body.decode()
        text = f"{request.method} {request.path}? {body}"
        steps = (step for pattern, step in STEPS.items() if re.match(pattern, text, re.DOTALL))
        return next(steps, text)


@contextmanager
def proxied_loader(run: Run) -> Iterator[ProxiedLoader]:
    """Put proxies before the API and the BigQuery of `run` until the block ends."""
    api_url = urlsplit(run.environment["RANDOMUSER_URL"])
    with (
        proxy(f"{api_url.scheme}://{api_url.netloc}") as api,
        proxy(run.environment["BIGQUERY_EMULATOR_HOST"]) as bigquery,
    ):
        loader = ProxiedLoader(run, api, bigquery)
        loader.pass_everything()
        yield loader
