"""The exported file behind LitServe, as its user would write it: for `serve.py --only litserve`.

    PYTHON benchmarks/litserve_model.py MODEL.onnx PORT     # of an environment with litserve, onnxruntime and Pillow

It answers `{"image": base64}` as zansa's server does, with one worker and one thread, and stores nothing.
"""

import base64
import sys
from io import BytesIO
from typing import Any

import litserve
import numpy as np
import onnxruntime
from PIL import Image


class Inspector(litserve.LitAPI):
    """Decode, run, answer."""

    def setup(self, device: str) -> None:
        """Load the file."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(sys.argv[1], options)

    def decode_request(self, request: dict[str, str]) -> np.ndarray:
        """Levels (H, W, C) of the image in the body."""
        levels = np.asarray(Image.open(BytesIO(base64.b64decode(request["image"]))))
        return levels if levels.ndim == 3 else levels[..., None]

    def predict(self, levels: np.ndarray) -> list[float]:
        """Probabilities of one image."""
        return self.session.run(["probability"], {"image": levels[None]})[0][0].tolist()

    def encode_response(self, output: list[float]) -> dict[str, Any]:
        """What the client gets."""
        return {"probabilities": output}


if __name__ == "__main__":
    served = litserve.LitServer(Inspector(), accelerator="cpu")
    served.run(port=int(sys.argv[2]), host="127.0.0.1", log_level="warning", generate_client_file=False)
