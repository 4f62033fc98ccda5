from __future__ import annotations

import contextlib
import os
import resource
import signal
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from melanoma_app.errors import FileMissingError, UnavailableError
from melanoma_app.storage import ImageStore, LocalImageStore, open_store

if TYPE_CHECKING:
    from tests.object_store import ObjectStore

CONTENT = bytes(range(256)) * 2000
KEY = "ab12.jpg"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "images"


@pytest.fixture
def local(folder: Path) -> LocalImageStore:
    return LocalImageStore(folder)


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, folder: Path) -> ImageStore:
    """What holds of every store is tested on each kind."""
    if request.param == "folder":
        return open_store(str(folder))
    server: ObjectStore = request.getfixturevalue("object_store")
    place = f"s3://{request.getfixturevalue('bucket')}/photographs"
    return open_store(place, access=server.access)


def keys_of(store: ImageStore) -> list[str]:
    return [one.key for one in store.list_files()]


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@contextlib.contextmanager
def full_disk(*, after_bytes: int) -> Iterator[None]:
    """The kernel refuses to let any file of this process grow beyond a size, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (after_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, previous)


class TestEveryStore:
    def test_bytes_come_back_when_saved(self, store: ImageStore) -> None:
        store.save(CONTENT, key=KEY)

        assert store.read(key=KEY) == CONTENT

    def test_read_says_that_the_file_is_missing_when_it_is_gone(self, store: ImageStore) -> None:
        store.save(CONTENT, key=KEY)
        store.delete(key=KEY)

        with pytest.raises(FileMissingError, match="could not be read"):
            store.read(key=KEY)
        assert keys_of(store) == []

    def test_delete_is_no_error_when_there_is_nothing(self, store: ImageStore) -> None:
        store.delete(key=KEY)

    def test_files_are_listed_in_the_order_of_their_keys_when_saved_in_another(
        self, store: ImageStore
    ) -> None:
        before = datetime.now(UTC) - timedelta(seconds=2)
        for key in ("ff2.jpg", "ab9.jpg", "ab10.jpg", "00x.jpg"):
            store.save(key.encode(), key=key)

        listed = list(store.list_files())

        assert [one.key for one in listed] == ["00x.jpg", "ab10.jpg", "ab9.jpg", "ff2.jpg"]
        assert [one.size_bytes for one in listed] == [7, 8, 7, 7]
        assert all(before < one.written_at < datetime.now(UTC) + timedelta(seconds=2) for one in listed)

    def test_nothing_is_listed_when_nothing_was_saved(self, store: ImageStore) -> None:
        assert keys_of(store) == []
        assert store.remove_unfinished(before=datetime.now(UTC)) == 0

    def test_save_is_no_error_when_the_same_bytes_are_there(self, store: ImageStore) -> None:
        store.save(CONTENT, key=KEY)
        store.save(CONTENT, key=KEY)

        assert store.read(key=KEY) == CONTENT
        assert keys_of(store) == [KEY]

    def test_all_is_kept_when_many_threads_save_at_once(self, store: ImageStore) -> None:
        keys = [f"ab{number:02}.jpg" for number in range(16)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda key: store.save(key.encode() * 999, key=key), keys))

        assert all(store.read(key=key) == key.encode() * 999 for key in keys)
        assert keys_of(store) == keys

    def test_check_is_silent_when_the_store_can_be_used(self, store: ImageStore) -> None:
        store.check()

        assert keys_of(store) == []


def test_file_lies_in_the_subfolder_of_its_first_characters_when_saved(
    local: LocalImageStore, folder: Path
) -> None:
    local.save(CONTENT, key=KEY)

    assert files(folder) == [folder / "ab" / KEY]


def test_file_is_readable_by_its_owner_alone_when_saved(local: LocalImageStore, folder: Path) -> None:
    local.save(CONTENT, key=KEY)

    assert stat.S_IMODE((folder / "ab" / KEY).stat().st_mode) & 0o077 == 0
    assert stat.S_IMODE((folder / "ab").stat().st_mode) & 0o077 == 0


def test_nothing_is_left_when_the_disk_is_full(local: LocalImageStore, folder: Path) -> None:
    with full_disk(after_bytes=1000), pytest.raises(UnavailableError, match="nothing was saved"):
        local.save(CONTENT, key=KEY)

    assert files(folder) == []


def test_next_save_works_when_the_disk_has_room_again(local: LocalImageStore) -> None:
    with full_disk(after_bytes=1000), contextlib.suppress(UnavailableError):
        local.save(CONTENT, key=KEY)
    local.save(CONTENT, key=KEY)

    assert local.read(key=KEY) == CONTENT


def test_save_is_refused_in_words_when_a_file_stands_where_the_folder_should(
    local: LocalImageStore, folder: Path
) -> None:
    folder.write_text("no folder", encoding="utf-8")

    with pytest.raises(UnavailableError, match="could not be stored"):
        local.save(CONTENT, key=KEY)


def test_older_file_stays_whole_when_a_save_of_its_key_fails(local: LocalImageStore) -> None:
    local.save(CONTENT, key=KEY)

    with full_disk(after_bytes=1000), contextlib.suppress(UnavailableError):
        local.save(b"x" * 5000, key=KEY)

    assert local.read(key=KEY) == CONTENT


def test_file_is_gone_when_deleted(local: LocalImageStore, folder: Path) -> None:
    local.save(CONTENT, key=KEY)
    local.delete(key=KEY)

    assert files(folder) == []


def test_reader_never_sees_half_a_file_when_a_save_is_under_way(local: LocalImageStore, folder: Path) -> None:
    path = folder / "ab" / KEY
    sizes: set[int] = set()

    def watch() -> None:
        while not is_done:
            with contextlib.suppress(FileNotFoundError):
                sizes.add(os.stat(path).st_size)  # noqa: PTH116 (pathlib is slower than the write)

    is_done = False
    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch)
        for _ in range(5):
            local.save(CONTENT * 8, key=KEY)
            local.delete(key=KEY)
        local.save(CONTENT * 8, key=KEY)
        is_done = True
        watching.result()

    assert sizes <= {len(CONTENT) * 8}


def test_missing_disk_is_told_from_a_missing_file_when_the_folder_is_gone(
    local: LocalImageStore, folder: Path
) -> None:
    local.save(CONTENT, key=KEY)
    folder.rename(folder.with_name("not-mounted"))

    with pytest.raises(UnavailableError) as refusal:
        local.read(key=KEY)
    assert not isinstance(refusal.value, FileMissingError)


def test_delete_and_check_are_refused_in_words_when_a_file_stands_where_the_folder_should(
    local: LocalImageStore, folder: Path
) -> None:
    folder.write_text("no folder", encoding="utf-8")

    with pytest.raises(UnavailableError, match="could not be removed"):
        local.delete(key=KEY)
    with pytest.raises(UnavailableError, match="Make it writable"):
        local.check()
