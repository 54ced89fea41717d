"""Publishes the marts: `python -m publish csv`, `history`, `report` and `alert`."""
