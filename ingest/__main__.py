"""`python -m ingest`: see ingest/cli.py."""

import sys

# Google's client and pyarrow import these where they are installed, and dbt-bigquery installs
# them: for DataFrames and gRPC, which the loader does not use, they would take half of its memory.
UNUSED = {"grpc", "numpy", "pandas"}


class _Without:
    def find_spec(self, name: str, *_: object) -> None:
        if name in UNUSED:
            raise ModuleNotFoundError(f"the loader does without {name}", name=name)


if __name__ == "__main__":
    sys.meta_path.insert(0, _Without())
    from ingest.cli import main

    sys.exit(main())
