"""The drawing of the body map: one half of a standing figure as smooth lines, and the polygons they enclose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final

Point = tuple[float, float]
Polygon = tuple[Point, ...]

WIDTH: Final = 200
HEIGHT: Final = 440
"""The drawing's size; its unit has no other meaning. The figure is 422 units tall, seven and a half heads."""

_STEPS: Final = 3
"""Straight pieces between two points that are given."""

# One half of the figure, from the crown down the outside and up again to the crotch: distance from the middle, distance
# from the top. The arms hang a little apart from the body, palms to the front, thumbs outside. A named point is a
# corner that regions share; being shared is what keeps them from overlapping.
_OUTLINE: Final = """
crown 0 8 | crown_side 5 8.6 | 12 11.8 | 17.3 18.5 | temple 19.2 27.5 | 19.4 33.5 | 21.4 33.6 | 22 38.5 | 20.6 44.5
18.5 46.8 | 17.4 52.5 | jaw 14.2 59.5 | 12 65 | 11.7 71 | 12.8 76.5 | neck_base 17 80.8 | 25 84.2 | shoulder 35 87.6
45.5 92.5 | 51.8 101.5 | 54 113 | 55.6 126 | 58 141 | 60.6 155 | elbow_outer 64 169.5 | 68.4 182 | 72.3 197 | 75.4 212
wrist_outer 78.6 227 | 82.2 232.5 | 87.2 238.5 | 91.4 245.5 | 94.2 252.4 | 92.2 254.4 | 88.6 250.6 | 86.6 249.6
88.4 256.5 | 91.2 266.5 | 92.8 273.6 | 90.6 275 | 88 267.6 | 89.6 278 | fingertip 87.4 280 | 84.9 269
85 279.8 | 82.6 280 | 81.3 269.4 | 80.2 276.6 | 77.8 274.4 | 75.6 262 | 73 250.5 | 70.8 241 | wrist_inner 69.4 230.5
66.4 218 | 61.6 201 | 57 186.5 | elbow_inner 53.2 172.5 | 49.8 159 | 46.6 144 | 43.6 130 | armpit 40.2 118.5
38.4 130 | 36.2 145 | 33 160 | 31.6 171 | 32.6 183 | 35.4 196 | hip 38 208.5 | 39.6 221 | gluteal_outer 40.2 233
39.6 250 | 37.6 270 | 34.6 290 | 31.6 307 | knee_outer 29.6 319 | 29.4 330 | 30.6 344 | 30.2 360 | 27.2 380
ankle_outer 23.2 402 | 22.6 410 | 25.4 417 | 29.6 423 | 31.2 427.6 | 28.6 430.4 | toes 21.6 431.4 | 14.4 431 | 10.8 428
10.4 421 | 11.4 412 | ankle_inner 11.8 402 | 10 384 | 7 364 | 6.2 350 | 7.8 334 | knee_inner 7.6 319 | 6.4 304
4.4 282 | 2.6 258 | crotch 0 234
"""
# Lines inside the outline, between points that are named there or here.
_LINES: Final = {
    "front": (
        "temple 19.2 27.5 | 15.4 22.6 | 11 19.6 | hairline 5 18",
        "jaw 14.2 59.5 | 11 64 | chin 5 67.2",
        "neck_base 17 80.8 | 13.6 86.4 | collar 5 90",
        "rib 29 143.5 | 22.5 140.5 | 13.5 134.5 | breastbone_end 5 128.5",
        "hip 38 208.5 | 25.5 215.5 | groin 11 222",
        "groin 11 222 | pubis 5 217.6",
        "groin 11 222 | 5.4 228.6 | crotch 0 234",
    ),
    "back": (
        "jaw 14.2 59.5 | 10 62 | nape 5 62.8",
        "neck_base 17 80.8 | 12.4 84.2 | collar 5 85.6",
        "rib 29 143.5 | 17 147.4 | mid_back 5 148.4",
        "iliac 27.8 191 | 16.5 190.8 | sacrum 5 193.4",
        "sacrum 5 193.4 | cleft 0 197.5",
        "gluteal_outer 40.2 233 | 31.5 238.8 | 18.5 241.4 | 7.4 239.2 | crotch 0 234",
    ),
    "both": (
        "shoulder 35 87.6 | 37.6 98 | 38.6 108 | armpit 40.2 118.5",
        "elbow_outer 64 169.5 | 58.6 172.6 | elbow_inner 53.2 172.5",
        "wrist_outer 78.6 227 | 74.2 230 | wrist_inner 69.4 230.5",
        "armpit 40.2 118.5 | 33.4 129 | rib 29 143.5 | 25.8 158 | 24.2 171 | 24.8 182 |"
        "iliac 27.8 191 | 32.4 200.5 | hip 38 208.5",
        "knee_outer 29.6 319 | 18.6 321.6 | knee_inner 7.6 319",
        "ankle_outer 23.2 402 | 17.4 404.4 | ankle_inner 11.8 402",
    ),
}
# The soles lie beside the legs of the back view, heels up, as one sees them of somebody who kneels.
_SOLE: Final = """
66 366 | 70.8 368.4 | 72.8 374.5 | 73 384 | 75 395 | 77 404.5 | 76.9 411 | 74.8 415.6 | 73.6 414.8 | 72.6 418.9
70.7 417.7 | 69.3 421.4 | 67 419.9 | 65.4 423 | 63 421.5 | 61.6 425.6 | 57.6 426.4 | 55.4 422 | 55.2 413.5 | 57 404.5
60.4 394.5 | 60.8 384 | 59.2 374.5 | 61.2 368.4
"""


class Figure:
    """One view of the body: what its half encloses between named corners.

    Args:
        view: `front` or `back`.
    """

    def __init__(self, view: str) -> None:
        self._corners: dict[str, Point] = {}
        self._paths: dict[tuple[str, str], list[Point]] = {}
        # The crown is smooth because its other half is its mirror image; the crotch is a corner.
        self.half_outline = self._add_line(_OUTLINE, before=(-5, 8.6))
        for line in (*_LINES[view], *_LINES["both"]):
            self._add_line(line)

    def enclose(self, corners: str) -> Polygon:
        """The polygon through named corners, along the drawn lines between them, else straight."""
        names = corners.split()
        points: list[Point] = []
        for start, end in pairwise([*names, names[0]]):
            points += self._path(start, end)[:-1]
        return tuple(points)

    def enclose_middle(self, corners: str) -> Polygon:
        """The polygon between a line of corners and its mirror image on the other side of the body."""
        half: list[Point] = []
        for start, end in pairwise(corners.split()):
            half += self._path(start, end)[:-1]
        half.append(self._corners[corners.split()[-1]])
        other = [(-x, y) for x, y in reversed(half) if x]
        return (*half, *other)

    def _path(self, start: str, end: str) -> list[Point]:
        if (start, end) in self._paths:
            return self._paths[start, end]
        if (end, start) in self._paths:
            return self._paths[end, start][::-1]
        return [self._corners[start], self._corners[end]]

    def _add_line(self, text: str, before: Point | None = None) -> list[Point]:
        names, points = _read(text)
        line = [points[0]]
        start = 0
        for number, piece in enumerate(_smooth(points, before or points[0], points[-1]), start=1):
            line += piece
            if name := names.get(number):
                first = names[start]
                self._paths[first, name] = line[start * _STEPS : number * _STEPS + 1]
                start = number
        self._corners |= {name: points[number] for number, name in names.items()}
        return line


def draw_sole() -> Polygon:
    """The sole of one foot."""
    _, points = _read(_SOLE)
    pieces = _smooth([*points, points[0]], before=points[-1], after=points[1])
    return tuple(point for piece in pieces for point in piece)


def place(polygon: Sequence[Point], *, is_mirrored: bool = False) -> Polygon:
    """Shares (0–1) of the drawing's width and height, for distances from the middle and the top."""
    side = -1 if is_mirrored else 1
    return tuple((round(0.5 + side * x / WIDTH, 5), round(y / HEIGHT, 5)) for x, y in polygon)


def _read(text: str) -> tuple[Mapping[int, str], list[Point]]:
    """The names by position, and the points."""
    names: dict[int, str] = {}
    points: list[Point] = []
    for entry in text.replace("\n", " | ").split("|"):
        match entry.split():
            case [name, x, y]:
                names[len(points)] = name
                points.append((float(x), float(y)))
            case [x, y]:
                points.append((float(x), float(y)))
    return names, points


def _smooth(points: Sequence[Point], before: Point, after: Point) -> Iterator[list[Point]]:
    """A Catmull-Rom spline through the points (Catmull and Rom 1974), piece by piece without each first point."""
    around = [before, *points, after]
    for a, b, c, d in zip(around, around[1:], around[2:], around[3:], strict=False):
        yield [
            (
                _between(a[0], b[0], c[0], d[0], step / _STEPS),
                _between(a[1], b[1], c[1], d[1], step / _STEPS),
            )
            for step in range(1, _STEPS + 1)
        ]


def _between(a: float, b: float, c: float, d: float, share: float) -> float:
    return (
        2 * b + (c - a) * share + (2 * a - 5 * b + 4 * c - d) * share**2 + (3 * b - a - 3 * c + d) * share**3
    ) / 2
