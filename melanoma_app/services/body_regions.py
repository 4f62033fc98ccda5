"""The regions of the body map, front and back: what each is called, coded and bounded by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Final

from melanoma_app.models.vocabulary import AnatomSiteGeneral, BodyView, Laterality
from melanoma_app.services.body_figure import Figure, Polygon, draw_sole, place

# Where each code was looked up, on 21 November 2026:
# - "Skin of …" and "Skin": DICOM PS3.16, CID 4029 Dermatology Anatomic Site (version 20240913). It has the sole only by
#   its borders, so a sole has the code of the whole foot.
# - 86381001: SNOMED CT expression of the NZHTS value set canshare-skin-trunk-topography, "Skin structure of trunk".
#   No code for the skin of the flank could be verified.
# - 774007: DICOM PS3.16, CID 4031 Common Anatomic Regions.
# - 123037004: the root of SNOMED CT's body structures; a site that may be mouth or genitals has nothing narrower.
# - Sides: FHIR value set structure-laterality-vs (SNOMED CT, February 2025).
SNOMED_CT_DISPLAYS: Final = {
    "39937001": "Skin",
    "43067004": "Skin of scalp",
    "73897004": "Skin of face",
    "11584001": "Skin of anterior portion of neck",
    "4658004": "Skin of nuchal region",
    "371311000": "Skin of upper extremity",
    "45981001": "Skin of anterior surface of upper arm",
    "72939005": "Skin of posterior surface of upper arm",
    "70559009": "Skin of anterior surface of forearm",
    "41550009": "Skin of posterior surface of forearm",
    "33712006": "Skin of hand",
    "70887009": "Skin of palm of hand",
    "181491009": "Skin of anterior trunk",
    "244106003": "Skin of anterior surface of thorax",
    "75093004": "Skin of abdomen",
    "60944009": "Skin of external genitalia",
    "86381001": "Skin of trunk",
    "66643007": "Skin of back",
    "244111001": "Skin of posterior surface of thorax",
    "113182001": "Skin of lower back",
    "22180002": "Skin of buttock",
    "371304004": "Skin of lower extremity",
    "61248009": "Skin of anterior surface of thigh",
    "4578000": "Skin of posterior surface of thigh",
    "25763004": "Skin of anterior surface of lower leg",
    "47224004": "Skin of posterior surface of lower leg",
    "60496002": "Skin of foot",
    "774007": "Head and neck structure",
    "123037004": "Body structure",
}
SNOMED_CT_LATERALITY: Final = {
    Laterality.LEFT: "7771000",
    Laterality.RIGHT: "24028007",
    Laterality.MIDLINE: "399488007",
}


@dataclass(frozen=True, kw_only=True)
class BodyRegion:
    """A named part of one view; `polygon` is in shares of the drawing, `laterality` the patient's own side."""

    key: str
    view: BodyView
    label: str
    anatom_site_general: AnatomSiteGeneral
    laterality: Laterality
    snomed_ct_code: str
    polygon: Polygon

    def contains(self, x: float, y: float) -> bool:
        """Whether a point is inside; a point on a border that two regions share is inside one of them."""
        lowest, highest = self._heights
        if not lowest <= y < highest:
            return False
        is_inside = False
        for x1, y1, x2, y2 in self._edges:
            if y1 <= y < y2 and x < x1 + (y - y1) * (x2 - x1) / (y2 - y1):
                is_inside = not is_inside
        return is_inside

    @cached_property
    def _heights(self) -> tuple[float, float]:
        heights = [y for _, y in self.polygon]
        return min(heights), max(heights)

    @cached_property
    def _edges(self) -> list[tuple[float, float, float, float]]:
        """The upper end first, so that both neighbours reckon with the very same edge."""
        return [
            (*start, *end) if start[1] <= end[1] else (*end, *start)
            for start, end in pairwise((*self.polygon, self.polygon[0]))
        ]


# Name | label | site | SNOMED CT code | corners of the half (see body_figure). `{side}` stands for left or right: both
# halves have the part. A part without it lies across the middle, between its corners and their mirror images.
_PARTS: Final = {
    BodyView.FRONT: """
scalp | {side} side of the scalp, front | head/neck | 43067004 | crown_side temple hairline
scalp | Middle of the scalp, front | head/neck | 43067004 | crown crown_side hairline
face | {side} side of the face | head/neck | 73897004 | hairline temple jaw chin
face | Middle of the face | head/neck | 73897004 | hairline chin
neck | {side} side of the neck, front | head/neck | 11584001 | chin jaw neck_base collar
neck | Middle of the neck, front | head/neck | 11584001 | chin collar
upper-arm | {side} shoulder and upper arm, front | upper extremity | 45981001 | shoulder elbow_outer elbow_inner armpit
forearm | {side} forearm, front | upper extremity | 70559009 | elbow_outer wrist_outer wrist_inner elbow_inner
palm | {side} palm | palms/soles | 70887009 | wrist_outer fingertip wrist_inner
chest | {side} side of the chest | anterior torso | 244106003 | collar neck_base shoulder armpit rib breastbone_end
chest | Middle of the chest | anterior torso | 244106003 | collar breastbone_end
abdomen | {side} side of the abdomen | anterior torso | 75093004 | breastbone_end rib iliac hip groin pubis
abdomen | Middle of the abdomen | anterior torso | 75093004 | breastbone_end pubis
flank | {side} flank, front | lateral torso | 86381001 | armpit hip iliac rib
genital-region | Genital region | oral/genital | 60944009 | pubis groin crotch
thigh | {side} thigh, front | lower extremity | 61248009 | hip gluteal_outer knee_outer knee_inner crotch groin
lower-leg | {side} lower leg, front | lower extremity | 25763004 | knee_outer ankle_outer ankle_inner knee_inner
foot | {side} foot, top | lower extremity | 60496002 | ankle_outer toes ankle_inner
""",
    BodyView.BACK: """
scalp | {side} side of the scalp, back | head/neck | 43067004 | crown_side temple jaw nape
scalp | Middle of the scalp, back | head/neck | 43067004 | crown crown_side nape
neck | {side} side of the neck, back | head/neck | 4658004 | nape jaw neck_base collar
neck | Middle of the neck, back | head/neck | 4658004 | nape collar
upper-arm | {side} shoulder and upper arm, back | upper extremity | 72939005 | shoulder elbow_outer elbow_inner armpit
forearm | {side} forearm, back | upper extremity | 41550009 | elbow_outer wrist_outer wrist_inner elbow_inner
hand | Back of the {side} hand | upper extremity | 33712006 | wrist_outer fingertip wrist_inner
upper-back | {side} side of the upper back | posterior torso | 244111001 | collar neck_base shoulder armpit rib mid_back
upper-back | Middle of the upper back | posterior torso | 244111001 | collar mid_back
lower-back | {side} side of the lower back | posterior torso | 113182001 | mid_back rib iliac sacrum
lower-back | Middle of the lower back | posterior torso | 113182001 | mid_back sacrum cleft
flank | {side} flank, back | lateral torso | 86381001 | armpit hip iliac rib
buttock | {side} buttock | posterior torso | 22180002 | sacrum iliac hip gluteal_outer crotch cleft
thigh | {side} thigh, back | lower extremity | 4578000 | gluteal_outer knee_outer knee_inner crotch
lower-leg | {side} lower leg, back | lower extremity | 47224004 | knee_outer ankle_outer ankle_inner knee_inner
foot | {side} heel and foot, back | lower extremity | 60496002 | ankle_outer toes ankle_inner
sole | {side} sole | palms/soles | 60496002 | -
""",
}


def _list_regions(view: BodyView) -> Iterator[BodyRegion]:
    figure = Figure(view)
    # The half that is drawn is the right one of the picture: the patient's left seen from the front.
    drawn, mirrored = Laterality.LEFT, Laterality.RIGHT
    if view is BodyView.BACK:
        drawn, mirrored = mirrored, drawn
    for row in _PARTS[view].strip().splitlines():
        name, label, site, code, corners = row.split(" | ")
        if "{side}" not in label:
            polygon = figure.enclose_middle(corners)
            sides = {Laterality.MIDLINE: place(polygon)}
        else:
            polygon = draw_sole() if name == "sole" else figure.enclose(corners)
            sides = {drawn: place(polygon), mirrored: place(polygon, is_mirrored=True)}
        for side, shares in sides.items():
            yield BodyRegion(
                key=f"{view}-{side}-{name}",
                view=view,
                label=_capitalised(label.format(side=side)),
                anatom_site_general=AnatomSiteGeneral(site),
                laterality=side,
                snomed_ct_code=code,
                polygon=shares,
            )


def _capitalised(label: str) -> str:
    return label[0].upper() + label[1:]


def _outline(view: BodyView) -> Polygon:
    half = Figure(view).half_outline
    return (*place(half), *reversed(place(half[1:-1], is_mirrored=True)))


REGIONS: Final = tuple(region for view in BodyView for region in _list_regions(view))
OUTLINES: Final = {view: _outline(view) for view in BodyView}
"""Around each figure, without the soles; the same points as the regions have."""
