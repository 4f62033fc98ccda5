"""A server of the tests' own that speaks S3 over HTTP (moto), and what is in its buckets, seen from outside the app."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from moto.server import ThreadedMotoServer

from melanoma_app.storage import S3Access

REGION = "eu-central-1"
ACCOUNT = "clinic"
PASSWORD = "only-the-tests-own-server-takes-it"


class ObjectStore:
    """The server, on a port of its own; what is in it stays while it is stopped."""

    def __init__(self) -> None:
        self._port = 0
        self.start()
        self.access = S3Access(
            endpoint_url=self.address, region=REGION, access_key_id=ACCOUNT, secret_access_key=PASSWORD
        )
        self.client: Any = boto3.session.Session().client(
            "s3",
            endpoint_url=self.address,
            region_name=REGION,
            aws_access_key_id=ACCOUNT,
            aws_secret_access_key=PASSWORD,
        )

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=self._port, verbose=False)
        self._server.start()
        self._port = self._server.get_host_and_port()[1]

    def stop(self) -> None:
        self._server.stop()

    @contextmanager
    def gone(self) -> Iterator[None]:
        """Nobody answers at the address meanwhile."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def make_bucket(self) -> str:
        """A bucket that nobody else uses."""
        name = f"clinic-{uuid.uuid4().hex}"
        self.client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
        return name

    def settings(self, bucket: str) -> dict[str, str]:
        """The variables of an app that keeps its photographs there."""
        return {
            "IMAGE_STORE_URL": f"s3://{bucket}/photographs",
            "S3_ENDPOINT_URL": self.address,
            "S3_REGION": REGION,
            "AWS_ACCESS_KEY_ID": ACCOUNT,
            "AWS_SECRET_ACCESS_KEY": PASSWORD,
        }

    def names(self, bucket: str) -> list[str]:
        """Of every object, with the prefix."""
        return [one["Key"] for one in self.client.list_objects_v2(Bucket=bucket).get("Contents", ())]

    def content(self, bucket: str, name: str) -> bytes:
        return self.client.get_object(Bucket=bucket, Key=name)["Body"].read()

    def put(self, bucket: str, name: str, content: bytes) -> None:
        """Write an object behind the app's back."""
        self.client.put_object(Bucket=bucket, Key=name, Body=content)

    def remove(self, bucket: str, name: str) -> None:
        """Remove an object behind the app's back."""
        self.client.delete_object(Bucket=bucket, Key=name)
