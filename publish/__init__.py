"""Publishes the marts: `python -m publish csv`, `history`, `report`, `alert` and `heartbeat`."""
