"""`.ci/audit.py`: a known vulnerability fails the checks, an index that says nothing is told loudly."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from config import PROJECT_ROOT

SOUND = {"name": "flask", "version": "3.1.3", "vulns": []}
VULNERABLE = {
    "name": "pillow",
    "version": "9.0.0",
    "vulns": [{"id": "PYSEC-2022-10", "fix_versions": ["9.0.1"]}],
}
SKIPPED = {"name": "own", "skip_reason": "not on the index"}


@pytest.fixture
def audit(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[Any] | None, str], int]:
    """The audit's exit status, when pip-audit writes a report (or none) and ends with some words."""
    spec = importlib.util.spec_from_file_location("audit", PROJECT_ROOT / ".ci" / "audit.py")
    assert spec is not None
    assert spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def run(packages: list[Any] | None, last_words: str) -> int:
        def pretend(report: Path) -> str:
            if packages is not None:
                report.write_text(json.dumps({"dependencies": packages}), encoding="utf-8")
            return last_words

        monkeypatch.setattr(module, "_run_pip_audit", pretend)
        status: int = module.main()
        return status

    return run


@pytest.mark.parametrize(
    ("packages", "last_words", "status", "said"),
    [
        ([SOUND], "", 0, "1 of 1 packages audited, 0 with known vulnerabilities."),
        ([SOUND, VULNERABLE], "Found 1", 1, "pillow 9.0.0: PYSEC-2022-10, fixed in 9.0.1"),
        ([SKIPPED], "", 0, "NOT AUDITED: the index that was asked knows none of the packages."),
        (
            None,
            "ConnectionError: timed out",
            0,
            "NOT AUDITED: the index of vulnerabilities cannot be reached",
        ),
        (None, "ValueError: no such option", 1, "pip-audit failed: ValueError: no such option"),
    ],
    ids=["sound", "vulnerable", "unknown to the index", "unreachable", "broken"],
)
def test_checks_fail_when_a_vulnerability_is_known_or_the_audit_breaks(
    audit: Callable[[list[Any] | None, str], int],
    capsys: pytest.CaptureFixture[str],
    packages: list[Any] | None,
    last_words: str,
    status: int,
    said: str,
) -> None:
    assert audit(packages, last_words) == status

    captured = capsys.readouterr()
    assert said in captured.out + captured.err
