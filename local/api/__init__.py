"""A fake randomuser.me API, version 1.4: the same fields and the same quirks, without a network.

The users are generated with mimesis and hold no data of the service. The same seed, page and
parameters give the same users everywhere; only ages change with time, as at randomuser.me.
"""

from local.api.server import serve

__all__ = ["serve"]
