"""The data's manifest is read or refused, and no group ever stands on two sides of a split."""

import functools
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.training.datasets import (
    LabelledImage,
    Split,
    labels_of,
    read_manifest,
    split_by_group,
    split_sources,
    without_groups_of,
)
from ml.training.errors import BenchError
from ml.training.evaluation_sets import evaluation_sets
from ml.training.pixels import load_pixels

two_way_split = functools.partial(split_sources, validation_fraction=0.2, test_fraction=0.15, seed=1)
"""Sources split as most runs split them."""

HEADER = "path,source,official_split,diagnosis,melanoma,malignant,isic_id,lesion_id,group\n"


def image(
    number: int, *, malignant: bool, group: str, split: str = "train", source: str = "a"
) -> LabelledImage:
    return LabelledImage(
        path=f"{source}/{split}/{number}.jpg",
        source=source,
        official_split=split,
        diagnosis="melanoma" if malignant else "nv",
        melanoma=malignant,
        malignant=malignant,
        group=group,
    )


@st.composite
def manifests(draw: st.DrawFn) -> list[LabelledImage]:
    """Random images of three sources, the last without official test part; labels within a group may differ."""
    rows = draw(
        st.lists(
            st.tuples(
                st.booleans(), st.integers(0, 60), st.sampled_from(["train", "test"]), st.sampled_from("abc")
            ),
            min_size=40,
            max_size=80,
        )
    )
    return [
        image(
            number,
            malignant=malignant,
            group=f"g{group}",
            split="" if source == "c" else split,
            source=source,
        )
        for number, (malignant, group, split, source) in enumerate(rows)
    ]


@given(images=manifests(), fraction=st.floats(0.05, 0.5), seed=st.integers(0, 2**32 - 1))
def test_no_group_straddles_the_split_when_images_are_random(
    images: list[LabelledImage], fraction: float, seed: int
) -> None:
    train, validation = split_by_group(images, validation_fraction=fraction, seed=seed)

    assert not {one.group for one in train} & {one.group for one in validation}
    assert Counter(train) + Counter(validation) == Counter(images)


@given(
    images=manifests(),
    sources=st.sets(st.sampled_from("abc"), min_size=1).map(sorted),
    left_out=st.sampled_from(["", "a", "b", "c"]),
    seed=st.integers(0, 1000),
)
def test_all_parts_are_apart_when_sources_are_split(
    images: list[LabelledImage], sources: list[str], left_out: str, seed: int
) -> None:
    try:
        split = split_sources(
            images,
            sources=sources,
            validation_fraction=0.2,
            test_fraction=0.3,
            left_out_source=left_out,
            seed=seed,
        )
    except BenchError:
        return  # a part without one of the classes, or no such source
    train, validation, test = (
        {one.group for one in part} for part in (split.train, split.validation, split.test)
    )
    left_out_groups = {one.group for one in images if one.source == left_out}
    assert not train & validation
    assert not (train | validation) & (test | left_out_groups)
    assert {one.group for one in split.dropped} <= test | left_out_groups
    assert Counter((*split.train, *split.validation, *split.test, *split.dropped)) == Counter(
        one for one in images if one.source in sources
    )
    official = {one for one in images if one.source in sources and one.official_split == "test"}
    assert official <= set(split.test)


@given(images=manifests(), seed=st.integers(0, 1000))
def test_evaluation_sets_hold_no_trained_group_when_images_are_random(
    images: list[LabelledImage], seed: int
) -> None:
    names = {"a": "kaggle_melanoma_10000", "b": "ham10000", "c": "isic2017"}
    images = [replace(one, source=names[one.source]) for one in images]
    try:
        split = two_way_split(images, sources=[names["a"]], seed=seed)
    except BenchError:
        return  # a part without one of the classes, or no such source
    train, validation = ({one.group for one in part} for part in (split.train, split.validation))

    for one in evaluation_sets(images, split):
        strict = not one.key.endswith("with_validation_twins")
        seen = train | (validation if strict and not one.in_source else set())
        if one.key != "validation":
            assert not {member.group for member in one.images} & seen


@given(sizes=st.lists(st.integers(1, 6), min_size=5, max_size=60), seed=st.integers(0, 1000))
def test_validation_gets_its_share_of_each_label_when_groups_differ_in_size(
    sizes: list[int], seed: int
) -> None:
    images = [
        image(100 * group + member, malignant=group % 2 == 0, group=f"g{group}")
        for group, size in enumerate(sizes)
        for member in range(size)
    ]

    _, validation = split_by_group(images, validation_fraction=0.2, seed=seed)

    for malignant in (True, False):
        wanted = 0.2 * sum(one.malignant == malignant for one in images)
        assert abs(sum(one.malignant == malignant for one in validation) - wanted) <= max(sizes) / 2


def test_split_is_the_same_when_rows_come_in_another_order() -> None:
    images = [image(number, malignant=number % 3 == 0, group=f"g{number // 2}") for number in range(60)]

    assert split_by_group(images, validation_fraction=0.2, seed=5) == split_by_group(
        images[::-1], validation_fraction=0.2, seed=5
    )
    assert split_by_group(images, validation_fraction=0.2, seed=5) != split_by_group(
        images, validation_fraction=0.2, seed=6
    )


def test_images_are_dropped_when_their_group_stands_in_the_test_split(split: Split) -> None:
    assert sorted(one.path.rsplit("/", 1)[1] for one in split.dropped) == ["melanoma_0.png", "melanoma_1.png"]
    assert len(split.train) + len(split.validation) == 58


def test_evaluation_sets_hold_no_trained_group_when_other_sources_have_twins(
    data_folder: Path, split: Split
) -> None:
    sets = {one.key: one for one in evaluation_sets(read_manifest(data_folder), split)}
    fitted, chosen_on = ({one.group for one in part} for part in (split.train, split.validation))

    assert len(sets["test_without_twins"].images) == len(sets["test"].images) - 1
    assert not {one.group for one in sets["ham10000"].images} & (fitted | chosen_on)
    twins = {one.group for one in sets["ham10000_with_validation_twins"].images}
    assert twins & chosen_on
    assert not twins & fitted
    assert {one.diagnosis for one in sets["ham10000_melanoma"].images} <= {"mel", "nv"}
    np.testing.assert_array_equal(
        sets["ham10000"].positive, [one.diagnosis in {"mel", "bcc"} for one in sets["ham10000"].images]
    )


def test_manifest_is_read_when_whole(data_folder: Path) -> None:
    images = read_manifest(data_folder)

    assert Counter(one.source for one in images) == {
        "kaggle_melanoma_10000": 76,
        "ham10000": 30,
        "isic2017": 20,
    }
    assert labels_of(images).sum() == 30 + 8 + 20 + 10
    assert without_groups_of(images, images[:1]) == tuple(one for one in images if one.group != "m0")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"no manifest\.csv .* MELANOMA_DATA"),
        ("", "lacks the columns path"),
        ("path,source\nx,y\n", "lacks the columns official_split"),
        (HEADER, "no rows"),
        (HEADER + "a.jpg,a,train,nv,0,maybe,,,g1\n", "line 2: malignant must be 0 or 1"),
        (HEADER + "a.jpg,a,train,nv,0,0,,,\n", "line 2: path and group"),
        (HEADER + "a.jpg,a,train\n", "line 2: melanoma must be 0 or 1"),
    ],
    ids=["missing", "empty", "columns", "no rows", "label", "group", "short"],
)
def test_manifest_is_refused_in_one_line_when_it_is_wrong(
    tmp_path: Path, content: str | None, message: str
) -> None:
    if content is not None:
        (tmp_path / "manifest.csv").write_text(content)

    with pytest.raises(BenchError, match=message) as refusal:
        read_manifest(tmp_path)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("place", ["sources", "left_out_source"])
def test_split_is_refused_when_source_is_unknown(data_folder: Path, place: str) -> None:
    sources: dict[str, object] = {"sources": ["kaggle_melanoma_10000"]}
    sources[place] = ["isic2020"] if place == "sources" else "isic2020"

    with pytest.raises(BenchError, match=r"'isic2020' .*ham10000, isic2017, kaggle_melanoma_10000"):
        two_way_split(read_manifest(data_folder), **sources)


def apart(
    source: str, count: int, *, test: int = 0, classes: tuple[bool, ...] = (True, False)
) -> list[LabelledImage]:
    """Images of one source, each a group of its own; the first `test` of them are its official test part."""
    return [
        image(
            number,
            malignant=classes[number % len(classes)],
            group=f"{source}{number}",
            split="test" if number < test else "train" if test else "",
            source=source,
        )
        for number in range(count)
    ]


@pytest.mark.parametrize(
    ("images", "part"),
    [
        (apart("a", 20, test=4, classes=(False,)), "training"),
        (apart("a", 20, test=1), "test"),
        (apart("a", 4, test=2), "validation"),
    ],
    ids=["training", "test", "validation"],
)
def test_split_is_refused_when_a_part_lacks_a_class(images: list[LabelledImage], part: str) -> None:
    with pytest.raises(BenchError, match=f"the {part} part lacks a class"):
        two_way_split(images, sources=["a"])


def test_test_parts_are_official_or_drawn_when_several_sources_are_split() -> None:
    images = [*apart("a", 100, test=10), *apart("b", 200), *apart("c", 60)]

    split = two_way_split(images, sources=["a", "b"], test_fraction=0.2)

    assert {one for one in split.test if one.source == "a"} == set(images[:10])
    drawn = [one for one in split.test if one.source == "b"]
    assert Counter(one.malignant for one in drawn) == {True: 20, False: 20}
    assert Counter(one.source for one in split.validation) == {"a": 18, "b": 32}
    assert split.dropped == ()


def test_images_are_dropped_when_their_group_stands_in_the_test_part_of_another_source() -> None:
    shared = [image(900 + n, malignant=n % 2 == 0, group=f"a{n}", split="", source="b") for n in range(4)]
    images = [*apart("a", 40, test=4), *apart("b", 60), *shared]

    split = split_sources(
        images, sources=["a", "b"], validation_fraction=0.2, test_fraction=0.0, seed=1, left_out_source=""
    )

    assert set(split.dropped) == set(shared)


def test_images_are_dropped_when_their_group_stands_in_the_left_out_source() -> None:
    shared = [image(900 + n, malignant=n % 2 == 0, group=f"a{n + 10}", source="b") for n in range(6)]
    images = [*apart("a", 60, test=10), *apart("b", 20), *shared]

    kept = two_way_split(images, sources=["a"])
    split = two_way_split(images, sources=["a"], left_out_source="b")

    assert kept.dropped == ()
    assert {one.group for one in split.dropped} == {one.group for one in shared}
    assert len(split.train) + len(split.validation) == 44
    assert split.test == kept.test


def test_split_is_the_same_when_the_seed_is() -> None:
    images = [*apart("a", 80), *apart("b", 80)]

    first = two_way_split(images, sources=["a", "b"], seed=3)

    assert two_way_split(images, sources=["a", "b"], seed=3) == first
    shuffled = two_way_split(images[::-1], sources=["a", "b"], seed=3)
    assert (shuffled.train, shuffled.validation) == (first.train, first.validation)
    assert set(shuffled.test) == set(first.test)
    assert two_way_split(images, sources=["a", "b"], seed=4).test != first.test


def test_pixels_come_from_the_cache_when_loaded_again(
    data_folder: Path, split: Split, tmp_path: Path
) -> None:
    where = {"data_folder": data_folder, "cache_folder": tmp_path, "size_px": 16}

    first = load_pixels(split.test, **where)
    written = list(tmp_path.iterdir())
    again = load_pixels(split.test, **where)
    load_pixels(split.test[::-1], **where)

    np.testing.assert_array_equal(first, again)
    assert len(written) == 1
    assert len(list(tmp_path.iterdir())) == 2, "another order is another array"


@pytest.mark.parametrize("content", [None, b"not an image"], ids=["missing", "unreadable"])
def test_nothing_is_cached_when_an_image_is_bad(tmp_path: Path, content: bytes | None) -> None:
    bad = image(1, malignant=True, group="g")
    if content is not None:
        (tmp_path / bad.path).parent.mkdir(parents=True)
        (tmp_path / bad.path).write_bytes(content)

    with pytest.raises(BenchError, match=r"1\.jpg"):
        load_pixels([bad], data_folder=tmp_path, cache_folder=tmp_path / "cache", size_px=8)
    assert not list(tmp_path.glob("cache/*"))
