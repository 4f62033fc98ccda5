"""Fetch the pinned browser libraries with npm, so that a patient's page calls nobody out there.

They are an extra: without npm or a network, pages load the same files from the CDN, under the same digest.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

ANSWER_TIMEOUT_MS = 10_000
PACKAGE_TIMEOUT_S = 30
RETRY_AFTER_S = 24 * 60 * 60
"""A clinic without internet is not held up at every start."""
LARGEST_FILE_BYTES = 20_000_000
LICENSE_NAMES = ("LICENSE", "NOTICE")


class _NotFetchedError(Exception):
    """Why a library could not be had."""


def fetch(static_folder: Path, *, insist: bool) -> None:
    """Put every library of `vendor.lock.json` that is not there yet below `vendor/`; say so where it fails.

    Args:
        static_folder: Where the lock is.
        insist: Try again even if that failed a short while ago.
    """
    vendor = static_folder / "vendor"
    entries = json.loads((static_folder / "vendor.lock.json").read_text(encoding="utf-8"))
    missing: dict[str, list[dict[str, str]]] = {}
    for entry in entries:
        if not _is_there(entry, vendor):
            missing.setdefault(f"{entry['name']}@{entry['version']}", []).append(entry)
    if not missing:
        return
    try:
        _fetch_packages(missing, vendor, insist=insist)
    except _NotFetchedError as error:
        print(f"Pages will load {', '.join(missing)} from the CDN: {error}.", file=sys.stderr)


def _is_there(entry: dict[str, str], vendor: Path) -> bool:
    path = _path_of(entry, vendor)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return False
    if _integrity(content) != entry["integrity"]:
        path.unlink()  # the browser would refuse it; without it the page takes the CDN's
        return False
    return any(path.parent.glob("LICENSE*"))


def _fetch_packages(missing: dict[str, list[dict[str, str]]], vendor: Path, *, insist: bool) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise _NotFetchedError("there is no npm to fetch them with (apt install npm)")
    failure = vendor / ".last-failure"
    if not insist and _is_recent(failure):
        raise _NotFetchedError("npm could not fetch them lately, and tries again a day later")
    try:
        for package, entries in missing.items():
            _fetch_package(npm, package, entries, vendor)
    except _NotFetchedError:
        vendor.mkdir(exist_ok=True)
        failure.touch()
        raise


def _is_recent(failure: Path) -> bool:
    try:
        return 0 <= time.time() - failure.stat().st_mtime < RETRY_AFTER_S
    except FileNotFoundError:
        return False


def _path_of(entry: dict[str, str], vendor: Path) -> Path:
    return vendor / f"{entry['name']}-{entry['version']}" / Path(entry["file"]).name


def _integrity(content: bytes) -> str:
    return f"sha384-{base64.b64encode(hashlib.sha384(content).digest()).decode()}"


def _fetch_package(npm: str, package: str, entries: list[dict[str, str]], vendor: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        contents = _read_package(_download(npm, package, Path(folder)))
    folder_of_package = _path_of(entries[0], vendor).parent
    for name, content in contents.items():
        if "/" not in name and name.upper().startswith(LICENSE_NAMES):
            _write(folder_of_package / name, content)
    for entry in entries:
        content = contents.get(entry["file"], b"")
        if _integrity(content) != entry["integrity"]:
            raise _NotFetchedError(f"{entry['file']} from npm is not the file that vendor.lock.json pins")
        _write(_path_of(entry, vendor), content)


def _download(npm: str, package: str, folder: Path) -> Path:
    """Let npm pack a package in an empty folder, away from any package.json."""
    command = [npm, "pack", package, "--ignore-scripts", "--silent", "--no-update-notifier"]
    command += ["--fetch-retries=0", f"--fetch-timeout={ANSWER_TIMEOUT_MS}"]
    try:
        subprocess.run(  # noqa: S603 # nosec B603 # addresses from the pinned lock
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PACKAGE_TIMEOUT_S,
            check=True,
        )
    except (subprocess.SubprocessError, OSError) as error:
        raise _NotFetchedError("npm could not fetch them (is there a network?)") from error
    archives = list(folder.glob("*.tgz"))
    if len(archives) != 1:
        raise _NotFetchedError("npm packed nothing")
    return archives[0]


def _read_package(archive: Path) -> dict[str, bytes]:
    """The plain files of an npm package by their path in it; nothing is unpacked onto the disk."""
    contents: dict[str, bytes] = {}
    try:
        with tarfile.open(archive, "r:gz") as package:
            for member in package:
                file: Any = package.extractfile(member) if member.isfile() else None
                if file is not None and member.size <= LARGEST_FILE_BYTES:
                    contents[member.name.removeprefix("package/")] = file.read()
    except (tarfile.TarError, OSError, EOFError) as error:
        raise _NotFetchedError(f"npm's package cannot be read ({error})") from error
    return contents


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(draft).chmod(0o644)
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
