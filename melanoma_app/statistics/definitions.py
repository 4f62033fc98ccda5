"""What the statistics mean, in the words of the OpenAPI document and of the answers; docs/statistics.md says it all."""

from __future__ import annotations

from typing import Final

from melanoma_app.models.vocabulary import Dimension, StatisticsUnit
from melanoma_app.services.agreement import CONFIDENCE
from melanoma_app.services.small_numbers import ROUNDED_TO, SMALLEST_SHOWN
from melanoma_app.services.statistics_filter import OLDEST_BAND_FROM_YEARS

DESCRIPTION: Final = f"""Counts of what a model said of the clinic's photographs. The full definitions stand in
`docs/statistics.md`.

**What is counted** (`unit`). A *test* is a photograph with its newest prediction. A *lesion* counts once, as its
latest test. A *patient* counts once, at the first positive test or, when none is positive, at the latest test. Day,
age, site, skin type, outcome and model are those of the test that stands for the lesion or patient, and filters look at
that test alone. *Positive* means that the newest prediction says malignant.

**Which day, which age.** The day is that of the photograph in the clinic's time zone. The age is in completed years on
that day. Gender, birth date, skin type and site are what the record says now.

**What changes a count.** A re-score: the newest answer counts, under its model. A correction of the record: all of the
patient's tests count under the new value. A merge: the lesions count for the patient that is kept; when it is undone,
for their own again. What is erased from the record is gone from every count.

**Protected numbers.** Those who may not see patients (role `analyst`) get no count under {SMALLEST_SHOWN}, zero
included: it is `null`. Every other count is moved by a hidden step that depends on the count alone, then rounded to a
multiple of {ROUNDED_TO}: it is 6 off at most, and parts need not add up to the whole. `is_protected` says so. They ask
for one calendar year or all days, for one band of ten years of age or all ages, and for trends by month or year.
Everybody else gets exact counts.

**JSON or CSV.** `format=csv` or `Accept: text/csv`; `format` comes first; JSON where neither says anything. A CSV file
is UTF-8 with a header and one row a group. A count that is not shown is an empty cell, and `suppressed` is `true` in
its row.

**Asking again.** Every answer has an `ETag`; send it back as `If-None-Match`, and an answer that has not changed is a
304 without a body.

Names that are not listed, filters that are given twice, and ranges that end before they start are refused with 422."""

UNITS: Final = {
    StatisticsUnit.TEST: "Tests: every photograph with its newest prediction.",
    StatisticsUnit.LESION: "Lesions: each counts once, as its latest test.",
    StatisticsUnit.PATIENT: "Patients: each counts once, at the first positive test or, "
    "when none is positive, at the latest test.",
}
DIVIDED_BY: Final = {
    Dimension.OUTCOME: "the model's newest answer",
    Dimension.GENDER: "the gender in the patient's record",
    Dimension.AGE: "completed years of age on the day of the photograph",
    Dimension.SITE: "the lesion's general anatomical site",
    Dimension.SKIN_TYPE: "the patient's Fitzpatrick skin type",
    Dimension.MODEL: "the model version that gave the newest prediction",
    Dimension.PERIOD: "the day of the photograph in the clinic's time zone",
}
POSITIVE: Final = "Positive means that the newest prediction says malignant."
AGREEMENT: Final = (
    "The model's newest answer against what the signed review of the photograph concludes, and against what the "
    "lesion's newest laboratory report found; a photograph taken after the report's day is not set against it."
)
AGREEMENT_WARNING: Final = (
    "Only lesions that somebody decided to biopsy have a laboratory report, and who signs a review may have seen the "
    "model's answer. So none of these rates is the model's performance among all patients."
)
INTERVAL: Final = f"{CONFIDENCE:.0%} Wilson score interval"
OLDEST_BAND: Final = f"ages from {OLDEST_BAND_FROM_YEARS} on share a band"


def define(unit: StatisticsUnit, *dimensions: Dimension) -> str:
    """A sentence or two that say what an answer counts, and by what."""
    divided = f" By {' and by '.join(DIVIDED_BY[one] for one in dimensions)}." if dimensions else ""
    return f"{UNITS[unit]} {POSITIVE}{divided}"
