"""The APIs that `python -m ingest` loads, one module each."""
