"""`flask backup …`: what was on record is on record again; nothing is half kept, and damage has a name."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import resource
import shutil
import sqlite3
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from alembic import command
from click.testing import Result
from flask import Flask
from PIL import Image

from melanoma_app.errors import InvalidInputError, UnavailableError
from melanoma_app.extensions import db, image_storage, migrate
from melanoma_app.models import AuditEvent, Clinic, Patient, UserSession
from melanoma_app.models.vocabulary import AuditAction, Role
from melanoma_app.services.actor import Actor
from melanoma_app.services.backup import create_backup
from melanoma_app.services.backup_archive import MANIFEST, SUMS, ArchiveWriter, verify_archive, write_sums
from melanoma_app.services.backup_database import count_rows
from melanoma_app.services.backup_manifest import Manifest, to_json
from melanoma_app.services.count_check import verify_statistics
from melanoma_app.services.erasure import erase_patient
from melanoma_app.services.image_files import digest_in, store_image_files, store_upload
from melanoma_app.services.statistics import count_everything
from melanoma_app.services.statistics_filter import StatisticsFilter
from melanoma_app.storage import ImageStore, LocalImageStore
from tests.databases import MariaDbServer
from tests.examining import FILES_AN_IMAGE, take_photograph
from tests.factories import (
    JobItemFactory,
    LesionFactory,
    LesionImageFactory,
    PredictionFactory,
    StagedPhotographFactory,
    UploadFactory,
    UserFactory,
    UserSessionFactory,
)
from tests.records import Records

if TYPE_CHECKING:
    from tests.object_store import ObjectStore  # takes seconds

NAMES = ("O'Neil; (\\'", "李")
"""What a dump has to quote."""
ADDED_BY_RESTORING = 1
"""The audit entry."""
sqlite_alone = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
"""For what has nothing to do with the engine."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "backups"


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "backup.key"
    path.write_text("0123456789abcdef0123456789abcdef\n")
    return path


@pytest.fixture
def filled(actor: Actor, records: Records, recount: Callable[[], None]) -> list[Path]:
    """A clinic with two photographed patients and somebody signed in; gives the stored files."""
    UserSessionFactory(user=actor.user)
    store = LocalImageStore(records.image_folder)
    for number, name in enumerate(NAMES):
        picture = Image.effect_noise((400, 300), 50 + number).convert("RGB")
        image = LesionImageFactory(
            lesion__patient__clinic=actor.user.clinic,
            lesion__patient__family_name=name,
            **vars(store_image_files(image=picture, store=store)),
        )
        PredictionFactory(lesion_image=image)
    recount()
    return records.files()


@pytest.fixture
def staged(filled: list[Path], actor: Actor, records: Records) -> None:
    """A photograph that has come for a bulk upload, and is not on record yet."""
    content, patient = b"as it came", records.all(Patient)[0]
    key = store_upload(content=content, store=LocalImageStore(records.image_folder))
    upload = UploadFactory(clinic_id=actor.clinic_id, made_by_id=actor.user.id)
    StagedPhotographFactory(
        job_id=upload.id,
        job_item_id=JobItemFactory(job_id=upload.id).id,
        patient_id=patient.id,
        storage_key=key,
        sha256=digest_in(key),
        size_bytes=len(content),
    )


@pytest.fixture
def run(app: Flask) -> Callable[..., Result]:
    runner = app.test_cli_runner()
    return lambda *arguments, **options: runner.invoke(args=["backup", *map(str, arguments)], **options)


@pytest.fixture
def archive(run: Callable[..., Result], filled: list[Path], folder: Path) -> Path:
    return made(run("create", folder))


@pytest.fixture
def url_elsewhere(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Another database without any table."""
    if database_kind == "mariadb":
        server: MariaDbServer = request.getfixturevalue("mariadb_server")
        return server.create_database("elsewhere")
    return f"sqlite:///{tmp_path / 'elsewhere.sqlite3'}"


@pytest.fixture
def elsewhere(make_app: Callable[..., Flask], url_elsewhere: str, tmp_path: Path) -> Flask:
    """The app there, with another folder of images."""
    return make_app(DATABASE_URL=url_elsewhere, IMAGE_FOLDER=str(tmp_path / "elsewhere"))


def made(result: Result) -> Path:
    """The archive that the last line names."""
    assert result.exit_code == 0, result.output
    return Path(json.loads(result.stdout.splitlines()[-1])["archive"])


def refused(result: Result) -> str:
    assert result.exit_code == 1, result.output
    return next(line for line in result.output.splitlines() if line.startswith("Error:"))


def restore(app: Flask, archive: Path, *options: str, answer: str | None = None) -> Result:
    return app.test_cli_runner().invoke(args=["backup", "restore", str(archive), *options], input=answer)


def look_at(app: Flask, actor: Actor) -> dict[str, Any]:
    """All that has to be the same afterwards."""
    with app.app_context():
        counts = count_rows()
        files = {
            stored.key: hashlib.sha256(image_storage.store.read(key=stored.key)).hexdigest()
            for stored in image_storage.store.list_files()
        }
        statistics = count_everything(chosen=StatisticsFilter(), actor=actor)
        assert list(verify_statistics()) == []
        db.session.remove()
    assert statistics.outcomes.total == 2
    return {"counts": counts, "files": files, "statistics": statistics}


def take_apart(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as tar:
        return {entry.name: tar.extractfile(entry).read() for entry in tar}  # type: ignore[union-attr]


def put_together(archive: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(archive, "w") as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))


class TestDrill:
    def test_everything_is_the_same_when_restored_elsewhere(
        self, app: Flask, elsewhere: Flask, staged: None, archive: Path, actor: Actor, records: Records
    ) -> None:
        before = look_at(app, actor)
        before["counts"]["audit_event"] -= 1  # the archive was audited after it was made
        for path in records.files():
            path.unlink()

        result = restore(elsewhere, archive)

        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout.splitlines()[-1])["faults"] == 0
        after = look_at(elsewhere, actor)
        after["counts"]["audit_event"] -= ADDED_BY_RESTORING
        assert after == before
        with elsewhere.app_context():
            assert {one.family_name for one in db.session.query(Patient)} == set(NAMES)
            # A sign-in that was ended since must not come back.
            assert db.session.query(UserSession).one().revoked_at is not None
            last = db.session.query(AuditEvent).order_by(AuditEvent.id.desc()).first()
            assert last is not None
            assert last.action is AuditAction.BACKUP_RESTORED

    def test_everything_is_the_same_when_the_photographs_are_in_a_bucket(
        self,
        make_app: Callable[..., Flask],
        url_elsewhere: str,
        object_store: ObjectStore,
        bucket: str,
        filled: list[Path],
        actor: Actor,
        folder: Path,
    ) -> None:
        app = make_app(**object_store.settings(bucket))
        other = make_app(DATABASE_URL=url_elsewhere, **object_store.settings(object_store.make_bucket()))
        with app.app_context():
            for path in filled:
                image_storage.store.save(path.read_bytes(), key=path.name)
                path.unlink()
        before = look_at(app, actor)

        archive = made(app.test_cli_runner().invoke(args=["backup", "create", str(folder)]))
        with app.app_context():
            for key in before["files"]:
                image_storage.store.delete(key=key)
        result = restore(other, archive)

        assert result.exit_code == 0, result.output
        after = look_at(other, actor)
        after["counts"]["audit_event"] -= ADDED_BY_RESTORING
        assert after == before
        assert len(after["files"]) == len(filled)

    def test_records_are_replaced_when_the_clinics_name_is_typed(
        self, app: Flask, archive: Path, actor: Actor, clinic: Clinic, records: Records, filled: list[Path]
    ) -> None:
        before = look_at(app, actor)
        records.execute("DELETE FROM outcome_count")
        records.execute("DELETE FROM user_session")
        filled[0].unlink()
        filled[1].write_bytes(b"damaged")

        assert "empty" in refused(restore(app, archive))
        assert "nothing was changed" in refused(restore(app, archive, "--replace", answer="another\n"))
        assert records.count(UserSession) == 0
        result = restore(app, archive, "--replace", answer=f"{clinic.name}\n")

        assert result.exit_code == 0, result.output
        after = look_at(app, actor)
        assert (after["files"], after["statistics"]) == (before["files"], before["statistics"])
        assert records.count(UserSession) == 1

    @sqlite_alone
    def test_faults_are_named_when_what_was_restored_is_not_as_it_was(
        self,
        app: Flask,
        elsewhere: Flask,
        run: Callable[..., Result],
        filled: list[Path],
        folder: Path,
        records: Records,
    ) -> None:
        made(run("create", folder / "first"))  # so that there is an audit entry
        records.execute("UPDATE audit_event SET origin = 'x'")
        filled[0].unlink()
        filled[1].write_bytes(b"damaged")

        created = run("create", folder)
        result = restore(elsewhere, next(folder.glob("clinic-*")))

        assert (created.exit_code, result.exit_code) == (1, 1)
        for path, word in zip(filled, ("not in the image store", "damaged"), strict=False):
            assert re.search(f"{path.name}.*{word}", created.output)
            assert path.name in result.stderr
        assert "was edited" in result.stderr

    @sqlite_alone
    def test_schema_is_upgraded_when_the_archive_is_older(
        self, elsewhere: Flask, make_app: Callable[..., Flask], archive: Path, tmp_path: Path
    ) -> None:
        members = take_apart(archive)
        manifest = Manifest.read(members[MANIFEST])
        old = tmp_path / "old.sqlite3"
        old.write_bytes(members["database.sqlite3"])
        with make_app(DATABASE_URL=f"sqlite:///{old}").app_context():
            command.downgrade(migrate.get_config(), "-1")
            db.engine.dispose()
        with closing(sqlite3.connect(old)) as connection:
            [(revision,)] = connection.execute("SELECT version_num FROM alembic_version")
            connection.execute("PRAGMA journal_mode = DELETE")
        build(
            archive,
            members | {"database.sqlite3": old.read_bytes()},
            replace(manifest, schema_revision=revision),
        )

        result = restore(elsewhere, archive)

        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout.splitlines()[-1])["upgraded_to"] == manifest.schema_revision

    @sqlite_alone
    def test_nothing_is_touched_when_the_archive_is_of_a_newer_schema(
        self, elsewhere: Flask, archive: Path
    ) -> None:
        members = take_apart(archive)
        build(archive, members, replace(Manifest.read(members[MANIFEST]), schema_revision="9999"))

        assert "newer version" in refused(restore(elsewhere, archive))
        with elsewhere.app_context():
            assert count_rows() == {}


def build(archive: Path, members: dict[str, bytes], manifest: Manifest) -> None:
    """An archive with right checksums."""
    with archive.open("wb") as file:
        writer = ArchiveWriter(file, key=None)
        for name, content in members.items():
            if name == SUMS:
                listed = io.BytesIO()
                write_sums(writer.checksums, listed)
                content = listed.getvalue()
                manifest = replace(
                    manifest,
                    sums_sha256=hashlib.sha256(content).hexdigest(),
                    database_sha256=hashlib.sha256(members["database.sqlite3"]).hexdigest(),
                )
            writer.add(name, to_json(manifest) if name == MANIFEST else content)
        writer.finish()


class TestWhileTheClinicWorks:
    def test_every_row_has_its_file_when_photographs_come_and_a_patient_goes_meanwhile(
        self,
        app: Flask,
        elsewhere: Flask,
        filled: list[Path],
        actor: Actor,
        folder: Path,
        records: Records,
        recount: Callable[[], None],
    ) -> None:
        patient = records.all(Patient)[0]
        admin = Actor(user=UserFactory(clinic=actor.user.clinic, role=Role.ADMIN))
        lesion = LesionFactory(patient__clinic=actor.user.clinic, patient__consent_to_ai_analysis=False)
        recount()

        def meanwhile() -> None:
            """After the dump, before the first photograph is read."""
            take_photograph(lesion.public_id, actor)
            erase_patient(
                public_id=patient.public_id,
                mrn=patient.mrn,
                reason="Asked for it",
                law_lets_it_go=True,
                actor=admin,
            )

        with app.app_context():
            store = _Interrupted(image_storage.store, meanwhile)
            made = create_backup(folder=folder, store=store)
        result = restore(elsewhere, made.path)

        assert result.exit_code == 0, result.output
        assert (made.manifest.lost, made.manifest.records["patient_erasure"]) == ([], 1)
        assert made.manifest.records["lesion_image"] == 2
        assert made.manifest.images == 2 * FILES_AN_IMAGE


class _Interrupted:
    """A store in front of which something happens, once."""

    def __init__(self, store: ImageStore, happens: Callable[[], None]) -> None:
        self._store, self._happens = store, happens

    def list_files(self) -> Iterator[Any]:
        happens, self._happens = self._happens, lambda: None
        happens()
        return self._store.list_files()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@sqlite_alone
class TestEncryption:
    def test_archive_opens_with_its_key_alone_when_encrypted(
        self,
        run: Callable[..., Result],
        filled: list[Path],
        folder: Path,
        key_file: Path,
        elsewhere: Flask,
        tmp_path: Path,
    ) -> None:
        archive = made(run("create", folder, "--encrypt-with", key_file))
        other = tmp_path / "other.key"
        other.write_text("f" * 32)

        assert archive.name.endswith(".tar.age")
        assert b"O'Neil" not in archive.read_bytes()
        assert "--key" in refused(run("verify", archive))
        assert "does not open" in refused(run("verify", archive, "--key", other))
        assert run("verify", archive, "--key", key_file).exit_code == 0
        assert restore(elsewhere, archive, "--key", str(key_file)).exit_code == 0

    def test_change_is_found_when_a_bit_was_flipped(
        self, run: Callable[..., Result], filled: list[Path], folder: Path, key_file: Path
    ) -> None:
        archive = made(run("create", folder, "--encrypt-with", key_file))
        content = archive.read_bytes()
        for place in (40, len(content) // 2, len(content) - 1):
            changed = bytearray(content)
            changed[place] ^= 1
            archive.write_bytes(changed)

            assert run("verify", archive, "--key", key_file).exit_code == 1

    def test_end_is_missed_when_whole_pieces_were_cut_off(
        self, run: Callable[..., Result], filled: list[Path], folder: Path, key_file: Path
    ) -> None:
        archive = made(run("create", folder, "--encrypt-with", key_file))
        os.truncate(archive, archive.read_bytes().index(b"\n---") + 64 + 2 * (65536 + 16))

        refused(run("verify", archive, "--key", key_file))

    def test_key_is_refused_when_it_is_short(
        self, run: Callable[..., Result], folder: Path, tmp_path: Path
    ) -> None:
        short = tmp_path / "short.key"
        short.write_text("secret")

        assert "openssl rand" in refused(run("create", folder, "--encrypt-with", short))
        assert not folder.exists()


@sqlite_alone
class TestVerify:
    def test_nothing_is_found_when_the_archive_is_whole(
        self, run: Callable[..., Result], archive: Path
    ) -> None:
        result = run("verify", archive)

        assert (result.exit_code, "is whole" in result.output) == (0, True)
        assert archive.stat().st_mode & 0o077 == 0

    def test_members_are_named_when_some_are_damaged_or_missing(
        self, run: Callable[..., Result], archive: Path, filled: list[Path], elsewhere: Flask
    ) -> None:
        members = take_apart(archive)
        changed, missing = (f"images/{path.name}" for path in filled[:2])
        members[changed] = bytes(len(members[changed]))
        del members[missing]
        put_together(archive, members | {"images/extra.jpg": b"x"})

        result = run("verify", archive)

        assert f"{changed}: it was changed" in result.stderr
        assert f"{missing}: it is missing" in result.stderr
        assert "images/extra.jpg: it does not belong here" in result.stderr
        assert len(result.stderr.splitlines()) == 4
        assert "nothing was changed" in refused(restore(elsewhere, archive))

    def test_rest_is_judged_when_a_header_is_damaged(
        self, run: Callable[..., Result], archive: Path, filled: list[Path]
    ) -> None:
        content = bytearray(archive.read_bytes())
        name = f"images/{filled[2].name}".encode()
        place = content.rindex(name[:100], 0, content.index(b"database.sqlite3"))
        content[place : place + 8] = b"\xff" * 8
        archive.write_bytes(content)

        result = run("verify", archive)

        assert f"{name.decode()}: it is missing" in result.stderr
        assert len(result.stderr.splitlines()) == 2

    def test_end_is_missed_when_the_archive_is_cut_off(
        self, run: Callable[..., Result], archive: Path
    ) -> None:
        os.truncate(archive, archive.stat().st_size // 2)

        assert "end" in run("verify", archive).stderr


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (name, tarfile.REGTYPE)
        for name in ("../outside", "/etc/outside", "images/../../outside", "images/.hidden")
    ]
    + [
        ("images/a.jpg", kind)
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE)
    ],
)
def test_archive_is_read_no_further_when_a_member_is_none_of_ours(
    name: str, kind: bytes, tmp_path: Path
) -> None:
    archive = tmp_path / "hostile.tar"
    with tarfile.open(archive, "w") as tar:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = kind, "/etc/passwd"
        tar.addfile(entry)

    with pytest.raises(InvalidInputError):
        verify_archive(archive, key=None)
    assert list(tmp_path.iterdir()) == [archive]


@sqlite_alone
class TestRoom:
    def test_nothing_is_left_when_the_disk_is_full(
        self, app: Flask, filled: list[Path], folder: Path, records: Records
    ) -> None:
        size = records.stored(filled[0].name).stat().st_size * 3 // 2
        with app.app_context(), _files_of_at_most(size), pytest.raises(UnavailableError):
            create_backup(folder=folder, store=image_storage.store)
        assert list(folder.iterdir()) == []
        assert records.count(AuditEvent, AuditEvent.action == AuditAction.BACKUP_MADE) == 0

    def test_needed_room_is_told_when_there_is_less(
        self, run: Callable[..., Result], filled: list[Path], folder: Path, records: Records
    ) -> None:
        petabyte = 10**15
        records.execute("UPDATE lesion_image SET size_bytes = :size", size=petabyte)

        assert "MB free" in refused(run("create", folder))
        assert list(folder.iterdir()) == []


@contextmanager
def _files_of_at_most(size_bytes: int) -> Iterator[None]:
    """No file may grow any further, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@sqlite_alone
class TestKeep:
    def test_oldest_of_its_own_go_when_there_are_more(
        self, run: Callable[..., Result], filled: list[Path], folder: Path, key_file: Path, records: Records
    ) -> None:
        first = made(run("create", folder))
        second = made(run("create", folder, "--encrypt-with", key_file))
        foreign = folder / "clinic-20200101T000000000000Z.tar"
        foreign.write_bytes(b"something else")
        (folder / "notes.txt").write_text("keep")

        third = made(run("create", folder, "--encrypt-with", key_file, "--keep", "2"))

        assert {path.name for path in folder.iterdir()} == {
            second.name,
            third.name,
            foreign.name,
            "notes.txt",
        }
        assert not first.exists()

        records.execute("UPDATE clinic SET public_id = :id WHERE id = 1", id="0" * 32)  # another installation
        made(run("create", folder, "--keep", "1"))
        assert second.exists()

    def test_none_goes_when_a_photograph_is_lost(
        self, run: Callable[..., Result], archive: Path, filled: list[Path], folder: Path
    ) -> None:
        filled[0].unlink()

        refused(run("create", folder, "--keep", "1"))

        assert archive.exists()


@pytest.mark.parametrize("database_kind", ["mariadb"], indirect=True)
def test_password_is_in_no_argument_when_the_tools_run(
    make_app: Callable[..., Flask],
    mariadb_server: MariaDbServer,
    filled: list[Path],
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    password = "a\"b#c'd\\e f"
    with mariadb_server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE OR REPLACE USER backup@'127.0.0.1' IDENTIFIED BY %s", (password,))
        cursor.execute("GRANT ALL ON *.* TO backup@'127.0.0.1'")
    tools, seen = tmp_path / "tools", tmp_path / "seen"
    tools.mkdir()
    for name in ("mariadb-dump", "mariadb"):
        tool = tools / name
        real = shutil.which(name)
        tool.write_text(f'#!/bin/sh\n(echo "$0 $*"; env) >> {seen}\nexec {real} "$@"\n')
        tool.chmod(0o700)
    monkeypatch.setenv("PATH", str(tools), prepend=os.pathsep)
    address = f"@127.0.0.1:{mariadb_server.port}/{{}}?ssl_disabled=true"
    url = f"mysql+pymysql://backup:{quote(password)}" + address
    mariadb_server.create_database("elsewhere")
    app = make_app(DATABASE_URL=url.format("clinic"))
    other = make_app(DATABASE_URL=url.format("elsewhere"), IMAGE_FOLDER=str(tmp_path / "elsewhere"))

    archive = made(app.test_cli_runner().invoke(args=["backup", "create", str(folder)]))
    assert restore(other, archive).exit_code == 0

    for told in ("mariadb-dump --defaults-file=", "mariadb --defaults-file="):
        assert told in seen.read_text()
    assert password not in seen.read_text()
