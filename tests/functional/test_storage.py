"""The photographs in a bucket instead of a folder, `flask storage verify`, and the move from one to the other."""

from __future__ import annotations

import hashlib
import re
import shutil
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from click.testing import Result
from flask import Flask
from flask.testing import FlaskClient

from melanoma_app.extensions import image_storage
from melanoma_app.models import AuditEvent, Clinic, Lesion, LesionImage, Prediction
from melanoma_app.models.vocabulary import AuditAction
from melanoma_app.services import image_files
from melanoma_app.services.actor import Actor
from melanoma_app.services.image_files import store_image_files
from melanoma_app.services.storage_move import move_files
from melanoma_app.storage import LocalImageStore, StoredFile
from ml.inference import decode_image
from tests.api import error_of, send_image
from tests.browsing import Browser
from tests.examining import FILES_AN_IMAGE
from tests.factories import LesionFactory, LesionImageFactory
from tests.functional.test_main_job import photograph_through_pages
from tests.photographs import draw_photograph
from tests.records import Records

if TYPE_CHECKING:
    from tests.object_store import ObjectStore

Run = Callable[..., Result]
ON_SQLITE = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
"""What the store does has nothing to do with the kind of database."""


@pytest.fixture
def lesion(clinic: Clinic) -> Lesion:
    return LesionFactory(patient__clinic=clinic, patient__consent_to_ai_analysis=True)


@pytest.fixture
def in_bucket(make_app: Callable[..., Flask], object_store: ObjectStore, bucket: str) -> Flask:
    """The app with its photographs in the bucket."""
    return make_app(**object_store.settings(bucket))


def runner_of(app: Flask) -> Run:
    runner = app.test_cli_runner()
    return lambda *arguments: runner.invoke(args=["storage", *map(str, arguments)])


def refused(result: Result) -> str:
    assert result.exit_code in (1, 2), result.output
    assert "Traceback" not in result.output
    return result.stderr


def contents(app: Flask, place: str | None = None) -> dict[str, str]:
    """The SHA-256 of every file of a store."""
    with app.app_context():
        store = image_storage.open(place) if place else image_storage.store
        return {one.key: hashlib.sha256(store.read(key=one.key)).hexdigest() for one in store.list_files()}


@ON_SQLITE
class TestBucket:
    @pytest.fixture
    def app(self, in_bucket: Flask) -> Flask:
        return in_bucket

    def test_main_job_is_done_when_the_photographs_are_in_a_bucket(
        self, browser: Browser, photograph: bytes, records: Records, object_store: ObjectStore, bucket: str
    ) -> None:
        result = photograph_through_pages(browser, photograph)

        image = records.one(LesionImage)
        (patient,) = {link for link in result.links() if re.fullmatch("/patients/[0-9a-f-]{36}", link)}
        shown = {
            urlsplit(str(one["src"])).path
            for page in (result, browser.open(patient))
            for one in page.soup.select('img[src^="/images/"]')
        }
        assert shown == {f"/images/{image.public_id}", f"/images/{image.public_id}/thumbnail"}
        heat_map = f"/predictions/{records.one(Prediction).public_id}/heat-map"
        for address in (*shown, heat_map):
            answer = browser.client.get(address)
            assert answer.status_code == HTTPStatus.OK
            assert decode_image(answer.data).width > 0
        name = f"photographs/{image.storage_key[:2]}/{image.storage_key}"
        assert browser.client.get(f"/images/{image.public_id}").data == object_store.content(bucket, name)
        assert len(object_store.names(bucket)) == FILES_AN_IMAGE
        assert records.files() == []

    def test_upload_leaves_nothing_and_works_later_when_the_bucket_is_gone(
        self,
        client: FlaskClient,
        headers: dict[str, str],
        lesion: Lesion,
        records: Records,
        object_store: ObjectStore,
        bucket: str,
        photograph: bytes,
    ) -> None:
        with object_store.gone():
            answer = send_image(client, lesion.public_id, headers, photograph, is_new_shot=False)
            refusal = error_of(answer, HTTPStatus.SERVICE_UNAVAILABLE)

        assert "nothing was saved" in refusal["message"]
        assert answer.headers["Retry-After"]
        assert records.count(LesionImage) == records.count(Prediction) == 0
        assert records.count(AuditEvent, AuditEvent.action == AuditAction.IMAGE_ADDED) == 0
        assert object_store.names(bucket) == []
        answer = send_image(client, lesion.public_id, headers, photograph, is_new_shot=False)
        assert answer.status_code == HTTPStatus.CREATED
        assert len(object_store.names(bucket)) == FILES_AN_IMAGE

    def test_photograph_is_neither_shown_nor_scored_when_its_object_is_damaged(
        self,
        client: FlaskClient,
        headers: dict[str, str],
        lesion: Lesion,
        records: Records,
        object_store: ObjectStore,
        bucket: str,
        photograph: bytes,
        app: Flask,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        made = send_image(client, lesion.public_id, headers, photograph).json
        key = records.one(LesionImage).storage_key
        object_store.put(bucket, f"photographs/{key[:2]}/{key}", draw_photograph(seed=99))

        address = f"/api/v1/images/{made['id']}"
        answers = [
            client.get(f"{address}/file", headers=headers),
            client.post(f"{address}/predictions", headers=headers),
            client.get(f"/api/v1/predictions/{made['prediction']['id']}/heat-map", headers=headers),
        ]

        for answer in answers:
            assert "damaged" in error_of(answer, HTTPStatus.SERVICE_UNAVAILABLE)["message"]
        assert records.count(Prediction) == 1
        assert len([line for line in caplog.messages if key in line and "damaged" in line]) == len(answers)
        named = runner_of(app)("verify")
        assert named.exit_code == 1
        assert named.stdout.startswith(f"{key}\tthe file is damaged")

    def test_object_is_forgotten_by_the_sweep_when_the_bucket_was_gone_at_the_removal(
        self, app: Flask, records: Records, object_store: ObjectStore, bucket: str
    ) -> None:
        with app.app_context():
            files = store_image_files(image=decode_image(draw_photograph()), store=image_storage.store)
            with object_store.gone():
                image_files.discard_files(keys=[files.thumbnail_key], store=image_storage.store)
        assert len(object_store.names(bucket)) == FILES_AN_IMAGE

        result = runner_of(app)("sweep", "--delete")

        assert result.exit_code == 0, result.output
        assert len(object_store.names(bucket)) == FILES_AN_IMAGE  # younger than a day, so they are spared


@ON_SQLITE
def test_backup_of_a_folder_is_whole_when_restored_into_a_bucket_with_a_damaged_object(
    app: Flask,
    stored: list[LesionImage],
    recount: Callable[[], None],
    make_app: Callable[..., Flask],
    object_store: ObjectStore,
    bucket: str,
    tmp_path: Path,
) -> None:
    recount()
    was, key = contents(app), stored[0].storage_key
    made = app.test_cli_runner().invoke(args=["backup", "create", str(tmp_path / "backups")])
    assert made.exit_code == 0, made.output
    (archive,) = (tmp_path / "backups").iterdir()
    object_store.put(bucket, f"photographs/{key[:2]}/{key}", b"damaged")
    url = f"sqlite:///{tmp_path / 'elsewhere.sqlite3'}"
    elsewhere = make_app(DATABASE_URL=url, **object_store.settings(bucket))

    restored = elsewhere.test_cli_runner().invoke(
        args=["backup", "restore", str(archive), "--replace"], input="images\n"
    )

    assert restored.exit_code == 0, restored.output
    assert contents(elsewhere) == was
    assert runner_of(elsewhere)("verify").exit_code == 0


@pytest.fixture
def stored(app: Flask, actor: Actor, records: Records) -> list[LesionImage]:
    """Three photographs in the folder."""
    store = LocalImageStore(records.image_folder)
    return [
        LesionImageFactory(
            lesion__patient__clinic=actor.user.clinic,
            **vars(store_image_files(image=decode_image(draw_photograph(seed=seed)), store=store)),
        )
        for seed in range(3)
    ]


class TestVerify:
    def test_nothing_is_named_when_every_file_is_whole(self, app: Flask, stored: list[LesionImage]) -> None:
        result = runner_of(app)("verify")

        assert (result.exit_code, result.stdout) == (0, "Every file on record is as it was stored.\n")

    def test_each_file_is_named_when_some_are_missing_damaged_or_short(
        self, app: Flask, stored: list[LesionImage], records: Records
    ) -> None:
        missing, damaged, short = stored
        records.stored(missing.storage_key).unlink()
        path = records.stored(str(damaged.thumbnail_key))
        path.write_bytes(bytes(path.stat().st_size))
        path = records.stored(short.storage_key)
        path.write_bytes(path.read_bytes()[:1000])

        result = runner_of(app)("verify")

        assert result.exit_code == 1
        assert set(result.stdout.splitlines()) == {
            f"{missing.storage_key}\tthe file is missing",
            f"{damaged.thumbnail_key}\tthe file is damaged",
            f"{short.storage_key}\tthe file is damaged: 1000 bytes, {short.size_bytes} on record",
        }
        assert "3 files" in refused(result)

    def test_row_tells_what_its_file_was_when_the_key_does_not(
        self, app: Flask, stored: list[LesionImage], records: Records
    ) -> None:
        """The first versions' keys held no digest."""
        old_key = "0123456789abcdef.jpg"
        records.stored(old_key).parent.mkdir(exist_ok=True)
        records.stored(stored[0].storage_key).rename(records.stored(old_key))
        records.change(LesionImage, LesionImage.id == stored[0].id, storage_key=old_key)
        assert runner_of(app)("verify").exit_code == 0

        records.stored(old_key).write_bytes(bytes(stored[0].size_bytes))

        assert runner_of(app)("verify").stdout == f"{old_key}\tthe file is damaged\n"

    def test_no_file_is_called_missing_when_the_disk_is_not_mounted(
        self, app: Flask, stored: list[LesionImage], image_folder: Path
    ) -> None:
        image_folder.rename(image_folder.with_name("not-mounted"))
        image_folder.write_text("no folder", encoding="utf-8")

        result = runner_of(app)("verify")

        assert "cannot be written" in refused(result)
        assert result.stdout == ""


class TestMove:
    def test_files_come_back_the_same_when_moved_to_a_bucket_and_to_a_folder(
        self,
        app: Flask,
        stored: list[LesionImage],
        make_app: Callable[..., Flask],
        in_bucket: Flask,
        object_store: ObjectStore,
        bucket: str,
        image_folder: Path,
        tmp_path: Path,
    ) -> None:
        was = contents(app)
        place = object_store.settings(bucket)["IMAGE_STORE_URL"]
        app = make_app(**(object_store.settings(bucket) | {"IMAGE_STORE_URL": ""}))

        there = runner_of(app)("move", "--to", place)
        assert (there.exit_code, there.stdout.splitlines()[0]) == (
            0,
            "6 files copied, 0 files were there already.",
        )
        assert f"IMAGE_STORE_URL={place}" in there.stdout
        again = runner_of(app)("move", "--to", place)
        assert again.stdout.splitlines()[0] == "0 files copied, 6 files were there already."
        assert contents(app) == contents(in_bucket) == was

        removed = runner_of(in_bucket)("move", "--from", image_folder, "--delete-old")
        assert "6 files removed from the old place" in removed.stdout, removed.output
        assert contents(app) == {}
        assert runner_of(in_bucket)("verify").exit_code == 0

        folder = tmp_path / "back"
        back = runner_of(in_bucket)("move", "--to", folder)
        assert f"IMAGE_FOLDER={folder}" in back.stdout
        assert contents(make_app(IMAGE_FOLDER=str(folder))) == was

    @ON_SQLITE
    def test_move_goes_on_where_it_ended_when_the_bucket_was_gone(
        self,
        stored: list[LesionImage],
        make_app: Callable[..., Flask],
        in_bucket: Flask,
        object_store: ObjectStore,
        bucket: str,
    ) -> None:
        settings = object_store.settings(bucket)
        app = make_app(**(settings | {"IMAGE_STORE_URL": ""}))
        with object_store.gone():
            cut_short = runner_of(app)("move", "--to", settings["IMAGE_STORE_URL"])
        assert "give the command again" in refused(cut_short)
        key = stored[0].storage_key
        object_store.put(bucket, f"photographs/{key[:2]}/{key}", b"half")  # as another tool may leave it

        result = runner_of(app)("move", "--to", settings["IMAGE_STORE_URL"])

        assert result.exit_code == 0, result.output
        assert contents(in_bucket) == contents(app)

    @ON_SQLITE
    def test_damaged_file_stays_and_is_named_when_the_rest_is_moved(
        self, stored: list[LesionImage], make_app: Callable[..., Flask], records: Records, tmp_path: Path
    ) -> None:
        damaged, whole = records.stored(stored[0].storage_key), records.files()
        damaged.write_bytes(bytes(damaged.stat().st_size))
        app = make_app(IMAGE_FOLDER=str(tmp_path / "new"))

        result = runner_of(app)("move", "--from", records.image_folder, "--delete-old")

        assert result.exit_code == 1
        assert result.stdout.startswith(f"{damaged.name}\tis damaged")
        assert records.files() == [damaged]
        assert contents(app).keys() == {path.name for path in whole} - {damaged.name}

    @ON_SQLITE
    def test_old_file_stays_when_its_copy_is_damaged_until_it_is_mended(
        self, stored: list[LesionImage], make_app: Callable[..., Flask], records: Records, tmp_path: Path
    ) -> None:
        new = tmp_path / "new"
        shutil.copytree(records.image_folder, new)
        copy = new / stored[0].storage_key[:2] / stored[0].storage_key
        content = copy.read_bytes()
        copy.write_bytes(bytes(len(content)))

        result = runner_of(make_app(IMAGE_FOLDER=str(new)))(
            "move", "--from", records.image_folder, "--delete-old"
        )

        assert result.exit_code == 0, result.output
        assert copy.read_bytes() == content
        assert records.files() == []

    @ON_SQLITE
    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            pytest.param((), "--to", id="nowhere"),
            pytest.param(("--to", "s3://Bucket"), "is not a bucket", id="no-bucket"),
            pytest.param(("--to", "images"), "already", id="same-folder"),
            pytest.param(("--from", "images", "--delete-old"), "already", id="same-folder-removed"),
            pytest.param(("--from", "linked", "--delete-old"), "already", id="same-folder-by-another-name"),
            pytest.param(
                ("--to", "other", "--delete-old"), "Set IMAGE_FOLDER=", id="removed-before-the-switch"
            ),
        ],
    )
    def test_nothing_is_touched_when_the_places_cannot_be_meant(
        self,
        app: Flask,
        stored: list[LesionImage],
        records: Records,
        tmp_path: Path,
        arguments: tuple[str, ...],
        words: str,
    ) -> None:
        (tmp_path / "linked").symlink_to(records.image_folder)
        was = contents(app)
        places = [str(tmp_path / one) if one in ("images", "linked", "other") else one for one in arguments]

        assert words in refused(runner_of(app)("move", *places))

        assert contents(app) == was
        assert not (tmp_path / "other").exists()


class _Many:
    """A store with many files of a megabyte, that forgets what it is given."""

    def __init__(self, count: int) -> None:
        self._count, self._content = count, bytes(1_000_000)

    def list_files(self) -> Iterator[StoredFile]:
        for number in range(self._count):
            yield StoredFile(key=f"{number:08}.jpg", size_bytes=1_000_000, written_at=datetime.now(UTC))

    def read(self, *, key: str) -> bytes:
        return bytes(bytearray(self._content))

    def save(self, data: bytes, *, key: str) -> None:
        pass


def test_memory_does_not_grow_when_many_files_are_moved() -> None:
    tracemalloc.start()
    summary = move_files(source=_Many(400), target=_Many(0))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert summary.copied == 400
    assert peak < 60_000_000  # a few for each of the threads, of 400 MB
