"""Where a request comes from: through which proxies, and whether from a page of ours."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from flask import Flask, request
from flask_wtf.csrf import CSRFError
from werkzeug.middleware.proxy_fix import ProxyFix

_READING: Final = ("GET", "HEAD", "OPTIONS")
_OWN_SITES: Final = ("same-origin", "none")
"""What `Sec-Fetch-Site` says of our own pages, and of what the person started in the browser itself."""
_HIDDEN_ORIGIN: Final = "null"
"""What browsers send from pages without a referrer (ours are), and from sandboxed frames (ours are not)."""


def trust_proxies(app: Flask, *, count: int) -> None:
    """Take the client's address and the scheme from what our own proxies say, and from nobody else.

    Each proxy appends whom it has seen to `X-Forwarded-For`; what stands farther left was sent by the client and may
    be a lie. With a count of 0 the header is not looked at.

    Args:
        app: The app.
        count: How many proxies stand in front, one behind the other.
    """
    if count:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=count, x_proto=count)  # type: ignore[method-assign]  # as Flask asks


def refuse_foreign_requests(app: Flask) -> None:
    """Refuse a form that a page of somebody else's has sent, even with a valid token in it.

    Browsers say in `Sec-Fetch-Site` (all of today's, over TLS) or `Origin` where a request was made; no script can
    change either. Programs send neither, and the API takes no cookie: both are left to the token.
    """

    def check_source() -> None:
        if request.method not in _READING and not request.path.startswith("/api/") and not _is_from_here():
            raise CSRFError("The request was made by another site.")

    app.before_request(check_source)


def _is_from_here() -> bool:
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None:
        return site in _OWN_SITES
    if origin is None:
        return True
    if origin == _HIDDEN_ORIGIN:
        # Over TLS a browser that hides the origin says which site it is; over plain HTTP it cannot.
        return not request.is_secure
    try:
        source = urlsplit(origin)
    except ValueError:
        return False
    return source.netloc == request.host and (source.scheme == "https" or not request.is_secure)
