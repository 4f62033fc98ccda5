"""Everything that decides how a run goes: one frozen value, written beside its results."""

from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Literal, get_args

from ml.training.errors import BenchError

TaskName = Literal["malignancy", "diagnosis"]
Loss = Literal["binary_crossentropy", "categorical_crossentropy", "focal"]
OptimizerName = Literal["adam", "adamw", "sgd", "rmsprop"]
Balance = Literal["none", "class", "class_and_source"]
Precision = Literal["float32", "mixed_float16", "mixed_bfloat16"]
Monitor = Literal["val_loss", "val_auc"]

NO_WEIGHTS: Final = "none"
IMAGENET_WEIGHTS: Final = "imagenet"


@dataclass(frozen=True)
class AugmentationConfig:
    """How far a training image is changed; each draw is uniform within the range.

    Attributes:
        rotation_degrees: turned by up to this much either way.
        shift_fraction: moved by up to this part of the side, in x and in y.
        zoom_fraction: enlarged or shrunk by up to this part.
        stretch_fraction: made wider and lower, or the reverse, by up to this part (aspect: two of our sources
            are squashed to a square, one is cropped).
        flips: mirrored in x and in y, each with probability 1/2.
        brightness_fraction: all channels brighter or darker by up to this part.
        contrast_fraction: contrast about the image's mean up or down by up to this part.
        channel_gain_fraction: each colour channel on its own by up to this part (white balance).
        saturation_fraction: colours stronger or paler by up to this part.
        hue_degrees: colours turned about the grey axis by up to this much either way.
        black_corner_share: share of the images, malignant and benign alike, that get the black corners of a
            round field of view. In the Kaggle set they betray the label: 37% of the malignant images have
            them, 2-3% of the benign.
        compression_share: share of the images that are compressed again as JPEG of quality 40 to 95.
        blur_share: share of the images that are blurred by up to 1.5% of the side.
    """

    rotation_degrees: float = 0.0
    shift_fraction: float = 0.0
    zoom_fraction: float = 0.0
    stretch_fraction: float = 0.0
    flips: bool = False
    brightness_fraction: float = 0.0
    contrast_fraction: float = 0.0
    channel_gain_fraction: float = 0.0
    saturation_fraction: float = 0.0
    hue_degrees: float = 0.0
    black_corner_share: float = 0.0
    compression_share: float = 0.0
    blur_share: float = 0.0


STRONG_AUGMENTATION: Final = AugmentationConfig(
    rotation_degrees=180.0,
    shift_fraction=0.08,
    zoom_fraction=0.25,
    stretch_fraction=0.2,
    flips=True,
    brightness_fraction=0.25,
    contrast_fraction=0.25,
    channel_gain_fraction=0.08,
    saturation_fraction=0.3,
    hue_degrees=8.0,
    black_corner_share=0.3,
    compression_share=0.3,
    blur_share=0.15,
)
"""Wide enough that the collections' crops, colours, compression and corners overlap."""


@dataclass(frozen=True)
class TrainingConfig:
    """One run.

    Attributes:
        name: of the run and its folder under runs/.
        architecture: a name in `ml.training.architectures.ARCHITECTURES`, and of the released model.
        input_size_px: side of the network's square input.
        sources: collections to train on, as `source` in the data's manifest.csv spells them.
        epochs: passes of `samples_an_epoch` images, at most; those of the head included.
        batch_size: images a step.
        validation_fraction: part of the training images that is held out, by group.
        learning_rate: at the start of fine-tuning, after the warm-up; falls to 1% of it along a cosine.
        patience_epochs: training stops after so many epochs without a better `monitor`; those of the head do
            not count.
        seed: of the split, the order, the augmentation and the network's start.
        augmentation: changes to the training images.
        test_fraction: part of each source without an official test split that is kept for testing, by group.
        left_out_source: no image whose group stands in this collection is trained on, so that the whole
            collection can judge the network; empty: none.
        task: malignancy (benign / malignant) or diagnosis (the seven of HAM10000).
        loss: binary cross-entropy needs the task malignancy; categorical gives one output a class; focal
            (Lin et al. 2017, arXiv:1708.02002) takes whichever of both outputs the task has.
        optimizer: Adam, AdamW, SGD with momentum 0.9, or RMSprop; Keras' defaults otherwise.
        warmup_steps: steps over which the rate rises from 0.
        balance: none (every image once an epoch), class (both classes equally often), class_and_source
            (besides, the same mixture of sources within each class, so that the source tells nothing).
        samples_an_epoch: images an epoch; 0: as many as there are.
        weights: the start: "none" (random), "imagenet" (downloaded by Keras), or "sha256:..." of a file.
        head_epochs: first phase, in which only the layers after the backbone are trained.
        head_learning_rate: of that phase, constant.
        fine_tune_from: first backbone layer that is trained in the second phase; empty: all are.
        precision: of the arithmetic; mixed precision keeps the weights in float32.
        monitor: what chooses the best epoch: the lowest val_loss or the highest val_auc.
        dropout: before the last layer of the transfer networks, 0 to 1.
    """

    name: str
    architecture: str
    input_size_px: int
    sources: tuple[str, ...]
    epochs: int
    batch_size: int
    validation_fraction: float
    learning_rate: float
    patience_epochs: int
    seed: int
    augmentation: AugmentationConfig
    test_fraction: float = 0.15
    left_out_source: str = ""
    task: TaskName = "malignancy"
    loss: Loss = "binary_crossentropy"
    optimizer: OptimizerName = "adam"
    warmup_steps: int = 0
    balance: Balance = "none"
    samples_an_epoch: int = 0
    weights: str = NO_WEIGHTS
    head_epochs: int = 0
    head_learning_rate: float = 1e-3
    fine_tune_from: str = ""
    precision: Precision = "float32"
    monitor: Monitor = "val_loss"
    dropout: float = 0.2

    def __post_init__(self) -> None:
        """Refuse what cannot be trained.

        Raises:
            BenchError: a value is out of range, or two do not go together.
        """
        for field, choices in _CHOICES.items():
            if getattr(self, field) not in choices:
                raise BenchError(
                    f"{field} {getattr(self, field)!r} is unknown: choose one of {', '.join(choices)}"
                )
        self._require_ranges()
        self._require_names()
        if self.task == "diagnosis" and self.loss == "binary_crossentropy":
            raise BenchError(
                "the task diagnosis has seven classes: choose the loss categorical_crossentropy or focal"
            )
        if self.head_epochs >= self.epochs and self.head_epochs:
            raise BenchError(f"head_epochs ({self.head_epochs}) must be fewer than epochs ({self.epochs})")

    def _require_ranges(self) -> None:
        for field, lowest in _LOWEST.items():
            if not getattr(self, field) >= lowest:
                raise BenchError(f"{field} must be {lowest} or more, not {getattr(self, field)}")
        for field in ("validation_fraction", "test_fraction", "dropout"):
            if not 0 <= getattr(self, field) < 1:
                raise BenchError(f"{field} must be from 0 to below 1, not {getattr(self, field)}")
        for field in ("learning_rate", "head_learning_rate"):
            if not getattr(self, field) > 0:
                raise BenchError(f"{field} must be above 0, not {getattr(self, field)}")
        if self.seed > _LARGEST_SEED:
            raise BenchError(f"seed must be at most {_LARGEST_SEED}, not {self.seed}")

    def _require_names(self) -> None:
        if self.name in _NO_RUN_NAMES or "/" in self.name or "\\" in self.name:
            raise BenchError(f"name must be that of a folder under runs/, but not cache, not {self.name!r}")
        if not self.sources or len(set(self.sources)) < len(self.sources):
            raise BenchError(
                "sources must name each collection once, and one at least, "
                f"not {', '.join(self.sources) or 'nothing'}"
            )
        if self.left_out_source and self.left_out_source in self.sources:
            raise BenchError(
                f"left_out_source {self.left_out_source} is one of the sources: leave it out there"
            )


_CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "task": get_args(TaskName),
    "loss": get_args(Loss),
    "optimizer": get_args(OptimizerName),
    "balance": get_args(Balance),
    "precision": get_args(Precision),
    "monitor": get_args(Monitor),
}
_NO_RUN_NAMES: Final = ("", ".", "..", "cache")  # runs/cache holds decoded images
_LARGEST_SEED: Final = 2**32 - 1  # keras.utils.set_random_seed takes no larger one
_LOWEST: Final = {
    "input_size_px": 1,
    "epochs": 1,
    "batch_size": 1,
    "patience_epochs": 1,
    "seed": 0,
    "warmup_steps": 0,
    "samples_an_epoch": 0,
    "head_epochs": 0,
}


def config_from_json(raw: dict[str, Any]) -> TrainingConfig:
    """The value that `dataclasses.asdict` and JSON made of a configuration.

    Raises:
        TypeError: a field is missing or unknown.
        BenchError: a value is out of range.
    """
    return TrainingConfig(
        **{
            **raw,
            "sources": tuple(raw["sources"]),
            "augmentation": AugmentationConfig(**raw["augmentation"]),
        }
    )


def first_difference(theirs: TrainingConfig, ours: TrainingConfig) -> tuple[str, Any, Any] | None:
    """The first field in which two configurations differ, with both values, or None."""
    for config_field in fields(TrainingConfig):
        left, right = getattr(theirs, config_field.name), getattr(ours, config_field.name)
        if left == right:
            continue
        if isinstance(left, AugmentationConfig):
            changes = asdict(right)
            return next(
                (name, value, changes[name]) for name, value in asdict(left).items() if value != changes[name]
            )
        return config_field.name, left, right
    return None
