"""`python -m local.api`: serve the fake API until it is interrupted, on loopback by default."""

import argparse
import signal
import sys

from local.api import serve


def main() -> None:
    """Print the URL, then serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m local.api", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on (a free one)")
    parser.add_argument("--limit", type=int, help="users per address in 5 minutes (no limit)")
    flags = parser.parse_args()

    stop_signals = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, stop_signals)  # threads inherit the mask
    with serve(port=flags.port, host=flags.host, limit=flags.limit) as url:
        sys.stdout.write(f"{url}\n")
        sys.stdout.flush()
        signal.sigwait(stop_signals)


if __name__ == "__main__":
    main()
