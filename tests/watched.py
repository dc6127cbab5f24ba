"""A store as a server leaves it, made in a moment: real answers of a network of three weights, at simulated times."""

import hashlib
import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from test_serve import exported, png

from zansa.deploy.runtime import judged, predictor
from zansa.deploy.serve.features import answer_features, image_features
from zansa.deploy.serve.pictures import place
from zansa.deploy.serve.schema import FILE, insert, prepare

START = datetime(2026, 11, 1, 6, tzinfo=UTC)


def picture(rng: np.random.Generator, defect: bool, lot: float, dirt: int = 0) -> np.ndarray:
    """A dark part with noise, of the size that the network takes; a defect is brighter; `dirt` brightens one corner."""
    level = 55 + 8 * lot + (70 if defect else 0)
    made = rng.normal(level, 14, (12, 12)).clip(0, 255)
    made[:4, :4] += dirt
    return made.clip(0, 255).astype(np.uint8)


def a_store(folder: Path, lots: int = 60, each: int = 8, dirt_from: int | None = None, seed: int = 0) -> Path:
    """A store with `lots` lots of `each` parts, a tenth of them defects, one lot an hour; dirt on the lens from a lot
    on."""
    rng = np.random.default_rng(seed)
    file = exported(threshold=0.6, slope=12)
    model = folder / "models" / "m" / "1"
    model.mkdir(parents=True)
    (model / "model.onnx").write_bytes(file)
    sha = hashlib.sha256(file).hexdigest()
    (model.parent / "active.json").write_text(json.dumps({"active": 1, "before": [], "sha": sha}))
    network = predictor(file)
    with closing(sqlite3.connect(folder / FILE)) as connection, connection:
        prepare(connection)
        for lot in range(lots):
            shade = rng.normal()
            dirt = 60 if dirt_from is not None and lot >= dirt_from else 0
            for part in range(each):
                defect = rng.random() < 0.1
                levels = picture(rng, defect, shade, dirt)
                row = _row(folder, network, levels, START + timedelta(hours=lot, seconds=20 * part))
                row |= {"part": f"{lot}-{part}{'d' if defect else ''}", "lot": f"L{lot:03}", "sha": sha}
                connection.execute(*insert("answers", row))
    return folder


def _row(folder, network, levels, moment):
    data = png(levels)
    image = hashlib.sha256(data).hexdigest()
    path = place(folder / "images", image, ".png")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    (p,) = network.probabilities([levels[..., None]])
    told = judged(p, network)
    features = answer_features(p) | {"since": 1.0} | image_features(levels[..., None])
    text = moment.isoformat(timespec="milliseconds")
    row = {"time": text, "local": text, "source": "http", "model": "m", "version": 1, "line": 0.6, "image": image}
    row |= {"suffix": ".png", "bytes": len(data), "kept": 1, "chance": 1.0, "height": 12, "width": 12, "bits": 8}
    each = dict(zip(network.classes, map(float, p), strict=True))
    return row | told | {"probabilities": json.dumps(each), "features": json.dumps(features), "ms": 1.0}
