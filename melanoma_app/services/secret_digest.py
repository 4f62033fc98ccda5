"""What is kept of a random secret: tokens of sessions, programs and links, and recovery codes."""

from __future__ import annotations

import hashlib


def digest_secret(secret: str) -> str:
    """SHA-256, hexadecimal; fast is enough for what nobody can guess, and never for a password.

    Args:
        secret: As it was sent, half surrogate pairs and all: a stranger may send anything.
    """
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()
