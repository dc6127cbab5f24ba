"""One file for a trained network: its description, classes, preprocessing, calibration, operating point and weights.

The format is safetensors: a JSON header, then the tensors. Nothing in a file is ever executed.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from ..arch.spec import Net
from ..arch.use import Calibration, OperatingPoint, Preprocess
from ..record import write_atomic
from .build import Network, build

FORMAT = 1


@dataclass(frozen=True)
class Model:
    """A network with all that its use needs.

    net: its description.
    module: the network in evaluation mode. It takes normalised float samples (N, C, *size) and gives logits (N,
        classes).
    classes: the names of the classes, in the order of the logits.
    preprocess: how a sample becomes the network's input.
    operating: where inspection draws its line; None where no class is the good one.
    notes: facts of its making, as text.
    calibration: from logits to probabilities; None in older files, and where the probabilities are softmax(logits).
    """

    net: Net
    module: Network
    classes: tuple[str, ...]
    preprocess: Preprocess
    operating: OperatingPoint | None = None
    notes: str = ""
    calibration: Calibration | None = None


def save(path: str | Path, model: Model) -> None:
    """Write the model to one file, whole or not at all."""
    header = {
        "zansa": str(FORMAT),
        "net": model.net.to_json(indent=None),
        "classes": json.dumps(model.classes),
        "preprocess": model.preprocess.model_dump_json(),
        "operating": model.operating.model_dump_json() if model.operating else "",
        "notes": model.notes,
        "calibration": model.calibration.model_dump_json() if model.calibration else "",
    }
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.module.state_dict().items()}
    write_atomic(Path(path), _steady(to_bytes(tensors, header)))


def _steady(file: bytes) -> bytes:
    """A safetensors file with the entries of its metadata in alphabetical order. safetensors writes them in an order
    that is drawn anew in every process, and equal models shall be equal files."""
    start = 8 + int.from_bytes(file[:8], "little")
    header = json.loads(file[8:start])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the tensors after it stay aligned
    return len(text).to_bytes(8, "little") + text + file[start:]


def load(path: str | Path) -> Model:
    """The model of a file that `save` wrote, on the CPU; ValueError when the file is foreign, damaged or does not fit
    its own description."""
    header, tensors = read(path)
    if "zansa" not in header:
        raise ValueError(
            f"{path} is no zansa model: its header has no 'zansa'; weights from elsewhere go through adopt"
        )
    if header["zansa"] != str(FORMAT):
        raise ValueError(
            f"{path} has format {header['zansa']}; this version of zansa reads format {FORMAT}: update zansa"
        )
    missing = [key for key in ("net", "classes", "preprocess") if key not in header]
    if missing:
        raise ValueError(f"{path} is damaged: its header lacks {', '.join(missing)}")
    net = Net.from_json(header["net"])
    module = build(net)
    fill(module, tensors, str(path))
    operating = OperatingPoint.model_validate_json(header["operating"]) if header.get("operating") else None
    preprocess = Preprocess.model_validate_json(header["preprocess"])
    classes = tuple(json.loads(header["classes"]))
    given = header.get("calibration")
    calibration = Calibration.model_validate_json(given) if given else None
    if calibration is not None and len(calibration.shift) != len(classes):
        raise ValueError(f"{path} is damaged: its calibration does not fit its classes")
    fits = len(net.input.size) != 2 or (preprocess.channels, preprocess.size) == (net.input.channels, net.input.size)
    if len(classes) != net.head.classes or not fits:
        raise ValueError(f"{path} is damaged: its classes or its preprocessing do not fit its network")
    return Model(net, module.eval(), classes, preprocess, operating, header.get("notes", ""), calibration)


def read(path: str | Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Header and tensors of a safetensors file; ValueError when it is none."""
    if not Path(path).is_file():
        raise ValueError(f"there is no file {path}")
    try:
        with safe_open(str(path), framework="pt") as file:
            return file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path} is no model file, or is damaged: {error}") from None


@torch.no_grad()
def fill(module: nn.Module, tensors: dict[str, Tensor], where: str) -> None:
    """Load tensors strictly; a mismatch names the path, what is expected and what was found."""
    expected = module.state_dict()
    wrong = [
        f"{name}: expected {_text(value)}, found nothing" for name, value in expected.items() if name not in tensors
    ]
    wrong += [
        f"{name}: expected nothing, found {_text(value)}" for name, value in tensors.items() if name not in expected
    ]
    wrong += [
        f"{name}: expected {_text(value)}, found {_text(tensors[name])}"
        for name, value in expected.items()
        if name in tensors and tensors[name].shape != value.shape
    ]
    if wrong:
        more = f"; and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise ValueError(f"{where} does not fit its network: {'; '.join(wrong[:5])}{more}")
    module.load_state_dict(tensors)


def _text(value: Tensor) -> str:
    return f"{tuple(value.shape)}"
