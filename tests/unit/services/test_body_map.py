from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from melanoma_app.errors import InvalidInputError
from melanoma_app.models.vocabulary import AnatomSiteGeneral, BodyView, Laterality
from melanoma_app.services.body_map import (
    REGIONS,
    SNOMED_CT_DISPLAYS,
    SNOMED_CT_LATERALITY,
    BodyPlace,
    BodyRegion,
    check_place,
    describe_site,
    find_region,
)
from melanoma_app.services.body_regions import OUTLINES
from tests.factories import LesionFactory

COLUMNS, ROWS = 50, 110
OTHER_SIDE = {
    Laterality.LEFT: Laterality.RIGHT,
    Laterality.RIGHT: Laterality.LEFT,
    Laterality.MIDLINE: Laterality.MIDLINE,
}


def middle_of(region: BodyRegion) -> tuple[float, float]:
    """A point in the widest stretch of the region at half its height, found without the map's own test."""
    heights = [y for _, y in region.polygon]
    y = (min(heights) + max(heights)) / 2 + 1e-4
    crossings = sorted(
        x1 + (y - y1) * (x2 - x1) / (y2 - y1)
        for (x1, y1), (x2, y2) in pairwise((*region.polygon, region.polygon[0]))
        if min(y1, y2) <= y < max(y1, y2)
    )
    return max(
        ((b - a, (a + b) / 2) for a, b in zip(crossings[::2], crossings[1::2], strict=True)),
    )[1], y


def mirrored_words(region: BodyRegion) -> str:
    sides = {"Left": "Right", "left": "right", "Right": "Left", "right": "left"}
    return " ".join(sides.get(word, word) for word in region.label.split(" "))


def lattice() -> list[tuple[float, float]]:
    """Points all over the drawing, and none on a line of it."""
    return [
        ((column + 0.37) / COLUMNS, (row + 0.41) / ROWS) for column in range(COLUMNS) for row in range(ROWS)
    ]


def test_region_is_found_when_its_middle_is_asked_for() -> None:
    found = {
        region.key: find_region(view=region.view, x=x, y=y)
        for region in REGIONS
        for x, y in [middle_of(region)]
    }

    assert found == {region.key: region for region in REGIONS}


def test_other_side_is_found_when_the_picture_is_mirrored() -> None:
    for region in REGIONS:
        x, y = middle_of(region)

        mirrored = find_region(view=region.view, x=1 - x, y=y)

        assert mirrored == replace(
            region,
            key=region.key.replace(region.laterality, OTHER_SIDE[region.laterality]),
            label=mirrored_words(region),
            laterality=OTHER_SIDE[region.laterality],
            polygon=mirrored.polygon if mirrored else (),
        )


@pytest.mark.parametrize("view", BodyView)
def test_at_most_one_region_claims_a_point_when_all_are_asked(view: BodyView) -> None:
    regions = [region for region in REGIONS if region.view is view]

    crowded = [point for point in lattice() if sum(region.contains(*point) for region in regions) > 1]

    assert crowded == []


@pytest.mark.parametrize("view", BodyView)
def test_regions_leave_no_gap_when_a_point_is_inside_the_outline(view: BodyView) -> None:
    body = replace(REGIONS[0], polygon=OUTLINES[view])

    gaps = [(x, y) for x, y in lattice() if body.contains(x, y) and find_region(view=view, x=x, y=y) is None]

    assert gaps == []


@pytest.mark.parametrize(
    ("view", "x", "y", "side"),
    [
        (BodyView.FRONT, 0.4, 0.3, Laterality.RIGHT),
        (BodyView.FRONT, 0.6, 0.3, Laterality.LEFT),
        (BodyView.BACK, 0.4, 0.3, Laterality.LEFT),
        (BodyView.BACK, 0.6, 0.3, Laterality.RIGHT),
    ],
)
def test_side_is_the_patients_own_when_seen_from_either_view(
    view: BodyView, x: float, y: float, side: Laterality
) -> None:
    assert check_place(BodyPlace(view=view, x=x, y=y)).laterality is side


@pytest.mark.parametrize("view", BodyView)
def test_no_region_is_found_when_off_the_body(view: BodyView) -> None:
    places = [(0, 0), (1, 1), (0.5, 0.999), (0.02, 0.3), (0.5, 0.8), (-0.5, 0.3), (1.5, 0.3)]

    assert [place for place in places if find_region(view=view, x=place[0], y=place[1])] == []


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -0.1, 1.1])
def test_place_is_refused_when_not_a_share(bad: float) -> None:
    with pytest.raises(InvalidInputError, match="not on the body"):
        check_place(BodyPlace(view=BodyView.FRONT, x=bad, y=0.3))


def test_every_site_can_be_marked_when_the_whole_map_is_used() -> None:
    assert {region.anatom_site_general for region in REGIONS} == set(AnatomSiteGeneral)


def test_keys_and_labels_name_one_region_when_all_are_read() -> None:
    assert len({region.key for region in REGIONS}) == len(REGIONS)
    assert len({region.label for region in REGIONS}) == len(REGIONS)


def test_every_code_has_its_display_when_sites_and_regions_are_read() -> None:
    of_sites = {
        describe_site(LesionFactory.build(anatom_site_general=site)).snomed_ct_code
        for site in AnatomSiteGeneral
    }

    assert of_sites | {region.snomed_ct_code for region in REGIONS} == set(SNOMED_CT_DISPLAYS)
    assert set(SNOMED_CT_LATERALITY) == set(Laterality)


def test_codes_have_right_check_digits_when_computed() -> None:
    """The last digit of a SNOMED CT identifier is Verhoeff's check digit (Verhoeff 1969)."""
    codes = [*SNOMED_CT_DISPLAYS, *SNOMED_CT_LATERALITY.values()]

    assert [code for code in codes if verhoeff_sum(code) != 0] == []


def test_site_is_told_exactly_when_the_lesion_is_on_the_map() -> None:
    lesion = LesionFactory.build(
        anatom_site_general=AnatomSiteGeneral.UPPER_EXTREMITY,
        laterality=Laterality.LEFT,
        body_view=BodyView.FRONT,
        body_x=0.83,
        body_y=0.44,
    )

    site = describe_site(lesion)

    assert (site.label, site.snomed_ct_code) == ("Left forearm, front", "70559009")
    assert site.snomed_ct_display == "Skin of anterior surface of forearm"


@pytest.mark.parametrize(
    ("laterality", "label"),
    [(None, "Lower extremity"), (Laterality.RIGHT, "Lower extremity, right")],
)
def test_site_is_told_in_general_when_the_lesion_is_not_on_the_map(
    laterality: Laterality | None, label: str
) -> None:
    lesion = LesionFactory.build(anatom_site_general=AnatomSiteGeneral.LOWER_EXTREMITY, laterality=laterality)

    site = describe_site(lesion)

    assert (site.label, site.snomed_ct_code) == (label, "371304004")


def test_site_on_record_counts_when_the_place_contradicts_it() -> None:
    lesion = LesionFactory.build(
        anatom_site_general=AnatomSiteGeneral.HEAD_NECK,
        laterality=Laterality.LEFT,
        body_view=BodyView.FRONT,
        body_x=0.83,
        body_y=0.44,
    )

    assert describe_site(lesion).label == "Head/neck, left"


_PERMUTATION = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)


def verhoeff_sum(number: str) -> int:
    """0 for a number that ends in its right check digit: products in the dihedral group of the pentagon."""
    total = 0
    for place, digit in enumerate(reversed(number)):
        value = int(digit)
        for _ in range(place % 8):
            value = _PERMUTATION[value]
        total = dihedral_product(total, value)
    return total


def dihedral_product(a: int, b: int) -> int:
    """Rotations are 0 to 4, reflections 5 to 9."""
    if a < 5:
        return (a + b) % 5 if b < 5 else 5 + (a + b) % 5
    return 5 + (a - b) % 5 if b < 5 else (a - b) % 5
