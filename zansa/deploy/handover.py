"""What is handed over beside a model: files for an engine, proven in it; hashes; a manifest; one folder or zip."""

import hashlib
import json
import zipfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from ..inputs.images import fitted
from ..nets.files import Model
from ..record import environment, write_atomic
from .engines import OWN, installed, opened, write_native
from .export import ROUNDING, answers_of, turned
from .portable import TARGETS, portable, preprocessing

READERS = Path(__file__).parent / "readers"
TOLERANCE = 1e-4  # of a probability between two engines that compute in float32
LICENCES = """Licences of what runs this model
model, reader.py, reader.hpp: yours, and of zansa (Apache-2.0)
ONNX Runtime: MIT; OpenVINO: Apache-2.0; OpenCV: Apache-2.0; NumPy: BSD-3-Clause; Pillow: MIT-CMU
"""


def write_target(
    model: Model, target: str, folder: Path, images: Sequence[np.ndarray], batch: int = 1
) -> dict[str, Any]:
    """Write the network for a target into a folder, with its preprocessing and readers, and prove it on real images in
    the target's engine, or in ONNX Runtime where that is not installed. ValueError, and no network.onnx stays, where
    the answers differ from the network's.
    """
    refuse_target(model, target, batch)
    folder.mkdir(parents=True, exist_ok=True)
    file = write_atomic(folder / "network.onnx", portable(model, target, batch))
    written = [file, *(write_native(file) if TARGETS[target].native else [])]
    use = preprocessing(model, target, batch)
    written.append(write_atomic(folder / "preprocess.json", json.dumps(use, indent=1, ensure_ascii=False).encode()))
    written += [write_atomic(folder / each.name, each.read_bytes()) for each in sorted(READERS.glob("reader.*"))]
    try:
        proof = proven(model, target, file, images, batch)
    except ValueError:
        for each in written:
            each.unlink(missing_ok=True)
        raise
    write_atomic(folder / "proof.json", json.dumps(proof, indent=1).encode())
    return proof | {"folder": str(folder), "files": [each.name for each in written] + ["proof.json"]}


def refuse_target(model: Model, target: str, batch: int) -> None:
    """ValueError for a target that is not known, a batch that cannot be, and a model of series."""
    if target not in TARGETS:
        raise ValueError(f"target {target!r} was asked; allowed: {', '.join(TARGETS)}")
    if batch < 1:
        raise ValueError(f"a batch of {batch} was asked; allowed: 1 or more")
    if model.preprocess.series:
        raise ValueError(f"targets are for models of images; this one takes {model.preprocess.noun}s")


def proven(model: Model, target: str, file: Path, images: Sequence[np.ndarray], batch: int) -> dict[str, Any]:
    """What the engine of a target answers to real images, beside the network; ValueError where these differ."""
    own = OWN.get(target)
    engine = own if own is not None and installed(own) else "onnxruntime"
    run, name = opened(engine, file)
    expected = answers_of(model, images)
    pixels = normalised(model, images)
    answers = np.concatenate([run(chunk)[: len(pixels) - at] for at, chunk in chunks(pixels, batch)])
    if TARGETS[target].logits:
        powers = np.exp(answers - answers.max(axis=1, keepdims=True))
        answers = powers / powers.sum(axis=1, keepdims=True)
    largest = float(np.abs(answers - expected).max())
    wrong = int(turned(expected, answers, model).sum())
    if not largest <= TOLERANCE or wrong:
        raise ValueError(
            f"{name} answers differently from the network: probabilities by up to {largest:.2g} (allowed: "
            f"{TOLERANCE:g}), {wrong} decisions of {len(images)}; nothing was written"
        )
    return {
        "target": target,
        "engine": name,
        "own_engine": engine == own,
        "images": len(images),
        "largest_difference": largest,
        "turned": wrong,
        "tolerance": TOLERANCE,
        "opset": TARGETS[target].opset,
        "ir": TARGETS[target].ir,
        "batch": batch,
        "bytes": file.stat().st_size,
    }


def normalised(model: Model, images: Sequence[np.ndarray]) -> np.ndarray:
    """Decoded images as the network's input: (N, C, H, W) float32."""
    pre = model.preprocess
    levels = np.stack([fitted(image, pre) for image in images]).astype(np.float32)
    mean, std = np.array(pre.mean, np.float32), np.array(pre.std, np.float32)
    return np.ascontiguousarray(((levels - mean) / std).transpose(0, 3, 1, 2).astype(np.float32))


def chunks(pixels: np.ndarray, batch: int) -> list[tuple[int, np.ndarray]]:
    """Whole batches with where each begins; the last is filled up with its last sample."""
    made = []
    for start in range(0, len(pixels), batch):
        chunk = pixels[start : start + batch]
        short = batch - len(chunk)
        made.append((start, np.concatenate([chunk, np.repeat(chunk[-1:], short, axis=0)]) if short else chunk))
    return made


def sha256(data: bytes) -> str:
    """The SHA-256 of a file's content, in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def write_hash(file: Path) -> Path:
    """FILE.sha256 beside a file, in the form that `sha256sum --check` reads."""
    return write_atomic(file.with_name(file.name + ".sha256"), f"{sha256(file.read_bytes())}  {file.name}\n".encode())


def manifest(files: dict[str, bytes], gates: dict[str, Any], samples: Sequence[str]) -> bytes:
    """handover.json: the files with sizes and hashes, what proved them on which samples, and the versions."""
    told = {
        "zansa": version("zansa"),
        "onnxruntime": onnxruntime.__version__,
        "environment": environment(),
        "files": [{"name": name, "bytes": len(data), "sha256": sha256(data)} for name, data in sorted(files.items())],
        "gates": gates,
        "validation": {"count": len(samples), "sha256": sha256("\n".join(samples).encode()), "names": list(samples)},
        "tolerances": {"rounding": ROUNDING, "engines": TOLERANCE},
    }
    return json.dumps(told, indent=1, ensure_ascii=False, default=str).encode("utf-8", "replace")


def write_bundle(out: Path, files: dict[str, bytes], gates: dict[str, Any], samples: Sequence[str]) -> None:
    """One folder, or a zip where the name ends so: the files, licence notes and the manifest. Equal files give equal
    zips."""
    whole = files | {"LICENCES.txt": LICENCES.encode()}
    whole["handover.json"] = manifest(whole, gates, samples)
    if out.suffix != ".zip":
        for name, data in whole.items():
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            write_atomic(out / name, data)
        return
    partial = out.with_name(out.name + ".part")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(whole.items()):
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    partial.replace(out)
