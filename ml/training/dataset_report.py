"""The exploration report: one HTML page with all pictures inside, no scripts, every chart with its numbers."""

import base64
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Final

import numpy as np

from ml.training import dataset_plots as plots
from ml.training.dataset_check import Findings, check_images, warnings_of
from ml.training.files import replacing
from ml.training.fingerprints import Fingerprints
from ml.training.sources import SOURCES

_SAMPLES: Final = 8  # a source and class
_SAMPLE_SEED: Final = 1
_TWINS_SHOWN: Final = 6  # of exact and of near twins each
_SIZES_LISTED: Final = 5  # a source
_STYLE: Final = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .2rem .8rem .2rem 0; text-align: left; border-bottom: 1px solid #8886; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
img { max-width: 100%; background: #fff; }
.traps li { margin-bottom: .4rem; }
"""


def write_report(path: Path, fingerprints: Fingerprints, *, sources: Sequence[str]) -> None:
    """Check a collection and write its report, whole or not at all.

    Args:
        path: of the HTML file.
        fingerprints: of all images.
        sources: as the person named them.
    """
    findings = check_images(fingerprints)
    body = [
        f"<h1>Image collection: {findings.images:,} images</h1>",
        f"<p>Made from {escape(', '.join(sources))}. {findings.groups:,} groups (lesions, patients, twins).</p>",
        _traps(findings),
        *_class_sections(findings),
        *_picture_sections(fingerprints),
        *_twin_sections(findings),
    ]
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>Image collection</title><style>{_STYLE}</style></head>\n"
        f"<body><main>\n{chr(10).join(body)}\n</main></body></html>\n"
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _traps(findings: Findings) -> str:
    told = [
        f"{len(findings.unreadable):,} unreadable files, {len(findings.conflicts):,} label conflicts between twins.",
        *warnings_of(findings),
        "Skin type is recorded in none of these layouts: nothing can be claimed for types that nobody counted.",
    ]
    rows = "".join(f"<li>{escape(text)}</li>" for text in told)
    return f'<h2>What to beware of</h2><ul class="traps">{rows}</ul>'


def _class_sections(findings: Findings) -> list[str]:
    corners = _table(
        ("source", "official split", "class", "images", "with black corners", "share"),
        (
            (
                s.source,
                s.official_split or "none",
                plots.CLASSES[s.malignant],
                s.images,
                s.black_corners,
                f"{s.black_corner_share:.1%}",
            )
            for s in findings.strata
        ),
    )
    return [
        "<h2>Class balance by source</h2>",
        _image(plots.draw_balance(findings), "Bars: images by source and class; the table below has them"),
        "<h2>What malignant means</h2>",
        _table(
            ("source", "diagnosis", "class", "images", "also in another source"),
            (
                (one.source, one.diagnosis, plots.CLASSES[one.malignant], one.images, one.also_elsewhere)
                for one in findings.diagnoses
            ),
        ),
        _table(("source", "its labels", "its terms"), _meanings(findings)),
        "<h2>Black corners</h2>",
        "<p>Three or four corners darker than 40 of 255: the rim of a round field of view. Where one class has "
        "more, a network learns the rim instead of the lesion.</p>",
        _image(
            plots.draw_black_corners(findings), "Bars: share of black corners; numbers in the table below"
        ),
        corners,
    ]


def _picture_sections(fingerprints: Fingerprints) -> list[str]:
    return [
        "<h2>Image sizes</h2>",
        "<p>One size for all pictures of a source means that they were squashed or cropped to it.</p>",
        _image(
            plots.draw_sizes(fingerprints), "Dots: width and height; the most frequent in the table below"
        ),
        _table(("source", "width × height", "images"), _sizes(fingerprints)),
        "<h2>Sample of each class</h2>",
        "<p>Drawn at random, cropped to the centre square.</p>",
        _image(
            plots.draw_samples(fingerprints, images_a_row=_SAMPLES, seed=_SAMPLE_SEED),
            "Random pictures, a row a source and class",
        ),
        "<h2>Colours by class</h2>",
        _image(
            plots.draw_colours(fingerprints), "Histograms of red, green and blue; means in the table below"
        ),
        _table(("source", "class", "images", "mean red", "mean green", "mean blue"), _colours(fingerprints)),
        "<h2>Mean image of each class</h2>",
        _image(plots.draw_means(fingerprints), "The mean of all pictures of a source and class"),
    ]


def _twin_sections(findings: Findings) -> list[str]:
    sections = [
        "<h2>Twins</h2>",
        _table(
            ("finding", "number"),
            [
                ("pictures that stand twice or more, pixel for pixel", len(findings.exact)),
                ("pairs of near twins", len(findings.near)),
                ("label conflicts between twins", len(findings.conflicts)),
                *((f"groups in {names}", count) for names, count in findings.shared_groups),
                *(
                    (f"test images of {s} with a twin outside", len(paths))
                    for s, paths in findings.straddling
                ),
            ],
        ),
        "<p>Compared: pixels, and pictures as a whole. Another crop, a turned or a mirrored copy is known only "
        "where the records name the lesion.</p>",
    ]
    for title, clusters in (
        ("Label conflicts", findings.conflicts),
        ("Exact twins", findings.exact),
        ("Near twins", findings.near),
    ):
        if clusters:
            step = max(1, len(clusters) // _TWINS_SHOWN)
            shown = clusters[::step][:_TWINS_SHOWN]
            labels = {path: "/".join(Path(path).parts[-3:]).replace("/", "/\n") for c in shown for path in c}
            sections += [
                f"<h3>{title}: {len(shown)} of {len(clusters):,}</h3>",
                _image(plots.draw_twins(shown, labels=labels), f"{title}, a row a picture"),
            ]
    return sections


def _meanings(findings: Findings) -> Iterable[tuple[str, str, str]]:
    for name in sorted({one.source for one in findings.strata}):
        known = SOURCES.get(name)
        yield name, known.labels if known else "not known here", known.terms if known else "not known here"


def _sizes(fingerprints: Fingerprints) -> Iterable[tuple[str, str, int]]:
    for source, chosen in plots.by_source(fingerprints).items():
        sizes, counts = np.unique(fingerprints.sizes_px[chosen], axis=0, return_counts=True)
        for index in np.argsort(-counts, kind="stable")[:_SIZES_LISTED]:
            yield source, f"{sizes[index, 0]} × {sizes[index, 1]}", int(counts[index])


def _colours(fingerprints: Fingerprints) -> Iterable[tuple[str, str, int, str, str, str]]:
    for (source, malignant), chosen in plots.by_stratum(fingerprints).items():
        red, green, blue = (f"{m:.0f}" for m in fingerprints.thumbnails[chosen].mean(axis=(0, 1, 2)))
        yield source, plots.CLASSES[malignant], len(chosen), red, green, blue


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    head = "".join(f'<th scope="col">{escape(one)}</th>' for one in heads)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: object) -> str:
    if isinstance(value, int):
        return f'<td class="number">{value:,}</td>'
    return f"<td>{escape(str(value))}</td>"


def _image(png: bytes, text: str) -> str:
    return f'<img alt="{escape(text)}" src="data:image/png;base64,{base64.b64encode(png).decode()}">'
