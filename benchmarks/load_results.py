"""What the load benchmark found: read from Locust's process, put into tables."""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any, Final

EVERYTHING: Final = "everything"
TARGET: Final = 6.0
"""Times the answers a second of an app that calls Keras in the request."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A measurement: milliseconds of what was answered, and statuses, by kind of request."""

    seconds: float
    times_ms: dict[str, list[float]]
    answers: dict[str, dict[str, int]]
    memory_mb: dict[str, float]

    def a_second(self, *kinds: str) -> float:
        """Answers a second, of some kinds or of all."""
        return (
            sum(len(times) for kind, times in self.times_ms.items() if not kinds or kind in kinds)
            / self.seconds
        )


Outcomes = dict[str, Outcome]
"""By what was asked for."""


def read_outcome(path: Path, *, memory_mb: dict[str, float]) -> Outcome:
    """What the people's process has written down."""
    return Outcome(**json.loads(path.read_text(encoding="utf-8")), memory_mb=memory_mb)


def print_head(options: argparse.Namespace, plan: Any, *, cores: int) -> None:
    """What was measured, and the head of the table."""
    size_kb = Path(plan.photograph).stat().st_size / 1e3
    print(
        f"{options.patients:,} patients on MariaDB, {options.model}, {plan.people} people without a pause, "
        f"{plan.seconds:.0f} s a setting, photographs of {size_kb:.0f} kB, {cores} cores for everything\n"
    )
    print(f"{'':<34}{'a second':>10}{'p50 ms':>9}{'p99 ms':>9}{'errors':>8}{'503s':>7}", flush=True)


def print_outcome(setting: str, outcome: Outcome) -> None:
    """The rows of a measurement: a kind of request each, then all of them."""
    rss, pss = outcome.memory_mb["rss"], outcome.memory_mb["pss"]
    print(f"{setting}: at most {rss:.0f} MB (shared parts counted once: {pss:.0f} MB)")
    for kind in sorted(outcome.answers):
        _print_row(kind, outcome, [kind])
    if len(outcome.answers) > 1:
        _print_row("all", outcome, list(outcome.answers))
    print(flush=True)


def _print_row(name: str, outcome: Outcome, kinds: list[str]) -> None:
    times = [time_ms for kind in kinds for time_ms in outcome.times_ms.get(kind, [])]
    counts: dict[str, int] = {}
    for kind in kinds:
        for status, number in outcome.answers[kind].items():
            counts[status] = counts.get(status, 0) + number
    errors = {status: number for status, number in counts.items() if status[0] != "2" and status != "503"}
    shares = quantiles(times, n=100) if len(times) > 1 else [float("nan")] * 99
    print(
        f"  {name:<32}{len(times) / outcome.seconds:>10.1f}{shares[49]:>9.0f}{shares[98]:>9.0f}"
        f"{sum(errors.values()):>8}{counts.get('503', 0):>7}{'  ' + str(errors) if errors else ''}"
    )


def print_ratios(ours: dict[str, Outcomes], theirs: Outcomes) -> None:
    """How many times their answers a second ours are: everything with everything, photographs with photographs."""
    print(f"times the answers a second of the Flask app with Keras predict (target {TARGET:.0f})")
    print(f"{'':<40}" + "".join(f"{setting:>34}" for setting in theirs))
    for name, outcomes in ours.items():
        cells = ""
        for setting, other in theirs.items():
            like = [one for mine, one in outcomes.items() if setting.startswith(mine)]
            cells += f"{_ratio(like[0], other):>34}" if like else f"{'':>34}"
        print(f"  {name:<38}{cells}")


def _ratio(ours: Outcome, theirs: Outcome) -> str:
    return f"{ours.a_second() / theirs.a_second():.1f}" if theirs.a_second() else "none of theirs came"
