"""Counts for people who may not see patients: small ones are not shown, the others are blurred.

An analyst who could set exact counts against each other would learn of single people: all women less the women under
ninety is the one who is older. So every number is moved by a hidden step before it is rounded, and nothing below
five is shown, zero included. The step depends on the count and on the installation's secret alone: asking for the same
people in another way gives the same number, so that nothing is gained by asking often.

Of a shown number R the true count is one of R − 6 … R + 6; of a number that is not shown it is one of 0 … 6. Sums of
many overlapping ranges would still narrow that down, so those who see such numbers filter by one calendar year or none
and by one band of ten years of age or none (`StatisticsFilter.check_whole`); with that, an attacker who sets every sum
against every other pinned no count in any of the tests' clinics (`tests/unit/services/test_small_numbers.py`). After
the perturbation and threshold rules of table builders for official statistics (Fraser and Wooton 2005, A proposed
method for confidentialising tabular output to protect against differencing).
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

Count = int | None
"""A count that may be shown; None where it is too small."""
SMALLEST_SHOWN: Final = 5
ROUNDED_TO: Final = 5
LARGEST_STEP: Final = 4


def protect_count(count: int, *, secret: str) -> Count:
    """The number to show for a count, or None when it is too small.

    Args:
        count: The true one, 0 or more.
        secret: The installation's; without it nobody can work the steps out.
    """
    if count < SMALLEST_SHOWN:
        return None
    moved = count + _step(count, secret)
    shown = ROUNDED_TO * ((moved + ROUNDED_TO // 2) // ROUNDED_TO)
    return shown if shown >= SMALLEST_SHOWN else None


def _step(count: int, secret: str) -> int:
    """−4 … 4, each as likely as the others."""
    digest = hmac.digest(secret.encode(), f"statistics:{count}".encode(), hashlib.sha256)
    return int.from_bytes(digest[:8]) % (2 * LARGEST_STEP + 1) - LARGEST_STEP
