"""A configuration that cannot be trained is refused before anything is done; what is written is read back."""

import importlib
import json
import pkgutil
from dataclasses import asdict, fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ml.experiments
from ml.training.architectures import ARCHITECTURES
from ml.training.config import (
    STRONG_AUGMENTATION,
    AugmentationConfig,
    TrainingConfig,
    config_from_json,
    first_difference,
)
from ml.training.errors import BenchError

NAN = float("nan")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "age"}, "task 'age' is unknown: choose one of malignancy, diagnosis"),
        ({"loss": "hinge"}, "loss 'hinge' .*binary_crossentropy, categorical_crossentropy, focal"),
        ({"optimizer": "lion"}, "optimizer 'lion' .*adam, adamw, sgd, rmsprop"),
        ({"balance": "source"}, "balance 'source' .*none, class, class_and_source"),
        ({"precision": "auto"}, "precision 'auto' .*float32, mixed_float16, mixed_bfloat16"),
        ({"monitor": "auc"}, "monitor 'auc' .*val_loss, val_auc"),
        ({"input_size_px": 0}, "input_size_px must be 1 or more, not 0"),
        ({"epochs": 0}, "epochs must be 1 or more, not 0"),
        ({"batch_size": 0}, "batch_size must be 1 or more, not 0"),
        ({"patience_epochs": 0}, "patience_epochs must be 1 or more, not 0"),
        ({"seed": -1}, "seed must be 0 or more, not -1"),
        ({"seed": 2**32}, "seed must be at most 4294967295, not 4294967296"),
        ({"warmup_steps": -1}, "warmup_steps must be 0 or more, not -1"),
        ({"samples_an_epoch": -1}, "samples_an_epoch must be 0 or more, not -1"),
        ({"head_epochs": -1}, "head_epochs must be 0 or more, not -1"),
        ({"head_epochs": 2}, r"head_epochs \(2\) must be fewer than epochs \(2\)"),
        ({"validation_fraction": 1.0}, "validation_fraction must be from 0 to below 1, not 1.0"),
        ({"validation_fraction": -0.1}, "validation_fraction must be from 0 to below 1, not -0.1"),
        ({"test_fraction": NAN}, "test_fraction must be from 0 to below 1, not nan"),
        ({"dropout": 1.0}, "dropout must be from 0 to below 1, not 1.0"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0, not 0.0"),
        ({"learning_rate": NAN}, "learning_rate must be above 0, not nan"),
        ({"head_learning_rate": 0.0}, "head_learning_rate must be above 0, not 0.0"),
        ({"task": "diagnosis"}, "the task diagnosis has seven classes: choose the loss categorical_"),
        ({"sources": ()}, "sources must name each collection once, and one at least, not nothing"),
        ({"sources": ("a", "b", "a")}, "sources must name each collection once, .* not a, b, a"),
        ({"sources": ("a", "b"), "left_out_source": "b"}, "left_out_source b is one of the sources"),
        *(
            ({"name": name}, "name must be that of a folder")
            for name in ("", ".", "..", "../out", "a/b", "a\\b", "cache")
        ),
    ],
    ids=str,
)
def test_configuration_is_refused_in_one_line_when_it_cannot_be_trained(
    tiny_config: TrainingConfig, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(BenchError, match=message) as refusal:
        replace(tiny_config, **changes)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("loss", ["categorical_crossentropy", "focal"])
def test_diagnosis_is_taken_when_the_loss_has_an_output_a_class(
    tiny_config: TrainingConfig, loss: str
) -> None:
    assert replace(tiny_config, task="diagnosis", loss=loss).loss == loss


@given(
    st.builds(
        AugmentationConfig,
        **{
            field.name: st.booleans() if field.type == "bool" or field.type is bool else st.floats(0, 1)
            for field in fields(AugmentationConfig)
        },
    ),
    st.lists(st.text(), min_size=1, unique=True).map(tuple),
    st.integers(0, 2**32 - 1),
    st.floats(min_value=1e-12, max_value=1e6),
)
def test_configuration_is_read_back_when_written_as_json(
    augmentation: AugmentationConfig, sources: tuple[str, ...], seed: int, rate: float
) -> None:
    config = TrainingConfig(
        name="a_run",
        architecture="custom_cnn",
        input_size_px=32,
        sources=sources,
        epochs=5,
        batch_size=8,
        validation_fraction=0.2,
        learning_rate=rate,
        patience_epochs=1,
        seed=seed,
        augmentation=augmentation,
        head_epochs=2,
        weights="sha256:00",
        monitor="val_auc",
    )

    read = config_from_json(json.loads(json.dumps(asdict(config))))

    assert read == config
    assert first_difference(read, config) is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: raw.pop("batch_size"),
        lambda raw: raw.update(depth=3),
        lambda raw: raw["augmentation"].update(noise=1),
    ],
    ids=["missing", "unknown", "unknown in augmentation"],
)
def test_configuration_is_refused_when_a_field_is_missing_or_unknown(
    tiny_config: TrainingConfig, damage: object
) -> None:
    raw = asdict(tiny_config)
    damage(raw)

    with pytest.raises(TypeError):
        config_from_json(raw)


def test_configuration_is_refused_when_its_json_is_out_of_range(tiny_config: TrainingConfig) -> None:
    with pytest.raises(BenchError, match="epochs must be 1 or more"):
        config_from_json(asdict(tiny_config) | {"epochs": 0})


def test_difference_names_the_field_and_both_values_when_configurations_differ(
    tiny_config: TrainingConfig,
) -> None:
    other = replace(tiny_config, batch_size=9, seed=8)

    assert first_difference(tiny_config, other) == ("batch_size", 8, 9)


def test_difference_names_the_change_when_augmentations_differ(tiny_config: TrainingConfig) -> None:
    bluer = replace(tiny_config.augmentation, hue_degrees=3.0)

    assert first_difference(tiny_config, replace(tiny_config, augmentation=bluer)) == (
        "hue_degrees",
        0.0,
        3.0,
    )


def test_every_change_is_configured_when_augmentation_is_strong() -> None:
    assert all(asdict(STRONG_AUGMENTATION).values())


@pytest.mark.parametrize("name", [module.name for module in pkgutil.iter_modules(ml.experiments.__path__)])
def test_experiment_is_named_as_its_file_and_can_be_written_when_imported(name: str) -> None:
    config = importlib.import_module(f"ml.experiments.{name}").EXPERIMENT

    assert config.name == name
    assert config.architecture in ARCHITECTURES
    assert config_from_json(json.loads(json.dumps(asdict(config)))) == config
