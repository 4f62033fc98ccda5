"""The image collections that this bench knows: their names for people, terms and works to cite."""

from dataclasses import dataclass
from typing import Final

from ml.training.errors import BenchError


@dataclass(frozen=True)
class Source:
    """A collection.

    Attributes:
        title: short, for tables and plots.
        name: in full.
        labels: what "malignant" means in it.
        terms: what its images, and models made from them, may be used for.
        credit: works to cite.
    """

    title: str
    name: str
    labels: str
    terms: str
    credit: tuple[str, ...]


_TSCHANDL: Final = "Tschandl, Rosendahl, Kittler 2018, HAM10000, doi 10.1038/sdata.2018.161"
_CODELLA: Final = "Codella et al. 2018, ISIC 2017 challenge"
_ROTEMBERG: Final = "Rotemberg et al. 2021, ISIC 2020 challenge"
_JAVED: Final = "Javed 2022, Melanoma Skin Cancer Dataset of 10000 Images, Kaggle"
_TERMS: Final = "non-commercial research use with attribution"

SOURCES: Final[dict[str, Source]] = {
    "kaggle_melanoma_10000": Source(
        title="Kaggle melanoma set",
        name="Melanoma Skin Cancer Dataset of 10000 Images (Kaggle)",
        labels="melanoma or benign; no other cancers",
        terms=f"{_TERMS} (drawn from the ISIC archive; ISIC 2018-2020: CC BY-NC)",
        credit=(_JAVED, _TSCHANDL, _CODELLA, _ROTEMBERG),
    ),
    "ham10000": Source(
        title="HAM10000",
        name="HAM10000",
        labels="malignant = melanoma, basal cell carcinoma, actinic keratosis / intraepithelial carcinoma",
        terms=f"{_TERMS} (CC BY-NC)",
        credit=(_TSCHANDL,),
    ),
    "isic2017": Source(
        title="ISIC 2017",
        name="ISIC 2017, part 3",
        labels="melanoma or not",
        terms=f"{_TERMS} (ISIC 2017: CC-0)",
        credit=(_CODELLA,),
    ),
    "isic2020": Source(
        title="ISIC 2020",
        name="ISIC 2020 challenge, training part",
        labels="melanoma or not; no other cancers",
        terms=f"{_TERMS} (CC BY-NC)",
        credit=(_ROTEMBERG,),
    ),
}


def describe_source(name: str) -> Source:
    """What is known of a collection.

    Raises:
        BenchError: nothing is: a model must not be released without its data's terms.
    """
    if name not in SOURCES:
        raise BenchError(f"source {name!r} has no terms and credit: add it to ml/training/sources.py")
    return SOURCES[name]
