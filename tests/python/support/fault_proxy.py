"""A command behind a proxy, in which a test injects a fault at a named step."""

import re
import signal
from collections.abc import Callable, Container, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from support.commands import Process, Run
from support.load_checks import finish
from support.proxy import CutError, Proxy, Request, Response, pass_on, proxy

# The steps of the loader.
UPLOADED, LEDGER, TABLE = "the load job runs", "the ledger is written", "the ledger is made"
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
    r'POST .*"tableId": ?"loads"': TABLE,
}
FIRST_RUN = {step for step in STEPS.values() if step.endswith(" is made")}


def loader_step(request: Request) -> str:
    """Return the step of a request of the loader, or the request itself if it is of no step."""
    body = "" if request.method == "PUT" else request.body.decode()
    text = f"{request.method} {request.path}? {body}"
    steps = (step for pattern, step in STEPS.items() if re.match(pattern, text, re.DOTALL))
    return next(steps, text)


@dataclass
class ProxiedCommand:
    """A command whose requests to the API and to BigQuery pass through a proxy."""

    words: tuple[str, ...]
    run: Run
    proxy: Proxy
    step_of: Callable[[Request], Hashable]

    def start(self, *flags: str, **extra: str) -> Process:
        """Start the command; keywords are added to its environment."""
        return self.run.start(*self.words, *flags, **extra)

    def finish(self, *flags: str, **extra: str) -> str:
        """Run the command without a fault; it must end well. Return what it printed."""
        self.proxy.before = self.proxy.after = pass_on
        return finish(self.start(*flags, **extra))

    def act_at(
        self,
        step: Hashable,
        action: Callable[[Request], Response | None],
        *,
        after: bool = False,
        times: Container[int] = (1,),
    ) -> list[Request]:
        """Call `action` at a step's first request (or `times`), or `after` its response.

        A response that `action` returns is sent instead; it may raise CutError. Return a list, to
        which each request of the step is added.
        """
        reached = list[Request]()

        def act(request: Request, *_: Response) -> Response | None:
            if self.step_of(request) != step:
                return None
            reached.append(request)
            return action(request) if len(reached) in times else None

        self.proxy.before, self.proxy.after = (pass_on, act) if after else (act, pass_on)
        return reached

    def kill_at(self, step: Hashable, *flags: str, after: bool = False, time: int = 1) -> bool:
        """Run the command and kill it at a step; return whether it came there."""

        def kill(_: Request) -> None:
            process.kill()
            raise CutError

        self.act_at(step, kill, after=after, times=(time,))
        process = self.start(*flags)
        output, errors = process.communicate()
        assert process.returncode in (0, -signal.SIGKILL), output + errors
        return process.returncode != 0


@contextmanager
def proxied(
    run: Run, *words: str, step_of: Callable[[Request], Hashable]
) -> Iterator[ProxiedCommand]:
    """Put a proxy before the API and the BigQuery of `run` until the block ends."""
    names = ("BIGQUERY_EMULATOR_HOST", "RANDOMUSER_URL")
    with proxy(*(run.environment[name] for name in names)) as served:
        urls = {names[0]: served.url, names[1]: f"{served.url}/api/"}
        yield ProxiedCommand(words, Run(run.environment | urls), served, step_of)
