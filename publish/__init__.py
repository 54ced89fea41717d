"""Publishes the marts: `python -m publish csv`, `report` and `alert`."""
