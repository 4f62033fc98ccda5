"""The body map as the pages draw it: the regions of the record, written as SVG points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from melanoma_app.models.vocabulary import BodyView
from melanoma_app.services.body_figure import HEIGHT, WIDTH, Polygon
from melanoma_app.services.body_regions import OUTLINES, REGIONS, BodyRegion


@dataclass(frozen=True, kw_only=True)
class DrawnRegion:
    """A region and its corners in the drawing's units."""

    region: BodyRegion
    points: str


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """One view: `width` and `height` are those of the SVG's view box."""

    view: BodyView
    width: int
    height: int
    outline: str
    regions: Sequence[DrawnRegion]


@cache
def draw_body() -> Sequence[Drawing]:
    """The front and the back."""
    return [
        Drawing(
            view=view,
            width=WIDTH,
            height=HEIGHT,
            outline=_points(OUTLINES[view]),
            regions=[
                DrawnRegion(region=region, points=_points(region.polygon))
                for region in REGIONS
                if region.view == view
            ],
        )
        for view in BodyView
    ]


def _points(polygon: Polygon) -> str:
    return " ".join(f"{x * WIDTH:.1f},{y * HEIGHT:.1f}" for x, y in polygon)
