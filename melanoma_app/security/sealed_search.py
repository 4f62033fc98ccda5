"""What somebody searches for, sealed so that it may stand in an address.

A search is a name, an MRN or a birth date. Addresses are kept by the browser's history, by proxies and by logs; sealed,
they hold nothing that anybody but this server can read, and still page, reload and go back as any address does.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Final

from cryptography.fernet import Fernet, InvalidToken
from flask import current_app

from melanoma_app.errors import InvalidInputError
from melanoma_app.services.actor import Actor

LONGEST_SEARCH: Final = 200
"""Characters, as in the search box."""
VALID_S: Final = 24 * 60 * 60
"""The longest that a session may last."""
_STEP: Final = 64
"""Bytes that every search is filled up to a multiple of: its length would tell of the name."""


def seal_search(search: str, *, actor: Actor) -> str:
    """The search as a word for an address; empty for an empty one.

    Raises:
        InvalidInputError: It is too long.
    """
    search = search.strip()
    if len(search) > LONGEST_SEARCH:
        raise InvalidInputError(
            f"A search has up to {LONGEST_SEARCH} characters. Search for a part of the name."
        )
    if not search:
        return ""
    content = f"{actor.public_id}\n{search}".encode("utf-8", errors="replace")
    padded = content + b"\0" * (-len(content) % _STEP)
    return _cipher().encrypt(padded).decode("ascii")


def open_search(sealed: str, *, actor: Actor) -> str:
    """What was searched for; only who sealed it can open it.

    Raises:
        InvalidInputError: It was sealed too long ago, for somebody else, or is none.
    """
    if not sealed:
        return ""
    try:
        content = _cipher().decrypt(sealed.encode("ascii", errors="replace"), ttl=VALID_S)
    except InvalidToken as error:
        raise _refused() from error
    owner, _, search = content.rstrip(b"\0").decode("utf-8").partition("\n")
    if owner != str(actor.public_id):
        raise _refused()
    return search


def _cipher() -> Fernet:
    """Its key comes from the app's secret key, and is good for nothing else."""
    secret = str(current_app.config["SECRET_KEY"])
    digest = hashlib.blake2b(secret.encode(), digest_size=32, person=b"patient search").digest()
    return Fernet(base64.urlsafe_b64encode(digest))


def _refused() -> InvalidInputError:
    return InvalidInputError("This search is no longer valid. Type it into the search box again.")
