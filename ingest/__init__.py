"""Loads users of the randomuser.me API into BigQuery, as sent, exactly once: `python -m ingest`."""

__version__ = "0.3.0"
