"""A fake randomuser.me API, version 1.4: the same fields and parameters, without a network.

The users, their names and their places come from mimesis and hold no data of the service. The same
seed, page and parameters give the same users everywhere; only ages change with time, as there.
"""

from local.api.server import serve

__all__ = ["serve"]
