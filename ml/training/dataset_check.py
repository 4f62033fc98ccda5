"""Faults and traps of an image collection: unreadable files, twins, conflicts, imbalance, straddling groups."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from ml.training.datasets import LabelledImage
from ml.training.fingerprints import Fingerprints, Unreadable, has_black_corners
from ml.training.twins import exact_twins, join_groups, near_twins

_IMBALANCED: Final = 3.0  # more of one class than this for each of the other is named
_MOSTLY: Final = 0.5  # a share of twins above which a source is no independent test
_LISTED: Final = 10  # examples a finding in the text; the JSON has them all


@dataclass(frozen=True)
class Stratum:
    """One source, official split and class.

    Attributes:
        source: its name.
        official_split: or empty.
        malignant: its class.
        images: readable ones.
        black_corners: of them, see `ml.training.fingerprints.has_black_corners`.
    """

    source: str
    official_split: str
    malignant: bool
    images: int
    black_corners: int

    @property
    def black_corner_share(self) -> float:
        """0 to 1."""
        return self.black_corners / self.images


@dataclass(frozen=True)
class Diagnosis:
    """One diagnosis of a source.

    Attributes:
        source: its name.
        diagnosis: as the source names it.
        malignant: what the source's labels make of it.
        images: readable ones.
        also_elsewhere: of them, with a picture of their group in another source.
    """

    source: str
    diagnosis: str
    malignant: bool
    images: int
    also_elsewhere: int


@dataclass(frozen=True)
class Findings:
    """What the check found.

    Attributes:
        images: records, readable or not.
        strata: in order of source, split and class.
        diagnoses: in order of source and diagnosis.
        unreadable: files that are missing or damaged.
        exact: paths of pictures with the same pixels, one tuple a picture.
        near: pairs of paths that look the same.
        conflicts: pairs of twins, of which one is called benign and one malignant.
        groups: lesions, patients or twins, joined over all sources.
        shared_groups: groups that stand in two sources or more, and the sources with the number of groups.
        straddling: test images a source's official split whose group also stands outside that test split.
        unknown: images without sex, age and site.
    """

    images: int
    strata: tuple[Stratum, ...]
    diagnoses: tuple[Diagnosis, ...]
    unreadable: tuple[Unreadable, ...]
    exact: tuple[tuple[str, ...], ...]
    near: tuple[tuple[str, str], ...]
    conflicts: tuple[tuple[str, str], ...]
    groups: int
    shared_groups: tuple[tuple[str, int], ...]
    straddling: tuple[tuple[str, tuple[str, ...]], ...]
    unknown: tuple[tuple[str, int], ...]

    @property
    def faulty(self) -> bool:
        """Whether training on these images would go wrong."""
        return bool(self.unreadable or self.conflicts)


def check_images(fingerprints: Fingerprints) -> Findings:
    """Examine a collection.

    Args:
        fingerprints: of all its images.
    """
    images = fingerprints.images
    exact = exact_twins(fingerprints)
    near = near_twins(fingerprints)
    grouped = join_groups(images, [*exact, *near])
    in_group: defaultdict[str, list[LabelledImage]] = defaultdict(list)
    for image in grouped:
        in_group[image.group].append(image)
    shared = Counter(" + ".join(sorted({one.source for one in group})) for group in in_group.values())
    pairs = [*near, *((members[0], other) for members in exact for other in members[1:])]
    return Findings(
        images=len(images) + len(fingerprints.unreadable),
        strata=_strata(fingerprints),
        diagnoses=_diagnoses(in_group.values()),
        unreadable=fingerprints.unreadable,
        exact=tuple(tuple(images[index].path for index in members) for members in exact),
        near=tuple((images[one].path, images[other].path) for one, other in near),
        conflicts=tuple(
            (images[one].path, images[other].path)
            for one, other in pairs
            if images[one].malignant != images[other].malignant
        ),
        groups=len(in_group),
        shared_groups=tuple((names, count) for names, count in sorted(shared.items()) if " + " in names),
        straddling=_straddling(in_group.values()),
        unknown=tuple(
            (name, sum(getattr(one, name) in ("", None) for one in images))
            for name in ("sex", "age_years", "site")
        ),
    )


def describe(findings: Findings) -> str:
    """The findings as a text for a person."""
    strata = findings.strata
    lines = [f"{findings.images:,} images in {findings.groups:,} groups (lesions, patients, twins)", ""]
    lines += [f"{'source':24} {'split':6} {'class':10} {'images':>7} {'black corners':>14}"]
    lines += [
        f"{one.source:24} {one.official_split or '-':6} {'malignant' if one.malignant else 'benign':10} "
        f"{one.images:7,} {one.black_corner_share:14.1%}"
        for one in strata
    ]
    lines += ["", *warnings_of(findings), ""]
    for title, rows in (
        ("unreadable files", [f"{one.path}: {one.reason}" for one in findings.unreadable]),
        ("pictures with exact twins", [" = ".join(paths) for paths in findings.exact]),
        ("pairs of near twins", [" ~ ".join(paths) for paths in findings.near]),
        ("label conflicts between twins", [" against ".join(paths) for paths in findings.conflicts]),
    ):
        lines.append(f"{title}: {len(rows):,}")
        lines += [f"  {row}" for row in rows[:_LISTED]]
        lines += [f"  and {len(rows) - _LISTED:,} more (--json lists all)"] if len(rows) > _LISTED else []
    verdict = "FAULTY: mend the unreadable files and label conflicts before training"
    return "\n".join([*lines, "", verdict if findings.faulty else "usable: no fault that spoils training"])


def warnings_of(findings: Findings) -> list[str]:
    """What does not forbid training, yet misleads whoever overlooks it; one sentence each."""
    warnings = []
    for source in sorted({one.source for one in findings.strata}):
        counts = {
            name: sum(s.images for s in findings.strata if s.source == source and s.malignant is is_malignant)
            for name, is_malignant in (("benign", False), ("malignant", True))
        }
        text = f"{source}: {counts['benign']:,} benign, {counts['malignant']:,} malignant"
        if max(counts.values()) > _IMBALANCED * min(counts.values()):
            warnings.append(f"class imbalance in {text}: balance the classes in training")
        warnings += _corner_warning(source, findings.strata)
    sizes = Counter[str]()
    for one in findings.strata:
        sizes[one.source] += one.images
    if len(sizes) > 1 and max(sizes.values()) > _IMBALANCED * min(sizes.values()):
        told = ", ".join(f"{name} {count:,}" for name, count in sizes.most_common())
        warnings.append(f"source imbalance: {told}: balance the sources in training")
    warnings += [
        f"{count:,} groups stand in {names} together: split by group, never by image"
        for names, count in findings.shared_groups
    ]
    warnings += [
        f"{one.also_elsewhere:,} of the {one.images:,} {one.diagnosis} images of {one.source} stand in another "
        "source, too: they tell nothing about a network trained on that"
        for one in findings.diagnoses
        if one.also_elsewhere > _MOSTLY * one.images
    ]
    warnings += [
        f"{len(paths):,} test images of {source} have a twin or their lesion outside that test split: "
        "report the figures without them, too"
        for source, paths in findings.straddling
    ]
    missing = [f"{name} of {count:,}" for name, count in findings.unknown if count]
    if missing:
        warnings.append(
            f"unknown: {', '.join(missing)} images: results for these groups cannot be told apart"
        )
    return warnings


def as_json(findings: Findings) -> dict[str, Any]:
    """The findings for programs."""
    return {"faulty": findings.faulty, **asdict(findings), "warnings": warnings_of(findings)}


def _corner_warning(source: str, strata: Iterable[Stratum]) -> list[str]:
    share = {}
    for malignant in (False, True):
        chosen = [one for one in strata if one.source == source and one.malignant is malignant]
        if not chosen:
            return []
        share[malignant] = sum(one.black_corners for one in chosen) / sum(one.images for one in chosen)
    if max(share.values()) <= 0.05 or max(share.values()) < 2 * min(share.values()):
        return []
    return [
        f"the label tells the source in {source}: {share[True]:.1%} of the malignant and {share[False]:.1%} of "
        "the benign images have black corners: draw them on both classes in training"
    ]


def _strata(fingerprints: Fingerprints) -> tuple[Stratum, ...]:
    keys = [(one.source, one.official_split, one.malignant) for one in fingerprints.images]
    corners = has_black_corners(fingerprints.luminance).tolist()
    dark = Counter(key for key, black in zip(keys, corners, strict=True) if black)
    return tuple(Stratum(*key, images, dark[key]) for key, images in sorted(Counter(keys).items()))


def _diagnoses(groups: Iterable[Sequence[LabelledImage]]) -> tuple[Diagnosis, ...]:
    counts: Counter[tuple[str, str, bool]] = Counter()
    elsewhere: Counter[tuple[str, str, bool]] = Counter()
    for group in groups:
        keys = Counter((one.source, one.diagnosis, one.malignant) for one in group)
        counts += keys
        if len({one.source for one in group}) > 1:
            elsewhere += keys
    return tuple(Diagnosis(*key, images, elsewhere[key]) for key, images in sorted(counts.items()))


def _straddling(
    groups: Iterable[Sequence[LabelledImage]],
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for group in groups:
        places = {(one.source, one.official_split) for one in group}
        if len(places) > 1:
            for one in group:
                if one.official_split == "test":
                    found[one.source].append(one.path)
    return tuple((source, tuple(sorted(paths))) for source, paths in sorted(found.items()))
