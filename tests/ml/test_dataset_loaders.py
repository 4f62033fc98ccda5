"""Every layout gives the same records, and bad input is one clear line."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ml.training.errors import BenchError
from ml.training.loaders import load_sources
from tests.ml.drawn_lesions import draw_lesion

ISIC2020 = (
    "image_name,patient_id,sex,age_approx,anatom_site_general_challenge,diagnosis,benign_malignant,target\n"
)
HAM10000 = "lesion_id,image_id,dx,dx_type,age,sex,localization\n"


def draw(folder: Path, *names: str) -> None:
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        draw_lesion(malignant="malignant" in name, seed=number).save(path)


def test_class_is_known_when_folder_names_it(tmp_path: Path) -> None:
    draw(tmp_path / "clinic", "benign/a.png", "benign/deep/b.JPG", "malignant/c.png")
    (tmp_path / "clinic/benign/notes.txt").write_text("no image")

    images = load_sources([f"folder:{tmp_path / 'clinic'}"])

    assert [(Path(one.path).name, one.malignant) for one in images] == [
        ("a.png", False),
        ("b.JPG", False),
        ("c.png", True),
    ]
    assert {(one.source, one.official_split, one.group, one.melanoma) for one in images} == {
        ("clinic", "", "", False)
    }


def test_split_and_diagnosis_are_known_when_layout_is_kaggles(tmp_path: Path) -> None:
    draw(
        tmp_path,
        *(f"{split}/{name}/1.jpg" for split in ("train", "test") for name in ("benign", "malignant")),
    )

    images = load_sources([f"kaggle:{tmp_path}"])

    assert [(one.official_split, one.diagnosis, one.melanoma, one.malignant) for one in images] == [
        ("train", "benign_unspecified", False, False),
        ("train", "melanoma", True, True),
        ("test", "benign_unspecified", False, False),
        ("test", "melanoma", True, True),
    ]


def test_patient_is_the_group_when_isic_2020_names_one(tmp_path: Path) -> None:
    draw(tmp_path / "jpeg/train", "ISIC_1.jpg", "ISIC_2.jpg")
    (tmp_path / "truth.csv").write_text(
        ISIC2020
        + "ISIC_1,IP_7,male,45.0,torso,unknown,benign,0\nISIC_2,IP_7,,,,melanoma,malignant,1\n"
        + "ISIC_3,,female,NA,head/neck,nevus,benign,0\n"
    )

    for source in (f"isic2020:{tmp_path}", f"isic2020:{tmp_path / 'jpeg'},{tmp_path / 'truth.csv'}"):
        first, second, third = load_sources([source])

        assert (first.sex, first.age_years, first.site, first.malignant) == ("male", 45.0, "torso", False)
        assert (second.sex, second.age_years, second.melanoma, second.malignant) == ("", None, True, True)
        assert first.group == second.group == "isic2020 patient IP_7"
        assert Path(second.path) == tmp_path / "jpeg/train/ISIC_2.jpg"
        assert (third.group, third.age_years) == ("", None)
        assert third.path.endswith("ISIC_3.jpg"), "a picture that is not there is left to the check"


def test_precancer_is_malignant_when_source_is_ham10000(tmp_path: Path) -> None:
    draw(tmp_path, "part_1/ISIC_1.jpg", "part_2/ISIC_2.jpg")
    (tmp_path / "HAM10000_metadata.csv").write_text(
        HAM10000 + "HAM_1,ISIC_1,akiec,histo,60.0,female,face\nHAM_2,ISIC_2,nv,histo,,unknown,back\n"
    )

    akiec, nevus = load_sources([f"ham10000:{tmp_path}"])

    assert (akiec.malignant, akiec.melanoma, akiec.group) == (True, False, "ham10000 lesion HAM_1")
    assert (akiec.sex, akiec.age_years, akiec.site) == ("female", 60.0, "face")
    assert (nevus.malignant, nevus.age_years) == (False, None)


def test_paths_hold_the_folder_when_source_is_our_manifest(data_folder: Path) -> None:
    images = load_sources([f"manifest:{data_folder}"])

    assert len(images) == 126
    assert all(Path(one.path).is_file() for one in images)
    assert all(one.group for one in images)


def missing_folder(folder: Path) -> str:
    return f"folder:{folder / 'none'}"


def no_images(folder: Path) -> str:
    (folder / "benign").mkdir()
    (folder / "malignant").mkdir()
    return f"folder:{folder}"


def class_missing(folder: Path) -> str:
    draw(folder, "benign/1.png")
    return f"folder:{folder}"


def one_class_in_table(folder: Path) -> str:
    return table(folder, HAM10000 + "H,I1,nv,,,,\n", "ham10000")


def table(folder: Path, content: str, kind: str) -> str:
    draw(folder, "I1.jpg")
    (folder / "t.csv").write_text(content)
    return f"{kind}:{folder}"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: str(folder), "is not KIND:FOLDER"),
        (lambda folder: f"zip:{folder}", "KIND one of folder, kaggle"),
        (missing_folder, "there is no folder"),
        (no_images, "has no images"),
        (class_missing, "has no folder malignant/"),
        (one_class_in_table, "no malignant image in"),
        (
            lambda folder: table(folder, "lesion_id,image_id\nH,I1\n", "ham10000"),
            "t.csv lacks the columns dx",
        ),
        (lambda folder: table(folder, HAM10000, "ham10000"), "t.csv has no rows"),
        (lambda folder: table(folder, HAM10000 + "H,I1,xyz\n", "ham10000"), "line 2: dx must be one of"),
        (lambda folder: table(folder, HAM10000 + "H,I1,nv,,old,,\n", "ham10000"), "line 2: age must be"),
        (
            lambda folder: table(folder, ISIC2020 + "I1,P,,,,,,2\n", "isic2020"),
            "line 2: target must be 0 or 1",
        ),
        (lambda folder: table(folder, HAM10000 + "H,I1,nv\nH,I1,mel\n", "ham10000"), "is named twice"),
        (lambda folder: f"ham10000:{folder},{folder / 'no.csv'}", "has no images"),
        (lambda folder: f"folder:{folder},x.csv", "only isic2020 and ham10000 take a CSV"),
    ],
)
def test_source_is_refused_in_one_line_when_it_is_wrong(
    tmp_path: Path, make: Callable[[Path], str], message: str
) -> None:
    with pytest.raises(BenchError, match=message) as refusal:
        load_sources([make(tmp_path)])
    assert "\n" not in str(refusal.value)


def test_table_is_asked_for_when_folder_has_none_or_two(tmp_path: Path) -> None:
    draw(tmp_path, "I1.jpg")
    with pytest.raises(BenchError, match="has 0 CSV files instead of one"):
        load_sources([f"isic2020:{tmp_path}"])
    with pytest.raises(BenchError, match="there is no file"):
        load_sources([f"isic2020:{tmp_path},{tmp_path / 'no.csv'}"])
