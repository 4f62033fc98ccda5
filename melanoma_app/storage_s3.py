"""The image store in a bucket of any service that speaks S3. Imported by `storage.open_store` alone: boto3 is heavy."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
)

from melanoma_app.errors import FileMissingError, UnavailableError
from melanoma_app.storage import S3Access, StoredFile

CONNECT_TIMEOUT_S: Final = 2
READ_TIMEOUT_S: Final = 8
ATTEMPTS: Final = 3
"""Together at most half a minute, which is what somebody who waits for an upload bears."""
CONNECTIONS: Final = 64
"""As many as a process may have threads (WEB_THREADS); they are opened when needed."""
_NOT_THERE: Final = ("NoSuchKey",)
_TAKEN: Final = ("PreconditionFailed", "ConditionalRequestConflict")
_LATER: Final = "Try again in a minute. If it stays so, tell your engineer."


class S3ImageStore:
    """A bucket: `<prefix>/ab/<key>`, as in the folder, so that any tool can copy one to the other.

    An object appears whole or not at all, for it is sent in one request with its SHA-256, which the service checks.
    A key that is taken is never written again. The one case that a folder does not know: a request whose answer was
    lost may have been kept; the object is then one that no record refers to, and `flask storage sweep` finds it.

    Args:
        bucket: Its name.
        prefix: Before every key, without slashes around it; empty: none.
        access: How the bucket is reached.
    """

    def __init__(self, *, bucket: str, prefix: str, access: S3Access) -> None:
        self._bucket, self._prefix, self._access = bucket, f"{prefix}/" if prefix else "", access
        self._clients: dict[int, Any] = {}
        self._ours = re.compile(rf"{re.escape(self._prefix)}(?P<folder>[^/]{{2}})/(?P<key>(?P=folder)[^/]*)")

    def save(self, data: bytes, *, key: str) -> None:
        """Send the bytes with their digest; the same bytes under the same key once more are no error.

        Raises:
            UnavailableError: The service does not answer or refuses, or other bytes have that key.
        """
        options = {"ServerSideEncryption": self._access.encryption} if self._access.encryption else {}
        try:
            with self._explaining("The image could not be stored ({}), so nothing was saved."):
                self._client.put_object(
                    Bucket=self._bucket,
                    Key=self._name(key),
                    Body=data,
                    ChecksumAlgorithm="SHA256",  # a bucket with object lock asks for it by name
                    ChecksumSHA256=base64.b64encode(hashlib.sha256(data).digest()).decode("ascii"),
                    IfNoneMatch="*",
                    **options,
                )
        except UnavailableError as error:
            # An attempt of ours whose answer was lost has taken the key, too.
            if _code(error.__cause__) not in _TAKEN:
                raise
            if self.read(key=key) != data:
                raise UnavailableError(
                    "Other bytes are stored under the image's key, so nothing was saved. Tell your engineer."
                ) from error

    def read(self, *, key: str) -> bytes:
        """The stored bytes.

        Raises:
            FileMissingError: The bucket has no such object.
            UnavailableError: The service does not answer or refuses.
        """
        with self._explaining("The stored image could not be read ({})."):
            answer = self._client.get_object(Bucket=self._bucket, Key=self._name(key))
            content: bytes = answer["Body"].read()
            return content

    def delete(self, *, key: str) -> None:
        """Remove the object; in a bucket with versions, the service keeps what the bucket's rules say.

        Raises:
            UnavailableError: The service does not answer or refuses.
        """
        with self._explaining("The stored image could not be removed ({})."):
            self._client.delete_object(Bucket=self._bucket, Key=self._name(key))

    def list_files(self) -> Iterator[StoredFile]:
        """Every object below the prefix that is named as ours are, a thousand a request.

        Raises:
            UnavailableError: The service does not answer or refuses.
        """
        with self._explaining("The stored images could not be listed ({})."):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix
            )
            for page in pages:
                for one in page.get("Contents", ()):
                    if match := self._ours.fullmatch(one["Key"]):
                        yield StoredFile(
                            key=match["key"], size_bytes=one["Size"], written_at=one["LastModified"]
                        )

    def remove_unfinished(self, *, before: datetime) -> int:
        """Nothing: there are no half-written objects."""
        return 0

    def check(self) -> None:
        """List one object.

        Raises:
            UnavailableError: The service does not answer, there is no such bucket, or it may not be listed.
        """
        with self._explaining(f"The bucket {self._bucket} cannot be used ({{}})."):
            self._client.list_objects_v2(Bucket=self._bucket, Prefix=self._prefix, MaxKeys=1)

    @property
    def _client(self) -> Any:
        """This process's own: a connection that was opened before a fork must not be used on both sides of it."""
        client = self._clients.get(os.getpid())
        if client is None:
            # A session of its own, for those are not safe between threads; two clients made at once do no harm.
            client = boto3.session.Session().client(
                "s3",
                endpoint_url=self._access.endpoint_url or None,
                region_name=self._access.region or None,
                aws_access_key_id=self._access.access_key_id or None,
                aws_secret_access_key=self._access.secret_access_key or None,
                config=Config(
                    connect_timeout=CONNECT_TIMEOUT_S,
                    read_timeout=READ_TIMEOUT_S,
                    retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
                    max_pool_connections=CONNECTIONS,
                    # boto3's own CRC32, sent by default, is refused by some services; ours is SHA-256.
                    request_checksum_calculation="when_required",
                    response_checksum_validation="when_required",
                ),
            )
            self._clients[os.getpid()] = client
        return client

    def _name(self, key: str) -> str:
        return f"{self._prefix}{key[:2]}/{key}"

    @contextmanager
    def _explaining(self, sentence: str) -> Iterator[None]:
        """Turn what boto3 raises into words; the log has the rest."""
        try:
            yield
        except (BotoCoreError, ClientError) as error:
            if _code(error) in _NOT_THERE:
                raise FileMissingError(f"{sentence.format('No such file')} Tell your engineer.") from error
            raise UnavailableError(f"{sentence.format(_reason(error))} {_LATER}") from error


def _reason(error: BotoCoreError | ClientError) -> str:
    if isinstance(error, ClientError):
        return f"the store refused: {_code(error)}"
    if isinstance(error, (HTTPClientError, EndpointConnectionError, ConnectTimeoutError)):
        return "the store does not answer"
    return f"the store cannot be asked: {type(error).__name__}"


def _code(error: BaseException | None) -> str:
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""
