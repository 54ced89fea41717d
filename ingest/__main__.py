"""`python -m ingest`: see ingest/cli.py."""

import sys

if __name__ == "__main__":
    # Google's client and pyarrow import these where they are installed, and dbt-bigquery installs
    # them: for DataFrames and gRPC, which the loader does not use, they would take half of its
    # memory. None stands for a module that is not there.
    sys.modules |= dict.fromkeys(("grpc", "numpy", "pandas"))  # type: ignore[arg-type]
    from ingest.cli import main

    sys.exit(main())
