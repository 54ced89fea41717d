"""A loader behind two proxies, in which a test injects a fault at a named step."""

import re
import signal
from collections import Counter
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from support.commands import Process, Run
from support.proxy import CutError, Proxy, Request, Response, proxy

UPLOADED, LEDGER = "the load job runs", "the ledger is written"
STEPS = {
    r"GET .*[?&]page=": "a page is requested",
    r"GET .*/tables/(users|loads)\b": "the tables are looked for",
    r"GET .*/jobs/randomuser-": "an earlier job is looked for",
    r"GET .*/(jobs|queries)/": "a job's end is waited for",
    r"POST .*as now_at": "the load is looked up",
    r"POST /upload/": "an upload starts",
    r"PUT /upload/": UPLOADED,
    r"POST .*randomuser-ledger-": LEDGER,
    r"POST .*/datasets\?": "the dataset is made",
    r'POST .*"tableId": ?"users"': "the table of users is made",
    r'POST .*"tableId": ?"forgotten"': "the list of forgotten users is made",
    r"POST .*exists [^ ]*forgotten_key": "the key of that list is made",
    r'POST .*"tableId": ?"loads"': "the ledger is made",
}
FIRST_RUN = {step for step in STEPS.values() if step.endswith(" is made")}

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

    def kill_at(self, step: str, *flags: str, after: bool = False, time: int = 1) -> None:
        """Run the loader until it comes to a step, and kill it there."""

        def kill() -> None:
            process.kill()
            raise CutError

        self.act_at(step, kill, after=after, times=(time,))
        process = self.start(*flags)
        output, errors = process.communicate()
        assert process.returncode == -signal.SIGKILL, output + errors
        self.pass_everything()

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
