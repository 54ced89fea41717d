"""A fake of the randomuser.me API, version 1.4: its shape and its traps, with no network.

The users are made up from mimesis and hold none of the service's data. The same seed, page and
parameters give the same users everywhere; only ages move, as they do at randomuser.me.
"""

from local.api.server import serve

__all__ = ["serve"]
