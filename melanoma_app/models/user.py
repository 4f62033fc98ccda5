"""The people who work in a clinic, the sessions they have open, and the tokens their programs use."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import JSON, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from melanoma_app.models.base import Base, PrimaryKey, PublicId, UtcDateTime, stored_enum, utc_now
from melanoma_app.models.clinic import Clinic
from melanoma_app.models.vocabulary import Role


class User(Base):
    """A member of a clinic's staff; the password is kept as an Argon2id hash."""

    __tablename__ = "user"

    id: Mapped[PrimaryKey]
    public_id: Mapped[PublicId]
    clinic_id: Mapped[int] = mapped_column(ForeignKey("clinic.id"), index=True)
    username: Mapped[str] = mapped_column(String(64), unique=True)
    display_name: Mapped[str] = mapped_column(String(120))
    password_hash: Mapped[str] = mapped_column(String(255))
    role: Mapped[Role] = mapped_column(stored_enum(Role))
    is_active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    last_sign_in_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    failed_sign_ins: Mapped[int | None]
    """Wrong passwords or codes one after the other; empty or 0 after a right one."""
    held_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """No password is looked at before; a one-time link ends it."""

    clinic: Mapped[Clinic] = relationship(lazy="raise")


class UserSession(Base):
    """A browser that is signed in; only the SHA-256 of what its cookie carries is kept."""

    __tablename__ = "user_session"

    id: Mapped[PrimaryKey]
    public_id: Mapped[PublicId]
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), index=True)
    token_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    last_seen_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    """The latest moment, however busy it is."""
    second_factor_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    origin: Mapped[str] = mapped_column(String(64))
    user_agent: Mapped[str] = mapped_column(String(200))

    user: Mapped[User] = relationship(lazy="raise")


class SecondFactor(Base):
    """A user's time-based one-time password (RFC 6238)."""

    __tablename__ = "second_factor"

    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True, autoincrement=False)
    secret: Mapped[str] = mapped_column(String(255))
    """Encrypted with a key that the app's secret key gives."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    confirmed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When the first right code was given; before that it is not asked for."""
    last_step: Mapped[int | None]
    """The time step of the last code that was taken: a code works once."""


class RecoveryCode(Base):
    """Signs in once in place of the second factor; only its SHA-256 is kept."""

    __tablename__ = "recovery_code"

    id: Mapped[PrimaryKey]
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), index=True)
    code_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class PasswordReset(Base):
    """A one-time link to set a password with; only the SHA-256 of its secret is kept."""

    __tablename__ = "password_reset"

    id: Mapped[PrimaryKey]
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), index=True)
    token_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    user: Mapped[User] = relationship(lazy="raise")


class ApiToken(Base):
    """A bearer token of a user's; only its SHA-256 is kept."""

    __tablename__ = "api_token"

    id: Mapped[PrimaryKey]
    public_id: Mapped[PublicId]
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), index=True)
    name: Mapped[str] = mapped_column(String(120))
    scopes: Mapped[list[str] | None] = mapped_column(JSON)
    """Permissions that it may use while its owner's role has them, too; empty: none."""
    token_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    user: Mapped[User] = relationship(lazy="raise")
