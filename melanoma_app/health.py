"""Whether this process is alive, and whether it can serve: for proxies, containers and whoever watches.

Both are open to everybody, so neither names a version, a folder or an address. Neither opens a session, is audited or
counted by a limit. `live` never looks beyond the process: who restarts it because the database is gone gains nothing.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from flask import Blueprint, Flask, Response, current_app, jsonify

from config import PROJECT_ROOT
from melanoma_app.extensions import classifier, db, image_storage
from melanoma_app.services.readiness import Readiness

blueprint = Blueprint("health", __name__, url_prefix="/health")

_READINESS: Final = "readiness"


def init_health(app: Flask) -> None:
    """Get ready to be asked; the parts themselves are first asked then."""
    with app.app_context():
        app.extensions[_READINESS] = Readiness(
            engine=db.engine,
            store=image_storage.store,
            shelf=classifier.shelf,
            migrations=PROJECT_ROOT / "migrations",
        )
    app.register_blueprint(blueprint)


@blueprint.get("/live")
def live() -> Response:
    """Say ok, which takes a process that answers."""
    return Response("ok\n", mimetype="text/plain")


@blueprint.get("/ready")
def ready() -> tuple[Response, HTTPStatus]:
    """Say of each part whether it works; 503 when one does not."""
    readiness: Readiness = current_app.extensions[_READINESS]
    checks = readiness.check()
    is_ready = all(check.is_ok for check in checks.values())
    body = {
        "status": "ok" if is_ready else "failed",
        "checks": {
            name: {"status": "ok" if check.is_ok else "failed", "words": check.words}
            for name, check in checks.items()
        },
    }
    return jsonify(body), HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE
