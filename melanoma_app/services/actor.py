"""Who is acting: what a service needs to know of the person and the request."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from melanoma_app.models.user import User
from melanoma_app.security.permissions import ROLE_PERMISSIONS, Permission


@dataclass(frozen=True, kw_only=True)
class Actor:
    """A signed-in user at work; services never look past `clinic_id`.

    Args:
        user: The account.
        origin: Where the request came from: a network address, or `cli`.
        request_id: Ties the audit entries and log lines of one request together.
        scopes: What the token allows in whose name a program acts; None for a person.
    """

    user: User
    origin: str = "cli"
    request_id: str = ""
    scopes: frozenset[Permission] | None = None

    @property
    def clinic_id(self) -> int:
        """The clinic whose records the actor may see."""
        return self.user.clinic_id

    @property
    def permissions(self) -> frozenset[Permission]:
        """What the actor's role allows, and the token's scopes, too, where there is one."""
        allowed = ROLE_PERMISSIONS[self.user.role]
        return allowed if self.scopes is None else allowed & self.scopes

    @property
    def public_id(self) -> uuid.UUID:
        """The account's public id."""
        return self.user.public_id
