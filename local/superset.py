"""`python -m local.superset`: run Superset with the dashboard of `dashboards/`.

`make dashboard` runs it in Superset's environment, on the embedded BigQuery. It listens on a
loopback port and asks for no password: whoever opens the page is the user `local`, who may change
everything. Each start sets the dashboard to what is in `dashboards/`. Superset's own tables and its
log are in `.local/superset` (LOCAL_DIR). Ctrl-C stops it.
"""

import os
import signal
import socket
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

from local import local_dir, make_private

ROOT = Path(__file__).parents[1]
EXPORT = ROOT / "dashboards"
DEFAULT_PORT = 8088


def open_port() -> socket.socket:
    """Listen on Superset's default port if it is free, otherwise on another free port."""
    with suppress(OSError):
        return socket.create_server(("127.0.0.1", DEFAULT_PORT))
    return socket.create_server(("127.0.0.1", 0))


# Superset's commands do the same, but each of them needs five seconds to import Superset.
# ruff: noqa: PLC0415  Superset reads its settings when it is imported
def make_app() -> Any:
    """Return Superset as a WSGI application, with its own tables and the dashboard."""
    os.environ["SUPERSET_CONFIG_PATH"] = str(ROOT / "local/superset_config.py")
    import flask_migrate
    import superset.app
    from flask_login import login_user

    app = superset.app.create_app()
    with app.app_context():
        from superset import appbuilder, db, security_manager
        from superset.commands.importers.v1.assets import ImportAssetsCommand
        from superset.utils.core import override_user

        flask_migrate.upgrade(str(Path(superset.__file__).parent / "migrations"))
        appbuilder.add_permissions(update_perms=True)
        security_manager.sync_role_definitions()
        user = security_manager.find_user("local") or security_manager.add_user(
            *("local", "local", "user", "local@localhost"), security_manager.find_role("Admin")
        )
        db.session.commit()
        files = {str(file.relative_to(EXPORT)): file for file in EXPORT.rglob("*.yaml")}
        contents = {name: file.read_text() for name, file in files.items()}
        # The page imports a `Dashboard`, and leaves charts that exist as they are; this does not.
        contents["metadata.yaml"] = contents["metadata.yaml"].replace("Dashboard", "assets")
        with override_user(user):
            ImportAssetsCommand(contents).run()
    app.before_request(lambda: login_user(security_manager.find_user("local")) and None)
    return app


def run(home: Path) -> int:
    """Run Superset, with its files in `home`, until SIGINT or SIGTERM."""
    make_private(home)
    log = home / "superset.log"
    with open_port() as port, log.open("w") as file, os.fdopen(os.dup(1), "w") as terminal:
        print("Superset starts, which takes a minute the first time", file=terminal, flush=True)
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
        try:
            app = make_app()
        except Exception:
            traceback.print_exc()
            print(f"superset: it did not start: see {log}", file=terminal)
            return 1
        from werkzeug.serving import make_server

        host, number = port.getsockname()
        url = f"http://{host}:{number}/superset/dashboard/randomuser/"
        print(f"Superset: {url} (Ctrl-C stops it)", file=terminal, flush=True)
        make_server(host, number, app, threaded=True, fd=port.fileno()).serve_forever()
        return 0


def main() -> int:
    """Run Superset in LOCAL_DIR."""
    # At once, and not by an exception: it is discarded if a finalizer is running.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(0))
    try:
        return run(local_dir().resolve() / "superset")
    except OSError as error:
        print(f"superset: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
