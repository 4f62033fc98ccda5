"""Agreement: the model's answers set against signed reviews, and against what the laboratory found."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

from melanoma_app.models.vocabulary import ComparedWith, OutcomeLabel
from melanoma_app.services.count_queries import CountRow, Question
from melanoma_app.services.small_numbers import Count

CONFIDENCE: Final = 0.95
AGREEMENT_QUESTIONS: Final = [
    Question(compared_with=one)
    for one in (
        ComparedWith.REVIEW_MALIGNANT,
        ComparedWith.REVIEW_BENIGN,
        ComparedWith.HISTOLOGY_MALIGNANT,
        ComparedWith.HISTOLOGY_BENIGN,
    )
]
"""What `compare_answers` needs the answers to, in this order."""
AGAINST: Final = ("review", "histology")


@dataclass(frozen=True, kw_only=True)
class Rate:
    """A share (0–1) with its 95 % Wilson score interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """The model's answer against a conclusion that is taken for the truth; positive means malignant.

    A rate is None where there is nothing to divide, or where a count behind it is not shown. Against `histology` only
    lesions that somebody decided to biopsy count, so neither sensitivity nor specificity is that of all patients.
    """

    against: str
    true_positive: Count
    false_positive: Count
    false_negative: Count
    true_negative: Count
    sensitivity: Rate | None
    specificity: Rate | None
    positive_predictive_value: Rate | None
    negative_predictive_value: Rate | None


def compare_answers(
    answers: Sequence[Sequence[CountRow]],
    *,
    protect: Callable[[int], Count],
    outcome: OutcomeLabel | None,
) -> list[Agreement]:
    """Agreement with reviews, then with laboratory reports.

    Args:
        answers: To AGREEMENT_QUESTIONS.
        protect: Makes a count what the reader may see.
        outcome: The one answer of the model that a filter leaves; sensitivity and specificity then say nothing.
    """
    counts = [
        [protect(sum(getattr(row, half) for row in rows)) for half in ("positive", "negative")]
        for rows in answers
    ]
    return [
        _agree(against, *counts[2 * number], *counts[2 * number + 1], has_both_answers=outcome is None)
        for number, against in enumerate(AGAINST)
    ]


def _agree(
    against: str,
    true_positive: Count,
    false_negative: Count,
    false_positive: Count,
    true_negative: Count,
    *,
    has_both_answers: bool,
) -> Agreement:
    return Agreement(
        against=against,
        true_positive=true_positive,
        false_positive=false_positive,
        false_negative=false_negative,
        true_negative=true_negative,
        sensitivity=_rate(true_positive, false_negative) if has_both_answers else None,
        specificity=_rate(true_negative, false_positive) if has_both_answers else None,
        positive_predictive_value=_rate(true_positive, false_positive),
        negative_predictive_value=_rate(true_negative, false_negative),
    )


def _rate(hits: Count, misses: Count) -> Rate | None:
    if hits is None or misses is None or hits + misses == 0:
        return None
    return wilson_rate(hits, hits + misses)


def wilson_rate(hits: int, trials: int) -> Rate:
    """A share with its score interval (Wilson 1927, doi 10.1080/01621459.1927.10502953).

    Args:
        hits: 0 to `trials`.
        trials: 1 or more.
    """
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    share = hits / trials
    centre = share + z**2 / (2 * trials)
    reach = z * math.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    scale = 1 + z**2 / trials
    # Rounding errors could put the ends beyond the share at 0 and 1.
    return Rate(
        value=share,
        low=min(max((centre - reach) / scale, 0.0), share),
        high=max(min((centre + reach) / scale, 1.0), share),
    )
