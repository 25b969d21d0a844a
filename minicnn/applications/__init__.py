"""Known networks: the architecture in code, the weights from a file.

Each module has the network, the `preprocess_input` that its weights were trained with, and
`decode_predictions`, as in `keras.applications`.
"""

from typing import TYPE_CHECKING

from minicnn.applications import mobilenet, xception
from minicnn.applications.mobilenet import MobileNet
from minicnn.applications.xception import Xception
from minicnn.compat import hints

__all__ = ["MobileNet", "Xception", "mobilenet", "xception"]

if not TYPE_CHECKING:
    __getattr__ = hints.of_module(__name__)
