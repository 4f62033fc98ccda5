"""Set up `.venv` with the pinned packages, and the browser libraries: `python3 .ci/setup.py web|all`.

`web` is what serving needs, `all` adds training, tests and checks. What is there already is left alone, so a
second run costs a moment. Runs under the system's Python: the standard library alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import browser_libraries

OLDEST_PYTHON = (3, 11)
ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
STAMP = VENV / "set-up.json"
"""Written last, removed before anything changes: without it `.venv` is half made and is made anew."""
LOCKS = {"web": ROOT / "requirements" / "web.txt", "all": ROOT / "requirements.txt"}
SUFFICIENT = {"web": ("web", "all"), "all": ("all",)}
SHOWN_LINES = 12
"""How much of pip's own words is shown when it fails."""


def main() -> None:
    """Set up the part that was asked for."""
    if sys.version_info < OLDEST_PYTHON:
        here = ".".join(str(number) for number in sys.version_info[:2])
        sys.exit(f"This needs Python 3.11 or newer, not {here}. Name one: make run PYTHON=python3.11")
    part = sys.argv[1] if len(sys.argv) == 2 else ""
    if part not in LOCKS:
        sys.exit(f"Usage: python3 .ci/setup.py {'|'.join(LOCKS)}")
    try:
        with _only_one_at_a_time():
            if not _is_set_up(part):
                _set_up(part)
            browser_libraries.fetch(ROOT / "static", insist=part == "all")
    except OSError as error:
        sys.exit(f"{error.filename or ROOT}: {error.strerror}. Make {ROOT} whole and writable for you.")
    except KeyboardInterrupt:
        sys.exit("Stopped. The next run goes on.")


@contextlib.contextmanager
def _only_one_at_a_time() -> Iterator[None]:
    """Let a second set-up of the same folder wait for the first."""
    descriptor = os.open(ROOT, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _is_set_up(part: str) -> bool:
    return any(_read_stamp() == _stamp_of(other) for other in SUFFICIENT[part]) and _venv_runs()


def _set_up(part: str) -> None:
    # The scripts in .venv/bin hold its path: a folder that has moved needs a new one.
    can_be_kept = _read_stamp().get("folder") == str(VENV) and _venv_runs()
    if not can_be_kept:
        _make_venv()
    STAMP.unlink(missing_ok=True)
    _install(part)
    STAMP.write_text(json.dumps(_stamp_of(part)), encoding="utf-8")


def _stamp_of(part: str) -> dict[str, str]:
    digest = hashlib.sha256(LOCKS[part].read_bytes()).hexdigest()
    return {"part": part, "lock_sha256": digest, "folder": str(VENV)}


def _read_stamp() -> dict[str, str]:
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def _venv_runs() -> bool:
    """Whether its interpreter is there and finds its packages; an upgrade of the system's Python breaks that."""
    try:
        done = subprocess.run([VENV_PYTHON, "-I", "-c", "import pip"], capture_output=True)  # noqa: S603 # nosec B603 # constant
        return done.returncode == 0
    except OSError:
        return False


def _make_venv() -> None:
    ensurepip = importlib.util.find_spec("ensurepip")  # Debian packs it apart from Python
    if ensurepip is None or not ensurepip.has_location:
        sys.exit("Python's venv module is incomplete here; install it: apt install python3-venv")
    if VENV.is_symlink():  # to make it anew would empty the folder that it leads to
        sys.exit(f"{VENV} is a link. Remove it, then try again.")
    print("Making .venv ...", flush=True)
    try:
        venv.EnvBuilder(clear=True, symlinks=True, with_pip=True).create(VENV)
    except ValueError as error:
        sys.exit(f"{VENV} cannot be made ({error}). Remove what is there, then try again.")
    except subprocess.CalledProcessError as error:
        sys.exit(f"pip could not be put into {VENV}: {_tail(error.output) or error}")


def _install(part: str) -> None:
    lock = LOCKS[part].relative_to(ROOT)
    duration = {"web": "about a minute", "all": "some minutes: TensorFlow is in it"}[part]
    print(f"Installing the packages of {lock} ({duration}) ...", flush=True)
    command = [
        str(VENV_PYTHON),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-input",
        "--disable-pip-version-check",
    ]
    result = subprocess.run(  # noqa: S603 # nosec B603 # arguments of this file alone
        [*command, "--require-hashes", "--requirement", str(lock)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if result.returncode:
        print(_tail(result.stdout), file=sys.stderr)
        sys.exit(
            f"pip could not install the packages of {lock}; its last words are above. "
            "Check the network (and the disk's free space), then try again."
        )


def _tail(output: str | bytes | None) -> str:
    text = output.decode(errors="replace") if isinstance(output, bytes) else output or ""
    return "\n".join(text.strip().splitlines()[-SHOWN_LINES:])


if __name__ == "__main__":
    main()
