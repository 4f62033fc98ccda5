"""Everything that decides how a run goes: one frozen value, written beside its results."""

from dataclasses import dataclass


@dataclass(frozen=True)
class AugmentationConfig:
    """How far a training image is changed; each draw is uniform within the range.

    Attributes:
        rotation_degrees: turned by up to this much either way.
        shift_fraction: moved by up to this part of the side, in x and in y.
        zoom_fraction: enlarged or shrunk by up to this part.
        flips: mirrored in x and in y, each with probability 1/2.
        brightness_fraction: all channels brighter or darker by up to this part.
        contrast_fraction: contrast about the image's mean up or down by up to this part.
        channel_gain_fraction: each colour channel on its own by up to this part (white balance).
        black_corner_share: share of the images, malignant and benign alike, that get the black corners of a
            round field of view. In the Kaggle set they betray the label: 37% of the malignant images have
            them, 2-3% of the benign.
    """

    rotation_degrees: float = 0.0
    shift_fraction: float = 0.0
    zoom_fraction: float = 0.0
    flips: bool = False
    brightness_fraction: float = 0.0
    contrast_fraction: float = 0.0
    channel_gain_fraction: float = 0.0
    black_corner_share: float = 0.0


@dataclass(frozen=True)
class TrainingConfig:
    """One run.

    Attributes:
        name: of the run and its folder under runs/.
        architecture: a name in `ml.training.architectures.ARCHITECTURES`, and of the released model.
        input_size_px: side of the network's square input.
        source: collection to train on, as `source` in the data's manifest.csv spells it.
        epochs: passes over the training images, at most.
        batch_size: images a step.
        validation_fraction: part of the training images that is held out, by group.
        learning_rate: of Adam at the start; falls to 1% of it along a cosine over all epochs.
        patience_epochs: training stops after so many epochs without a lower validation loss.
        seed: of the split, the order, the augmentation and the network's start.
        augmentation: changes to the training images.
    """

    name: str
    architecture: str
    input_size_px: int
    source: str
    epochs: int
    batch_size: int
    validation_fraction: float
    learning_rate: float
    patience_epochs: int
    seed: int
    augmentation: AugmentationConfig
