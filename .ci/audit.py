"""Ask pip-audit whether a pinned package has a known vulnerability; one that has fails.

The answers come from a public index. Where it cannot be reached, or an index in between knows nothing, that is
said loudly and is no failure: nothing can be learned there.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LOCK = "requirements.txt"
ANSWER_TIMEOUT_S = 10
WHOLE_TIMEOUT_S = 300
UNREACHABLE = ("connect", "timed out", "ServiceError", "redirecting")
"""What pip-audit's last words hold when it was the network that failed."""


def main() -> int:
    """Run the audit and return the exit status."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        last_words = _run_pip_audit(report)
        if not report.is_file():
            if any(word in last_words for word in UNREACHABLE):
                return _warn(f"the index of vulnerabilities cannot be reached ({last_words})")
            print(f"pip-audit failed: {last_words}", file=sys.stderr)
            return 1
        return _judge(json.loads(report.read_text(encoding="utf-8"))["dependencies"])


def _run_pip_audit(report: Path) -> str:
    """Let it write its report, if it gets that far.

    Returns:
        The last line it said.
    """
    command = [sys.executable, "-m", "pip_audit", "--requirement", LOCK, "--disable-pip", "--require-hashes"]
    command += ["--progress-spinner", "off", "--timeout", str(ANSWER_TIMEOUT_S)]
    command += ["--format", "json", "--output", str(report)]
    try:
        result = subprocess.run(  # noqa: S603 # nosec B603 # arguments of this file alone
            command, cwd=ROOT, capture_output=True, text=True, timeout=WHOLE_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return f"timed out after {WHOLE_TIMEOUT_S} s"
    return (result.stderr.strip().splitlines() or ["no message"])[-1]


def _judge(packages: list[dict[str, Any]]) -> int:
    audited = [package for package in packages if "vulns" in package]
    if not audited:
        return _warn("the index that was asked knows none of the packages")
    vulnerable = [package for package in audited if package["vulns"]]
    for package in vulnerable:
        for vulnerability in package["vulns"]:
            fixed = ", ".join(vulnerability["fix_versions"]) or "no version yet"
            print(f"{package['name']} {package['version']}: {vulnerability['id']}, fixed in {fixed}")
    print(
        f"{len(audited)} of {len(packages)} packages audited, {len(vulnerable)} with known vulnerabilities."
    )
    return 1 if vulnerable else 0


def _warn(reason: str) -> int:
    print(f"NOT AUDITED: {reason}.", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
