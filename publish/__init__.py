"""Hands the marts to people: `python -m publish csv`, `python -m publish report`."""
