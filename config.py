"""The settings: read once from the environment, validated as a whole, then frozen."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

PROJECT_ROOT: Final = Path(__file__).resolve().parent
MINIMUM_SECRET_LENGTH: Final = 32
"""Characters; 32 random hexadecimal digits are 128 bits, the least OWASP ASVS 5.0 (11.2.3) asks of a key."""
SUPPORTED_DRIVERS: Final = ("sqlite", "mysql+pymysql")
BUCKET_ADDRESS: Final = r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9!_.*'()-]+)*/?\Z"
"""The names that Amazon allows ("General purpose bucket naming rules"), and the signs it calls safe in keys."""
REQUIRED: Final = ("SECRET_KEY", "DATABASE_URL")
"""Settings without a default in production."""
SECRETS: Final = (*REQUIRED, "REDIS_URL", "RATE_LIMIT_STORAGE_URL", "METRICS_TOKEN")
"""Settings that may also come from a file named in `<NAME>_FILE` (as container engines hand out secrets)."""
S3_KEYS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
"""So may these, which are not always needed: boto3 has ways of its own, such as the machine's role."""


class ConfigurationError(RuntimeError):
    """One or more settings are missing or wrong; the message names every one of them."""


class Environment(StrEnum):
    """Where the app runs; outside development no secret has a default."""

    DEVELOPMENT = "development"
    PRODUCTION = "production"


def _check_database_url(value: str) -> None:
    try:
        driver = make_url(value).drivername
    except ArgumentError as error:
        raise ValidationError(
            "is not a database address such as mysql+pymysql://user:password@host/name"
        ) from error
    if driver not in SUPPORTED_DRIVERS:
        raise ValidationError(f"must start with one of {', '.join(SUPPORTED_DRIVERS)}, not {driver!r}")


def _check_web_address(value: str) -> None:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValidationError("must be an address such as https://s3.example.org")
    if parts.username or parts.password:
        raise ValidationError("holds a password; give it in AWS_SECRET_ACCESS_KEY")


class _SettingsSchema(Schema):
    """The variables as they stand in the environment: one field each, in the order of `.env.example`."""

    class Meta:
        unknown = EXCLUDE

    environment = fields.Enum(
        Environment, by_value=True, load_default=Environment.DEVELOPMENT, data_key="ENVIRONMENT"
    )
    secret_key = fields.String(validate=validate.Length(min=MINIMUM_SECRET_LENGTH), data_key="SECRET_KEY")
    database_url = fields.String(validate=_check_database_url, data_key="DATABASE_URL")
    instance_folder = fields.String(load_default="instance", data_key="INSTANCE_FOLDER")
    image_folder = fields.String(data_key="IMAGE_FOLDER")
    image_store_url = fields.String(
        load_default="",
        validate=validate.Regexp(
            BUCKET_ADDRESS, error="is not a bucket such as s3://clinic-images/photographs"
        ),
        data_key="IMAGE_STORE_URL",
    )
    s3_endpoint_url = fields.String(load_default="", validate=_check_web_address, data_key="S3_ENDPOINT_URL")
    s3_region = fields.String(load_default="", data_key="S3_REGION")
    s3_encryption = fields.String(
        load_default="", validate=validate.OneOf(["AES256", "aws:kms"]), data_key="S3_ENCRYPTION"
    )
    aws_access_key_id = fields.String(load_default="", data_key="AWS_ACCESS_KEY_ID")
    aws_secret_access_key = fields.String(load_default="", data_key="AWS_SECRET_ACCESS_KEY")
    model_folder = fields.String(load_default="ml/released", data_key="MODEL_FOLDER")
    model_name = fields.String(load_default="mobilenet_v2", data_key="MODEL_NAME")
    host = fields.String(load_default="127.0.0.1", data_key="HOST")
    port = fields.Integer(load_default=5000, validate=validate.Range(1, 65535), data_key="PORT")
    trusted_proxies = fields.Integer(
        load_default=0, validate=validate.Range(0, 5), data_key="TRUSTED_PROXIES"
    )
    web_processes = fields.Integer(load_default=1, validate=validate.Range(1, 64), data_key="WEB_PROCESSES")
    web_threads = fields.Integer(load_default=4, validate=validate.Range(1, 64), data_key="WEB_THREADS")
    decodes_at_once = fields.Integer(validate=validate.Range(1, 64), data_key="DECODES_AT_ONCE")
    demo = fields.Boolean(data_key="DEMO")
    max_upload_mb = fields.Integer(load_default=25, validate=validate.Range(1, 200), data_key="MAX_UPLOAD_MB")
    max_image_megapixels = fields.Integer(
        load_default=50, validate=validate.Range(1, 200), data_key="MAX_IMAGE_MEGAPIXELS"
    )
    session_hours = fields.Integer(load_default=8, validate=validate.Range(1, 24), data_key="SESSION_HOURS")
    session_idle_minutes = fields.Integer(
        load_default=30, validate=validate.Range(1, 480), data_key="SESSION_IDLE_MINUTES"
    )
    sign_in_rate_limit = fields.String(load_default="10 per minute", data_key="SIGN_IN_RATE_LIMIT")
    redis_url = fields.String(
        load_default="",
        validate=validate.Regexp(r"rediss?://.+", error="is not an address such as redis://127.0.0.1:6379/0"),
        data_key="REDIS_URL",
    )
    metrics_token = fields.String(
        load_default="", validate=validate.Length(min=MINIMUM_SECRET_LENGTH), data_key="METRICS_TOKEN"
    )
    worker_metrics_port = fields.Integer(
        load_default=0, validate=validate.Range(1, 65535), data_key="WORKER_METRICS_PORT"
    )
    rate_limit_storage_url = fields.String(load_default="memory://", data_key="RATE_LIMIT_STORAGE_URL")


SETTING_NAMES: Final = tuple(field.data_key or name for name, field in _SettingsSchema().load_fields.items())
"""Every variable the app reads; a guard test holds `.env.example` against it."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything the app may be told from outside. `.env.example` describes each variable."""

    environment: Environment
    secret_key: str = field(repr=False)
    database_url: str = field(repr=False)
    instance_folder: Path
    image_folder: Path
    image_store_url: str
    s3_endpoint_url: str
    s3_region: str
    s3_encryption: str
    aws_access_key_id: str
    aws_secret_access_key: str = field(repr=False)
    model_folder: Path
    model_name: str
    host: str
    port: int
    trusted_proxies: int
    web_processes: int
    web_threads: int
    decodes_at_once: int
    demo: bool
    max_upload_mb: int
    max_image_megapixels: int
    session_hours: int
    session_idle_minutes: int
    sign_in_rate_limit: str
    redis_url: str = field(repr=False)
    metrics_token: str = field(repr=False)
    worker_metrics_port: int
    rate_limit_storage_url: str

    @property
    def is_production(self) -> bool:
        """Whether secrets must be given and cookies need TLS."""
        return self.environment is Environment.PRODUCTION

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """Read and check every setting; an empty variable counts as one that is not set.

        In development a missing secret key is drawn at random and kept in the instance folder (mode 0600), so
        that sessions outlive a restart without a default that anyone could know.

        Args:
            environ: The variables.

        Raises:
            ConfigurationError: Some variables are missing or wrong; all are named at once.
        """
        problems: dict[str, str] = {}
        given = _with_secret_files(
            {name: value for name, value in environ.items() if value.strip()}, problems
        )
        values: dict[str, Any] = {}
        try:
            values = _SettingsSchema().load(given)
        except ValidationError as error:
            problems |= {name: " ".join(messages) for name, messages in error.messages_dict.items()}
        if given.get("ENVIRONMENT") == Environment.PRODUCTION.value:
            problems |= {
                name: "is missing; production has no default for it" for name in REQUIRED if name not in given
            }
            if values.get("demo"):
                problems["DEMO"] = "cannot be on in production: it makes an account"
            if given.get("FLASK_DEBUG", "0").lower() not in ("0", "false", "no"):
                problems["FLASK_DEBUG"] = "cannot be on in production: it shows the inside of the app"
        if "IMAGE_STORE_URL" in given and len(given.keys() & set(S3_KEYS)) == 1:
            problems |= {name: "is missing; its twin is set" for name in S3_KEYS if name not in given}
        if problems:
            lines = "\n".join(f"  {name}: {problems[name]}" for name in sorted(problems))
            raise ConfigurationError(f"These settings need attention (see .env.example):\n{lines}")
        return cls(**_with_derived(values))


def _with_secret_files(given: dict[str, str], problems: dict[str, str]) -> dict[str, str]:
    for name in (*SECRETS, *S3_KEYS):
        path = given.get(f"{name}_FILE")
        if path is None:
            continue
        try:
            given[name] = Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            problems[f"{name}_FILE"] = f"cannot be read: {error.strerror}"
    return given


def _with_derived(values: dict[str, Any]) -> dict[str, Any]:
    """Fill in what depends on other settings; relative folders are meant from the project's root."""
    instance_folder = PROJECT_ROOT / values["instance_folder"]
    return values | {
        "decodes_at_once": values.get("decodes_at_once")
        or max(1, len(os.sched_getaffinity(0)) // values["web_processes"]),
        "demo": values.get("demo", values["environment"] is Environment.DEVELOPMENT),
        "instance_folder": instance_folder,
        "image_folder": PROJECT_ROOT / values.get("image_folder", instance_folder / "images"),
        "model_folder": PROJECT_ROOT / values["model_folder"],
        "database_url": values.get("database_url", f"sqlite:///{instance_folder / 'clinic.sqlite3'}"),
        "secret_key": values.get("secret_key") or _development_secret(instance_folder),
    }


def _development_secret(instance_folder: Path) -> str:
    path = instance_folder / "secret_key"
    try:
        instance_folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(secrets.token_hex(MINIMUM_SECRET_LENGTH))
        return path.read_text(encoding="ascii")
    except OSError as error:
        raise ConfigurationError(
            f"The folder {instance_folder} cannot be written ({error.strerror}). "
            "Make it writable or name another one in INSTANCE_FOLDER."
        ) from error
