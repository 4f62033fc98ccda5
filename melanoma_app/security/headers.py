"""What every answer tells the browser: where scripts may come from, that nothing is kept, who may frame it (nobody)."""

from __future__ import annotations

import re
import secrets
import uuid
from http import HTTPStatus
from typing import Final

from flask import Flask, Response, g, request

_FEATURES_OFF: Final = (
    "accelerometer",
    "autoplay",
    "display-capture",
    "encrypted-media",
    "fullscreen",
    "geolocation",
    "gyroscope",
    "hid",
    "idle-detection",
    "local-fonts",
    "magnetometer",
    "microphone",
    "midi",
    "payment",
    "picture-in-picture",
    "publickey-credentials-get",
    "screen-wake-lock",
    "serial",
    "usb",
    "web-share",
    "xr-spatial-tracking",
)
"""What the pages never ask the device for. The camera takes the photographs."""
_PERMISSIONS_POLICY: Final = ", ".join(("camera=(self)", *(f"{feature}=()" for feature in _FEATURES_OFF)))
_SEALED: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": _PERMISSIONS_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
}
_NO_PAGE_POLICY: Final = "default-src 'none'; frame-ancestors 'none'; form-action 'none'; base-uri 'none'"
"""For what is no page: opened by itself it may load nothing."""
_REQUEST_ID: Final = re.compile("[0-9a-f]{32}")
_VIEWER_TYPE: Final = "application/pdf"
"""Browsers show it with a viewer of their own, which a sandbox would keep from starting."""


def init_headers(
    app: Flask, *, script_origins: tuple[str, ...], is_production: bool, is_behind_proxy: bool
) -> None:
    """Give every request an id and a script nonce, and every answer its headers.

    Only a page may run scripts. Images, files and JSON are sandboxed: whatever somebody has hidden in one runs in no
    origin at all when it is opened by itself.

    Args:
        app: The app.
        script_origins: Origins beside our own that scripts and styles may come from (a CDN, or none).
        is_production: Whether TLS is in front, so that browsers may be told to insist on it.
        is_behind_proxy: Whether a proxy of ours gives requests their ids, so that both logs name them alike.
    """

    def name_request() -> None:
        given = request.headers.get("X-Request-Id", "") if is_behind_proxy else ""
        g.request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        g.csp_nonce = secrets.token_urlsafe(16)

    def set_headers(response: Response) -> Response:
        response.headers.setdefault("Content-Security-Policy", _policy(response, script_origins))
        for name, value in _SEALED.items():
            response.headers[name] = value
        response.headers["X-Request-Id"] = g.request_id
        # An error below /static/ is a page of ours, and names who is signed in.
        if request.endpoint != "static" or response.status_code >= HTTPStatus.BAD_REQUEST:
            response.headers["Cache-Control"] = "no-store"
        if is_production:
            # Over plain HTTP browsers ignore it, so a proxy that nobody has named cannot take it away.
            response.headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"
        return response

    app.before_request(name_request)
    app.after_request(set_headers)
    app.context_processor(lambda: {"csp_nonce": g.get("csp_nonce", "")})


def _policy(response: Response, script_origins: tuple[str, ...]) -> str:
    if response.mimetype == _VIEWER_TYPE:
        return _NO_PAGE_POLICY
    if response.mimetype != "text/html":
        return f"{_NO_PAGE_POLICY}; sandbox"
    others = " ".join(("", *script_origins))
    return (
        f"default-src 'none'; script-src 'nonce-{g.csp_nonce}' 'self'{others}; style-src 'self'{others}; "
        "img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; object-src 'none'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    )
