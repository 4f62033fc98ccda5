"""python -m ml dataset: twins and faults are found, groups stay whole, and the page holds its pictures."""

import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ml.__main__ import main
from ml.training.dataset_check import check_images, describe
from ml.training.dataset_split import parse_fractions, read_split_file, split_into_parts, write_split_file
from ml.training.datasets import LabelledImage
from ml.training.errors import BenchError
from ml.training.fingerprints import fingerprint_images, has_black_corners
from ml.training.loaders import load_sources
from ml.training.twins import difference_hashes, exact_twins, join_groups, near_twins
from tests.ml.drawn_lesions import draw_lesion
from tests.ml.test_bench_command_line import assert_one_clear_line, run
from tests.ml.test_datasets import image, manifests


def picture(seed: int, *, black_corners: bool = False, side_px: int = 96) -> Image.Image:
    """A lesion on skin with broad shades, so that no two look alike."""
    shades = np.random.default_rng(seed).integers(0, 120, (6, 6, 3)).astype(np.uint8)
    skin = Image.fromarray(shades).resize((side_px, side_px), Image.Resampling.BICUBIC)
    drawn = Image.blend(draw_lesion(malignant=False, seed=seed, side_px=side_px), skin, 0.5)
    if not black_corners:
        return drawn
    y, x = np.mgrid[:side_px, :side_px] - (side_px - 1) / 2
    return Image.fromarray(np.asarray(drawn) * (np.hypot(x, y) < side_px / 2)[..., np.newaxis])


@pytest.fixture
def clinic(tmp_path: Path) -> Path:
    """Twelve pictures a class in the Kaggle layout; malignant ones with black corners; twins across the split."""
    folder = tmp_path / "clinic"
    for number in range(24):
        name = "malignant" if number % 2 else "benign"
        path = folder / ("test" if number > 17 else "train") / name / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(number, black_corners=bool(number % 2)).save(path)
    picture(0).save(folder / "test/benign/exact.png", optimize=True, compress_level=1)
    picture(1, black_corners=True).resize((128, 128)).save(folder / "test/malignant/near.jpg", quality=90)
    return folder


def test_twins_are_found_when_bytes_size_or_compression_differ(clinic: Path) -> None:
    found = fingerprint_images(load_sources([f"kaggle:{clinic}"]))
    names = [Path(one.path).name for one in found.images]

    assert [{names[index] for index in one} for one in exact_twins(found)] == [{"0.png", "exact.png"}]
    assert [{names[index] for index in pair} for pair in near_twins(found)] == [{"1.png", "near.jpg"}]


def test_hash_has_a_bit_a_neighbour_when_cells_grow_brighter() -> None:
    ramp = np.broadcast_to(np.arange(32, dtype=np.float32), (1, 32, 32))

    assert difference_hashes(np.concatenate([ramp, ramp[:, :, ::-1]])).tolist() == [2**64 - 1, 0]


def test_black_corners_are_seen_when_field_of_view_is_round(clinic: Path) -> None:
    found = fingerprint_images(load_sources([f"kaggle:{clinic}"]))

    assert has_black_corners(found.luminance).tolist() == [one.malignant for one in found.images]


def test_traps_are_told_when_labels_tell_the_source(clinic: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dataset", "check", f"kaggle:{clinic}"]) == 0

    text = capsys.readouterr().out
    assert "100.0% of the malignant and 0.0% of the benign images have black corners" in text
    assert "2 test images of kaggle_melanoma_10000 have a twin" in text
    assert "usable" in text


def test_status_is_1_when_files_are_corrupt_or_twins_disagree(clinic: Path, tmp_path: Path) -> None:
    (clinic / "train/benign/torn.jpg").write_bytes(b"\xff\xd8\xff torn")
    picture(3, black_corners=True).save(clinic / "train/benign/again.png")

    done = run("dataset", "check", f"kaggle:{clinic}", "--json", tmp_path / "found.json")

    assert done.returncode == 1
    assert "FAULTY" in done.stdout
    assert done.stderr == ""
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["faulty"] is True
    assert [Path(one["path"]).name for one in found["unreadable"]] == ["torn.jpg"]
    assert [{Path(path).name for path in pair} for pair in found["conflicts"]] == [{"3.png", "again.png"}]


def test_groups_of_two_lesions_become_one_when_they_share_a_twin() -> None:
    images = tuple(image(n, malignant=False, group=g) for n, g in enumerate(["a", "a", "b", "", "", ""]))

    joined = join_groups(images, [(1, 2), (3, 4)])

    assert [one.group for one in joined] == [
        "a",
        "a",
        "a",
        *["twins of a/train/3.jpg"] * 2,
        "twins of a/train/5.jpg",
    ]


@given(
    images=manifests(),
    percents=st.sampled_from([(70, 15, 15), (80, 20), (34, 33, 33)]),
    seed=st.integers(0, 99),
)
def test_no_group_stands_in_two_parts_when_split(
    images: list[LabelledImage], percents: tuple[int, ...], seed: int
) -> None:
    try:
        parts = split_into_parts(images, percents=percents, seed=seed)
    except BenchError as error:
        assert "would lack a class" in str(error)  # noqa: PT017  (few images: the refusal is right)
        return

    groups = [{one.group for one in part} for part in parts.values()]
    assert sum(map(len, groups)) == len(set.union(*groups))
    assert sorted(one.path for part in parts.values() for one in part) == sorted(one.path for one in images)
    assert parts == split_into_parts(images[::-1], percents=percents, seed=seed)


def test_each_class_of_each_source_gets_its_share_when_split() -> None:
    images = [
        image(n, malignant=n % 4 == 0, group=f"{source}{n // 2}", source=source)
        for source, count in (("a", 400), ("b", 200))
        for n in range(count)
    ]

    parts = split_into_parts(images, percents=(70, 15, 15), seed=3)

    for source, malignant in (("a", True), ("a", False), ("b", True), ("b", False)):
        counts = [sum(o.source == source and o.malignant == malignant for o in p) for p in parts.values()]
        np.testing.assert_allclose(np.array(counts) / max(sum(counts), 1), [0.7, 0.15, 0.15], atol=0.03)


def test_split_is_read_back_when_written(tmp_path: Path) -> None:
    images = [image(n, malignant=n % 2 == 0, group=f"g{n}") for n in range(40)]
    parts = split_into_parts(images, percents=(80, 20), seed=1)
    write_split_file(tmp_path / "s.json", parts, sources=["folder:x"], percents=(80, 20), seed=1)

    assert read_split_file(tmp_path / "s.json", images) == parts
    with pytest.raises(BenchError, match="is not among the images"):
        read_split_file(tmp_path / "s.json", images[:5])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no split file"),
        ("{", "is no split file"),
        ("[]", "is no split file"),
        ('{"parts": {"train": []}}', "which no split of this bench has"),
        ({"train": [("0", "g")], "test": [("1", "g")]}, "group 'g' stands in train and in test"),
        ({"train": [("0", "g"), ("0", "g")], "test": []}, "stands twice"),
    ],
)
def test_split_file_is_refused_when_it_is_wrong(tmp_path: Path, content: object, message: str) -> None:
    path = tmp_path / "split.json"
    if isinstance(content, dict):
        parts = {
            name: [{"path": f"a/train/{number}.jpg", "group": group} for number, group in rows]
            for name, rows in content.items()
        }
        path.write_text(json.dumps({"parts": parts}))
    elif content is not None:
        path.write_text(str(content))

    with pytest.raises(BenchError, match=message):
        read_split_file(path, [image(n, malignant=False, group="") for n in range(2)])


@pytest.mark.parametrize("text", ["70/15", "80/20/0", "a/b", "100", "-5/105", "25/25/25/25", ""])
def test_fractions_are_refused_when_they_are_no_whole(text: str) -> None:
    with pytest.raises(BenchError, match="--fractions"):
        parse_fractions(text)


def test_same_file_is_written_when_seed_is_the_same(clinic: Path, tmp_path: Path) -> None:
    for name, seed in (("one", 5), ("two", 5), ("other", 6)):
        options = ("--fractions", "80/20", "--seed", str(seed), "--out", str(tmp_path / name))
        assert main(["dataset", "split", f"kaggle:{clinic}", *options]) == 0

    one, two, other = ((tmp_path / name).read_text() for name in ("one", "two", "other"))
    assert one == two
    assert one != other
    assert len(read_split_file(tmp_path / "one", load_sources([f"kaggle:{clinic}"]))["train"]) >= 18


def test_nothing_is_written_when_files_are_corrupt(clinic: Path, tmp_path: Path) -> None:
    (clinic / "train/benign/torn.jpg").write_bytes(b"torn")

    done = run("dataset", "split", f"kaggle:{clinic}", "--out", tmp_path / "out.json")

    assert_one_clear_line(done, "1 unreadable files", "torn.jpg")
    assert not (tmp_path / "out.json").exists()


@pytest.mark.parametrize("command", [("check",), ("split", "--out", "x"), ("report", "--out", "x")])
def test_collection_is_refused_in_one_line_when_there_is_none(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    name, *options = command
    done = run("dataset", name, f"folder:{tmp_path / 'none'}", *options)

    assert_one_clear_line(done, "there is no folder")


class Page(HTMLParser):
    """Tags and cells of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_report_is_one_page_with_its_pictures_when_written(clinic: Path, tmp_path: Path) -> None:
    assert main(["dataset", "report", f"kaggle:{clinic}", "--out", str(tmp_path / "page.html")]) == 0

    page = Page()
    page.feed((tmp_path / "page.html").read_text(encoding="utf-8"))
    tags = [tag for tag, _ in page.tags]
    pictures = [attributes for tag, attributes in page.tags if tag == "img"]
    assert not {"script", "link", "iframe"} & set(tags)
    assert len(pictures) == 8
    assert all(str(one["src"]).startswith("data:image/png;base64,") and one["alt"] for one in pictures)
    assert {"96 × 96", "128 × 128", "melanoma", "benign_unspecified"} <= set(page.text)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clinic", "page.html"]


def test_findings_count_what_the_records_hold(data_folder: Path) -> None:
    findings = check_images(fingerprint_images(load_sources([f"manifest:{data_folder}"])))

    assert sum(one.images for one in findings.strata) == findings.images == 126
    assert dict(findings.shared_groups)["ham10000 + kaggle_melanoma_10000"] == 4
    assert not findings.faulty


def test_trap_is_told_when_a_diagnosis_stands_in_another_source(data_folder: Path) -> None:
    found = fingerprint_images(load_sources([f"manifest:{data_folder}"]))

    text = describe(check_images(found))

    assert "10 of the 10 mel images of ham10000 stand in another source, too" in text
    assert "nv images of ham10000" not in text
