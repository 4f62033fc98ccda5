"""What every answer tells the browser: where scripts may come from, that nothing is kept, who may frame it (nobody)."""

from __future__ import annotations

import secrets
import uuid

from flask import Flask, Response, g, request

_PERMISSIONS_POLICY = "camera=(self), microphone=(), geolocation=(), payment=(), usb=()"


def init_headers(app: Flask, *, script_origins: tuple[str, ...], is_production: bool) -> None:
    """Give every request an id and a script nonce, and every answer its headers.

    Args:
        app: The app.
        script_origins: Origins beside our own that scripts and styles may come from (a CDN, or none).
        is_production: Whether TLS is in front, so that browsers may be told to insist on it.
    """

    def name_request() -> None:
        g.request_id = uuid.uuid4().hex
        g.csp_nonce = secrets.token_urlsafe(16)

    def set_headers(response: Response) -> Response:
        others = " ".join(("", *script_origins))
        response.headers.setdefault(
            "Content-Security-Policy",
            f"default-src 'none'; script-src 'nonce-{g.csp_nonce}' 'self'{others}; style-src 'self'{others}; "
            "img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; form-action 'self'; "
            "base-uri 'none'; frame-ancestors 'none'",
        )
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["X-Frame-Options"] = "DENY"
        response.headers["Referrer-Policy"] = "same-origin"
        response.headers["Permissions-Policy"] = _PERMISSIONS_POLICY
        response.headers["X-Request-Id"] = g.request_id
        if request.endpoint != "static":
            response.headers["Cache-Control"] = "no-store"
        if is_production:
            response.headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"
        return response

    app.before_request(name_request)
    app.after_request(set_headers)
    app.context_processor(lambda: {"csp_nonce": g.get("csp_nonce", "")})
