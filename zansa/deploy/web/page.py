"""One HTML file that classifies images offline: model, runtime (onnxruntime-web) and golden images are inside, and it
tests itself when it is opened. Nothing is fetched; it works from a disk, where browsers let a page load no other file.
"""

import base64
import gzip
import json
import tarfile
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ...arch.use import Preprocess
from ...inputs.heat import ACCEPT, COVER, REJECT
from ...inputs.pictures import picture
from ...phrases import phrase, say, speaking
from ...record import write_atomic
from ..runtime import Predictor, read_all

HERE = Path(__file__).parent
PARTS = {"script": "ort.wasm.min.js", "module": "ort-wasm-simd-threaded.mjs", "wasm": "ort-wasm-simd-threaded.wasm"}
WITHIN = 1e-5  # of a probability, between the page and ONNX Runtime here
LARGEST = 1024  # pixels of a side of a golden image; larger ones would make the page heavy
WORDS = {
    "title": phrase("Classify images offline"),
    "drop": phrase("Drop images here, or choose files"),
    "camera": phrase("Use the camera"),
    "take": phrase("Take a picture"),
    "testing": phrase("The self-test is running ..."),
    "passed": phrase("Self-test passed"),
    "failed": phrase("Self-test failed: do not use this page"),
    "accept": phrase("accept"),
    "reject": phrase("reject"),
    "ask": phrase("ask a person"),
    "none": phrase("No image yet"),
    "unread": phrase("This file cannot be read as an image"),
    "offline": phrase("Nothing leaves this page: model and program are inside the file."),
    "largest": phrase("largest difference"),
    "golden": phrase("golden images"),
    "score": phrase("score"),
    "line": phrase("line"),
    "heat": phrase("Heat map"),
    "for_defect": phrase("speaks for a defect"),
    "against_defect": phrase("speaks against a defect"),
    "for_class": phrase("speaks for the class"),
    "against_class": phrase("speaks against the class"),
}


def write_page(path: Path, predictor: Predictor, golden: Sequence[Path], runtime: Path | None) -> dict[str, Any]:
    """Write the page of an exported model, with golden images and what ONNX Runtime answers to them here.

    `runtime` is the .tgz of onnxruntime-web, as `npm pack onnxruntime-web` writes it, or its folder. ValueError for
    models that a page cannot feed, and where the runtime is not there.
    """
    pre = predictor.preprocess
    refuse_page(pre, runtime)
    assert runtime is not None
    parts = runtime_parts(runtime)
    stored = stored_golden(predictor, golden)
    words = {}
    for lang in ("en", "ja"):
        with speaking(lang):
            words[lang] = {key: say(text) for key, text in WORDS.items()}
    facts = {
        "classes": predictor.classes,
        "channels": pre.channels,
        "point": predictor.operating.model_dump(mode="json") if predictor.operating else None,
        "shift": None if predictor.calibration is None else predictor.calibration.shift,
        "golden": stored,
        "within": WITHIN,
        "heat": heat_facts(predictor),
        "words": words,
    }
    text = filled((HERE / "page.html").read_text(encoding="utf-8"), parts, predictor.file, facts)
    write_atomic(path, text.encode("utf-8", "replace"))
    return {"file": str(path), "bytes": len(text), "golden": len(stored), "runtime": parts["version"].decode()}


def heat_facts(predictor: Predictor) -> dict[str, Any] | None:
    """What the page needs to draw heat maps as zansa.inputs.heat does; None for an older file, which has no maps."""
    if predictor.cells is None:
        return None
    pre, colours = predictor.preprocess, {"reject": REJECT, "accept": ACCEPT, "cover": COVER}
    return {"cells": predictor.cells, "strongest": predictor.strongest, "size": pre.size, "fit": pre.fit, **colours}


def refuse_page(pre: Preprocess, runtime: Path | None) -> None:
    """ValueError for models that a page cannot feed, and where the runtime is not there."""
    if pre.series or pre.channels not in (1, 3) or pre.depth != 8:
        raise ValueError("a page classifies gray or colour images of 8 bits; this model takes others")
    if runtime is None or not runtime.exists():
        named = "was not named" if runtime is None else f"is not at {runtime}"
        raise ValueError(
            f"onnxruntime-web {named}; get it once with 'npm pack onnxruntime-web' and name its .tgz with --runtime"
        )


def filled(template: str, parts: dict[str, bytes], model: bytes, facts: dict[str, Any]) -> str:
    """The page, with everything that it needs in its places."""
    values = {
        "SCRIPT": parts["script"].decode().replace("</script", "<\\/script"),
        "PAGE": (HERE / "page.js").read_text(encoding="utf-8"),
        "STYLE": (HERE / "page.css").read_text(encoding="utf-8"),
        "MODULE": packed(parts["module"]),
        "WASM": packed(parts["wasm"]),
        "MODEL": packed(model),
        "FACTS": json.dumps(facts, ensure_ascii=False).replace("<", "\\u003c"),
        "VERSION": escape(parts["version"].decode()),
    }
    for name, value in values.items():
        template = template.replace(f"@@{name}@@", value)
    return template


def packed(data: bytes) -> str:
    """gzip in base64: what a page unpacks with DecompressionStream."""
    return base64.b64encode(gzip.compress(data, 9, mtime=0)).decode()


def stored_golden(predictor: Predictor, golden: Sequence[Path]) -> list[dict[str, Any]]:
    """Golden images as PNG, with the probabilities that the file gives here, and the map of the decision."""
    values, _ = read_all(golden, predictor.preprocess)
    small = [each if max(each.shape[:2]) <= LARGEST else _shrunk(each) for each in values]
    p = predictor.probabilities(small)
    maps = [None] * len(small) if predictor.cells is None else predictor.with_maps(small)[1].reshape(len(small), -1)
    return [
        {
            "png": base64.b64encode(picture(each, predictor.preprocess)).decode(),
            "p": answer.tolist(),
            "m": None if values is None else values.tolist(),
        }
        for each, answer, values in zip(small, p, maps, strict=True)
    ]


def _shrunk(image: np.ndarray) -> np.ndarray:
    made = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    made.thumbnail((LARGEST, LARGEST))
    return np.asarray(made).reshape(made.height, made.width, image.shape[2])


def runtime_parts(runtime: Path) -> dict[str, bytes]:
    """The files of onnxruntime-web that the page needs, and its version. ValueError where they are not there."""
    try:
        if runtime.is_dir():
            folder = runtime / "dist" if (runtime / "dist").is_dir() else runtime
            found = {name: (folder / file).read_bytes() for name, file in PARTS.items()}
            about = folder.parent / "package.json"
            version = json.loads(about.read_bytes())["version"] if about.exists() else ""
            return found | {"version": version.encode()}
        with tarfile.open(runtime) as archive:
            found = {name: _member(archive, f"package/dist/{file}") for name, file in PARTS.items()}
            version = json.loads(_member(archive, "package/package.json"))["version"]
            return found | {"version": version.encode()}
    except (OSError, KeyError, tarfile.TarError) as error:
        raise ValueError(f"{runtime} is not onnxruntime-web: {error}") from None


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    if file is None:
        raise KeyError(name)
    return file.read()
