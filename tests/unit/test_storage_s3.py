"""What holds of a bucket alone; what holds of every store is in test_storage.py."""

from __future__ import annotations

import base64
import dataclasses
import gc
import hashlib
import http.server
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from melanoma_app import storage_s3
from melanoma_app.errors import FileMissingError, UnavailableError
from melanoma_app.storage import ImageStore, open_store
from tests.object_store import PASSWORD, ObjectStore

CONTENT = bytes(range(256)) * 200
KEY = "ab12.jpg"
NAME = f"photographs/ab/{KEY}"


@pytest.fixture
def store(object_store: ObjectStore, bucket: str) -> ImageStore:
    return open_store(f"s3://{bucket}/photographs", access=object_store.access)


def assert_everything_is_refused(store: ImageStore, *, reason: str) -> None:
    """In words, and never as a file that is missing."""
    for ask in (
        lambda: store.save(CONTENT, key=KEY),
        lambda: store.read(key=KEY),
        lambda: store.delete(key=KEY),
        lambda: list(store.list_files()),
        store.check,
    ):
        with pytest.raises(UnavailableError, match=reason) as refusal:
            ask()
        assert not isinstance(refusal.value, FileMissingError)
        assert "tell your engineer" in refusal.value.message
        assert PASSWORD not in refusal.value.message


def test_object_lies_as_in_the_folder_and_has_its_checksum_when_saved(
    store: ImageStore, object_store: ObjectStore, bucket: str
) -> None:
    store.save(CONTENT, key=KEY)

    assert object_store.names(bucket) == [NAME]
    head = object_store.client.head_object(Bucket=bucket, Key=NAME, ChecksumMode="ENABLED")
    assert base64.b64decode(head["ChecksumSHA256"]) == hashlib.sha256(CONTENT).digest()


def test_objects_lie_at_the_top_when_there_is_no_prefix(object_store: ObjectStore, bucket: str) -> None:
    store = open_store(f"s3://{bucket}", access=object_store.access)

    store.save(CONTENT, key=KEY)

    assert object_store.names(bucket) == [f"ab/{KEY}"]
    assert [one.key for one in store.list_files()] == [KEY]


def test_only_our_objects_are_listed_when_others_share_the_bucket(
    store: ImageStore, object_store: ObjectStore, bucket: str
) -> None:
    store.save(CONTENT, key=KEY)
    for name in ("photographs-2/ab/ab1.jpg", "photographs/ab/cd1.jpg", "photographs/read.me", "ab/ab1.jpg"):
        object_store.put(bucket, name, b"x")

    assert [one.key for one in store.list_files()] == [KEY]


def test_all_are_listed_when_there_are_more_than_one_request_gives(
    store: ImageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "3")
    keys = [f"{number:02}.jpg" for number in range(8)]
    for key in keys:
        store.save(b"x", key=key)

    assert [one.key for one in store.list_files()] == keys


def test_first_bytes_stay_when_others_are_saved_under_their_key(store: ImageStore) -> None:
    store.save(CONTENT, key=KEY)

    with pytest.raises(UnavailableError, match="nothing was saved"):
        store.save(b"others", key=KEY)

    assert store.read(key=KEY) == CONTENT


def test_service_is_told_to_encrypt_when_the_setting_says_so(object_store: ObjectStore, bucket: str) -> None:
    access = dataclasses.replace(object_store.access, encryption="aws:kms")

    open_store(f"s3://{bucket}", access=access).save(CONTENT, key=KEY)

    head = object_store.client.head_object(Bucket=bucket, Key=f"ab/{KEY}")
    assert head["ServerSideEncryption"] == "aws:kms"


def test_everything_works_again_when_the_service_is_back(
    object_store: ObjectStore, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage_s3, "ATTEMPTS", 1)
    store = open_store(f"s3://{bucket}", access=object_store.access)
    store.save(CONTENT, key=KEY)
    with object_store.gone():
        assert_everything_is_refused(store, reason="the store does not answer")

    assert store.read(key=KEY) == CONTENT


def test_everything_is_refused_in_words_when_there_is_no_such_bucket(object_store: ObjectStore) -> None:
    store = open_store("s3://nobody-made-this-one/photographs", access=object_store.access)

    with pytest.raises(UnavailableError, match="NoSuchBucket"):
        store.check()
    with pytest.raises(UnavailableError, match="NoSuchBucket") as refusal:
        store.read(key=KEY)
    assert not isinstance(refusal.value, FileMissingError)


def test_everything_is_refused_in_words_when_no_account_is_found(
    object_store: ObjectStore, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    access = dataclasses.replace(object_store.access, access_key_id="", secret_access_key="")

    store = open_store(f"s3://{bucket}", access=access)

    assert_everything_is_refused(store, reason="NoCredentialsError")


@contextmanager
def rude_server(answer: bytes | None) -> Iterator[str]:
    """Takes connections, and answers each with something, or never."""
    listener = socket.create_server(("127.0.0.1", 0))
    open_ones: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            open_ones.append(connection)
            if answer is not None:
                connection.recv(65536)
                connection.sendall(answer)
                connection.shutdown(socket.SHUT_RDWR)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for connection in open_ones:
            connection.close()


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(None, id="never"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf", id="half"),
        pytest.param(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", id="failure"),
        pytest.param(b"garbage\r\n\r\n", id="garbage"),
    ],
)
def test_read_is_refused_in_words_when_the_service_answers(
    answer: bytes | None, object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage_s3, "ATTEMPTS", 1)
    monkeypatch.setattr(storage_s3, "READ_TIMEOUT_S", 0.3)
    with rude_server(answer) as address:
        store = open_store(
            "s3://clinic-images", access=dataclasses.replace(object_store.access, endpoint_url=address)
        )
        with pytest.raises(UnavailableError, match="could not be read") as refusal:
            store.read(key=KEY)

    assert not isinstance(refusal.value, FileMissingError)


class _KeepingServer(http.server.ThreadingHTTPServer):
    """Leaves connections open, as S3 does and moto's server does not, and knows who opened them."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _KeepingHandler)
        self.openers: set[tuple[str, int]] = set()


class _KeepingHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _KeepingServer

    def do_GET(self) -> None:
        self.server.openers.add(self.client_address)
        self.send_response(200)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"kept")

    def log_message(self, format: str, *arguments: object) -> None:
        pass


def test_connections_are_not_shared_when_the_process_forks(object_store: ObjectStore) -> None:
    """The web workers are forked from a process that has spoken with the bucket."""
    server = _KeepingServer()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    store = open_store("s3://clinic", access=dataclasses.replace(object_store.access, endpoint_url=address))
    store.read(key=KEY)
    store.read(key=KEY)
    assert len(server.openers) == 1

    child = os.fork()
    if not child:
        os._exit(0 if store.read(key=KEY) == b"kept" else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(server.openers) == 2

    store._clients.clear()  # lets go of its connection, which the server waits at
    gc.collect()
    server.shutdown()
    thread.join()
    server.server_close()


def test_password_is_not_shown_when_the_access_is_printed(object_store: ObjectStore) -> None:
    assert PASSWORD not in repr(object_store.access)
