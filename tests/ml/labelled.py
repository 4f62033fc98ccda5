"""Records of images that need no files, for tests that never look at a picture."""

from ml.training.datasets import LabelledImage


def labelled(
    number: int, *, malignant: bool, source: str = "a", diagnosis: str = "", group: str = ""
) -> LabelledImage:
    """One record; without a group it is one of its own."""
    return LabelledImage(
        path=f"{source}/{number}.jpg",
        source=source,
        official_split="",
        diagnosis=diagnosis or ("melanoma" if malignant else "nv"),
        melanoma=malignant,
        malignant=malignant,
        group=group or f"{source}{number}",
    )
