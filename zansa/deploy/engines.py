"""Engines that run an exported network on this machine: what each answers, and whether it is installed."""

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

Run = Callable[[np.ndarray], np.ndarray]  # (batch, C, *size) float32 -> (batch, classes)
PACKAGES = {"onnxruntime": "onnxruntime", "opencv": "cv2", "openvino": "openvino"}
OWN = {"onnx": "onnxruntime", "opencv": "opencv", "openvino": "openvino"}  # which engine a target is for, of those here


def installed(engine: str) -> bool:
    """Whether an engine can be used here."""
    return find_spec(PACKAGES[engine]) is not None


def opened(engine: str, file: Path) -> tuple[Run, str]:
    """A file of zansa.deploy.portable in an engine, on one thread, and the engine's name with its version. ValueError
    where the engine refuses the file."""
    try:
        return OPENERS[engine](file)
    except ValueError:
        raise
    except Exception as error:  # engines have no common class of errors
        raise ValueError(f"{engine} refuses {file.name}: {error}") from None


def _onnxruntime(file: Path) -> tuple[Run, str]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    return lambda pixels: session.run(None, {"pixels": pixels})[0], f"ONNX Runtime {onnxruntime.__version__}"


def _opencv(file: Path) -> tuple[Run, str]:
    cv2: Any = import_module("cv2")
    net = cv2.dnn.readNetFromONNX(str(file))

    def run(pixels: np.ndarray) -> np.ndarray:
        net.setInput(np.ascontiguousarray(pixels), "pixels")
        return np.array(net.forward())

    return run, f"OpenCV {cv2.__version__}"


def _openvino(file: Path) -> tuple[Run, str]:
    openvino: Any = import_module("openvino")
    exact = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    native = file.with_suffix(".xml")
    compiled = openvino.Core().compile_model(str(native if native.exists() else file), "CPU", exact)
    return lambda pixels: np.array(compiled(pixels)[0]), f"OpenVINO {openvino.__version__.split('-')[0]}"


OPENERS: dict[str, Callable[[Path], tuple[Run, str]]] = {
    "onnxruntime": _onnxruntime,
    "opencv": _opencv,
    "openvino": _openvino,
}


def write_native(file: Path) -> list[Path]:
    """OpenVINO's own two files beside an ONNX file, with weights in float32; its default is float16, which answers
    otherwise by 2e-4. None where OpenVINO is not installed. `openvino.convert_model` would read the same file, and is
    not called because it counts its uses over the network."""
    if not installed("openvino"):
        return []
    openvino: Any = import_module("openvino")
    path = file.with_suffix(".xml")
    openvino.save_model(openvino.Core().read_model(str(file)), str(path), compress_to_fp16=False)
    return [path, file.with_suffix(".bin")]


def openvino_whole(file: bytes, threads: int) -> Run:
    """The whole exported file in OpenVINO, from decoded levels to probabilities. ValueError where it is not
    installed."""
    if not installed("openvino"):
        raise ValueError("OpenVINO was asked and is not installed; pip install 'zansa[openvino]'")
    openvino: Any = import_module("openvino")
    exact = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(file), "CPU", exact)
    return lambda levels: np.array(compiled(levels)[0])
