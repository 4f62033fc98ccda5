"""The body map: which region a place is in, and what a lesion's site is called and coded."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from melanoma_app.errors import InvalidInputError
from melanoma_app.models import Lesion
from melanoma_app.models.vocabulary import AnatomSiteGeneral, BodyView, Laterality
from melanoma_app.services.body_regions import (
    REGIONS,
    SNOMED_CT_DISPLAYS,
    SNOMED_CT_LATERALITY,
    BodyRegion,
)

__all__ = [
    "REGIONS",
    "SNOMED_CT_DISPLAYS",
    "SNOMED_CT_LATERALITY",
    "BodyPlace",
    "BodyRegion",
    "LesionSite",
    "check_place",
    "describe_site",
    "find_region",
]
OFF_THE_BODY: Final = "That place is not on the body. Choose a place inside the outline."

_CODES_OF_SITES: Final = {
    AnatomSiteGeneral.HEAD_NECK: "774007",
    AnatomSiteGeneral.UPPER_EXTREMITY: "371311000",
    AnatomSiteGeneral.LOWER_EXTREMITY: "371304004",
    AnatomSiteGeneral.ANTERIOR_TORSO: "181491009",
    AnatomSiteGeneral.LATERAL_TORSO: "86381001",
    AnatomSiteGeneral.POSTERIOR_TORSO: "66643007",
    AnatomSiteGeneral.PALMS_SOLES: "39937001",
    AnatomSiteGeneral.ORAL_GENITAL: "123037004",
}


@dataclass(frozen=True, kw_only=True)
class BodyPlace:
    """A point of the map: shares (0–1) of the drawing's width and height, from its top left corner."""

    view: BodyView
    x: float
    y: float


@dataclass(frozen=True, kw_only=True)
class LesionSite:
    """Where a lesion is, in words and codes; the code says the part of the body, `laterality` the side."""

    label: str
    anatom_site_general: AnatomSiteGeneral
    laterality: Laterality | None
    snomed_ct_code: str
    snomed_ct_display: str


def find_region(*, view: BodyView, x: float, y: float) -> BodyRegion | None:
    """The region at a point of the map (shares of the drawing, 0–1); None off the body."""
    for region in REGIONS:
        if region.view == view and region.contains(x, y):
            return region
    return None


def check_place(place: BodyPlace) -> BodyRegion:
    """The region of a place that somebody has chosen.

    Raises:
        InvalidInputError: The place is not on the body.
    """
    is_on_the_drawing = all(math.isfinite(share) and 0 <= share <= 1 for share in (place.x, place.y))
    region = find_region(view=place.view, x=place.x, y=place.y) if is_on_the_drawing else None
    if region is None:
        raise InvalidInputError(OFF_THE_BODY, fields={"place": [OFF_THE_BODY]})
    return region


def describe_site(lesion: Lesion) -> LesionSite:
    """Where a lesion is: as exactly as its place on the map says, else what its site and side say.

    The site and side on record go before the drawing: a place whose region disagrees with them, because the drawing
    was changed since, names no region.
    """
    site, laterality = lesion.anatom_site_general, lesion.laterality
    region = _region_of(lesion)
    if region and (region.anatom_site_general, region.laterality) != (site, laterality):
        region = None
    code = region.snomed_ct_code if region else _CODES_OF_SITES[site]
    return LesionSite(
        label=region.label if region else _words(site, laterality),
        anatom_site_general=site,
        laterality=laterality,
        snomed_ct_code=code,
        snomed_ct_display=SNOMED_CT_DISPLAYS[code],
    )


def _region_of(lesion: Lesion) -> BodyRegion | None:
    if lesion.body_view is None or lesion.body_x is None or lesion.body_y is None:
        return None
    return find_region(view=lesion.body_view, x=lesion.body_x, y=lesion.body_y)


def _words(site: AnatomSiteGeneral, laterality: Laterality | None) -> str:
    return site.capitalize() if laterality is None else f"{site.capitalize()}, {laterality}"
