from __future__ import annotations

import contextlib
import os
import resource
import signal
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from melanoma_app.errors import UnavailableError
from melanoma_app.storage import LocalImageStore

CONTENT = bytes(range(256)) * 2000
KEY = "ab12.jpg"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "images"


@pytest.fixture
def store(folder: Path) -> LocalImageStore:
    return LocalImageStore(folder)


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


def test_bytes_come_back_when_saved(store: LocalImageStore) -> None:
    store.save(CONTENT, key=KEY)

    assert store.read(key=KEY) == CONTENT


def test_file_lies_in_the_subfolder_of_its_first_characters_when_saved(
    store: LocalImageStore, folder: Path
) -> None:
    store.save(CONTENT, key=KEY)

    assert files(folder) == [folder / "ab" / KEY]


def test_file_is_readable_by_its_owner_alone_when_saved(store: LocalImageStore, folder: Path) -> None:
    store.save(CONTENT, key=KEY)

    assert stat.S_IMODE((folder / "ab" / KEY).stat().st_mode) & 0o077 == 0
    assert stat.S_IMODE((folder / "ab").stat().st_mode) & 0o077 == 0


def test_nothing_is_left_when_the_disk_is_full(store: LocalImageStore, folder: Path) -> None:
    with full_disk(after_bytes=1000), pytest.raises(UnavailableError, match="nothing was saved"):
        store.save(CONTENT, key=KEY)

    assert files(folder) == []


def test_next_save_works_when_the_disk_has_room_again(store: LocalImageStore) -> None:
    with full_disk(after_bytes=1000), contextlib.suppress(UnavailableError):
        store.save(CONTENT, key=KEY)
    store.save(CONTENT, key=KEY)

    assert store.read(key=KEY) == CONTENT


def test_save_is_refused_in_words_when_a_file_stands_where_the_folder_should(
    store: LocalImageStore, folder: Path
) -> None:
    folder.write_text("no folder", encoding="utf-8")

    with pytest.raises(UnavailableError, match="could not be stored"):
        store.save(CONTENT, key=KEY)


def test_older_file_stays_whole_when_a_save_of_its_key_fails(store: LocalImageStore) -> None:
    store.save(CONTENT, key=KEY)

    with full_disk(after_bytes=1000), contextlib.suppress(UnavailableError):
        store.save(b"x" * 5000, key=KEY)

    assert store.read(key=KEY) == CONTENT


def test_read_is_refused_in_words_when_the_file_is_gone(store: LocalImageStore) -> None:
    with pytest.raises(UnavailableError, match="could not be read"):
        store.read(key=KEY)


def test_file_is_gone_when_deleted(store: LocalImageStore, folder: Path) -> None:
    store.save(CONTENT, key=KEY)
    store.delete(key=KEY)

    assert files(folder) == []


def test_delete_is_no_error_when_there_is_nothing(store: LocalImageStore) -> None:
    store.delete(key=KEY)


def test_all_is_kept_when_many_threads_save_at_once(store: LocalImageStore, folder: Path) -> None:
    keys = [f"ab{number}.jpg" for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: store.save(key.encode() * 999, key=key), keys))

    assert all(store.read(key=key) == key.encode() * 999 for key in keys)
    assert len(files(folder)) == len(keys)


def test_reader_never_sees_half_a_file_when_a_save_is_under_way(store: LocalImageStore, folder: Path) -> None:
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
            store.save(CONTENT * 8, key=KEY)
            store.delete(key=KEY)
        store.save(CONTENT * 8, key=KEY)
        is_done = True
        watching.result()

    assert sizes <= {len(CONTENT) * 8}
