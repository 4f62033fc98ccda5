"""The shelf of released models: list it, and find one by name."""

from pathlib import Path
from typing import Final

from ml.inference.manifest import MANIFEST_FILE, ModelIntegrityError, ModelManifest

RELEASED_FOLDER: Final = Path(__file__).resolve().parents[1] / "released"


def list_released_models(folder: Path = RELEASED_FOLDER) -> tuple[ModelManifest, ...]:
    """Manifests of all released models, by name, then oldest version first.

    Hidden folders are exports under way and do not count.

    Raises:
        ModelIntegrityError: no such folder, or a model in it has no valid manifest or the wrong name.
    """
    if not folder.is_dir():
        raise ModelIntegrityError(
            f"{folder} is not a folder: point to the folder of released models (ml/released)."
        )
    manifests = []
    for model_folder in sorted(folder.iterdir()):
        if not model_folder.is_dir() or model_folder.name.startswith((".", "_")):
            continue
        manifest = ModelManifest.read(model_folder)
        if manifest.identifier != model_folder.name:
            raise ModelIntegrityError(
                f"{model_folder} holds the model {manifest.identifier}: give the folder its model's name."
            )
        manifests.append(manifest)
    return tuple(sorted(manifests, key=lambda manifest: (manifest.name, manifest.version_key)))


def find_released_model(name: str, *, folder: Path = RELEASED_FOLDER) -> Path:
    """Folder of the model a person means.

    Args:
        name: "custom_cnn-1.0.0", "custom_cnn" (its newest version), or the path of a model's folder.
        folder: where released models are.

    Raises:
        ModelIntegrityError: there is no such model.
    """
    if (Path(name) / MANIFEST_FILE).is_file():
        return Path(name)
    manifests = list_released_models(folder)
    matching = [manifest for manifest in manifests if name in (manifest.identifier, manifest.name)]
    if not matching:
        known = ", ".join(manifest.identifier for manifest in manifests) or "none yet"
        raise ModelIntegrityError(
            f"There is no released model {name!r}: choose one of {known}, or give its folder."
        )
    return folder / matching[-1].identifier
