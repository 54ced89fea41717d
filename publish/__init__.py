"""Hands the marts to people: `python -m publish csv`, `report` and `alert`."""
