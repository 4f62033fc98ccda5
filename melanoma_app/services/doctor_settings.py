"""The doctor's look at the settings: each may be allowed, and still be no good together or in this place."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Final

from sqlalchemy import make_url

from config import Settings
from melanoma_app.services.doctor_findings import Finding, broken, look, well

FEWEST_CHARACTERS: Final = 8
"""Different ones: of 32 random hexadecimal digits fewer come once in ten million draws."""
_TYPED_BY_HAND: Final = (
    "secret",
    "password",
    "change",
    "example",
    "default",
    "clinic",
    "melanoma",
    "12345",
    "qwert",
)
_ONLY_ITS_OWNER: Final = 0o077


def examine_settings(settings: Settings) -> Iterator[Finding]:
    """Look at environment, key, proxy and what several processes share; no secret is told."""
    yield _say_environment(settings)
    yield _say_key(settings)
    yield _say_proxy(settings)
    yield _say_sharing(settings)


def _say_environment(settings: Settings) -> Finding:
    part = "environment"
    if settings.is_production:
        return well(part, "Production: every secret is given, cookies need TLS.")
    if not _is_this_machine(settings.host):
        return broken(
            part,
            f"Development, but open to the network ({settings.host}): set ENVIRONMENT=production, or leave HOST out.",
        )
    return look(
        part, "Development, for this machine alone. For a clinic's records set ENVIRONMENT=production."
    )


def _say_key(settings: Settings) -> Finding:
    part, key = "SECRET_KEY", settings.secret_key
    if len(set(key)) < FEWEST_CHARACTERS:
        return broken(
            part,
            f"It has {len(set(key))} different characters, so it can be guessed, and with it every session. "
            "Draw one: openssl rand -hex 32. Everybody signs in again afterwards.",
        )
    if any(word in key.lower() for word in _TYPED_BY_HAND):
        return look(part, "It looks typed by hand. Draw one at random: openssl rand -hex 32.")
    file = settings.instance_folder / "secret_key"
    try:
        is_open = file.stat().st_mode & _ONLY_ITS_OWNER
    except OSError:
        is_open = 0
    if is_open:
        return look(part, f"Others of this machine can read {file}: chmod 600 {file}")
    return well(part, "Long enough, and drawn at random as far as can be seen.")


def _say_proxy(settings: Settings) -> Finding:
    part = "TLS and proxy"
    if not settings.is_production:
        return well(part, "Development is served without TLS.")
    if settings.trusted_proxies == 0:
        return look(
            part,
            "TRUSTED_PROXIES is 0. Without TLS in front nobody can sign in, and with it everybody seems to come from "
            "the proxy: in the audit, and for the limit on sign-ins. Put a proxy with TLS in front and set it to 1.",
        )
    words = f"{settings.trusted_proxies} of your own in front; they must set X-Forwarded-For and X-Forwarded-Proto."
    if not _is_this_machine(settings.host):
        words += f" Port {settings.port} must be open to them alone, for they are believed."
    return well(part, words)


def _say_sharing(settings: Settings) -> Finding:
    part = "processes"
    if settings.web_processes > 1 and make_url(settings.database_url).get_backend_name() == "sqlite":
        return look(
            part,
            f"{settings.web_processes} on SQLite, which takes one writer at a time. Use MySQL, or WEB_PROCESSES=1.",
        )
    if settings.web_processes > 1 and settings.rate_limit_storage_url.startswith("memory:"):
        return look(
            part,
            f"{settings.web_processes}, and each counts sign-ins for itself, so an address has as many times as many "
            "attempts. Set RATE_LIMIT_STORAGE_URL to a Redis.",
        )
    return well(part, f"{settings.web_processes} with {settings.web_threads} threads.")


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
