"""Ten more epochs of custom_cnn_kaggle, from its network and at a lower rate: the released custom CNN.

Command: python -m ml train custom_cnn_kaggle_longer --weights runs/custom_cnn_kaggle/best-NNN.keras
The released network went on from custom_cnn-1.0.0, which that run had made: with the model.onnx of that release in
the place of the .keras file. Same images, same split.
"""

from dataclasses import replace
from typing import Final

from ml.experiments.custom_cnn_kaggle import EXPERIMENT as BASE

EXPERIMENT: Final = replace(
    BASE, name="custom_cnn_kaggle_longer", epochs=10, patience_epochs=10, learning_rate=7e-4
)
