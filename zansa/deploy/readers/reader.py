"""Reads images for the network beside this file, as its training did: pip install numpy pillow onnxruntime."""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

use = json.loads(Path("preprocess.json").read_text(encoding="utf-8"))
network = onnxruntime.InferenceSession("network.onnx", providers=["CPUExecutionProvider"])
mean, std, fill = (np.float32(v) for v in (use["normalise"]["mean"], use["normalise"]["std"], use["resize"]["fill"]))
(height, width), channels = use["resize"]["size"], use["decode"]["channels"]
for name in sys.argv[1:]:
    image = Image.open(name).convert("L" if channels == 1 else "RGB")
    w, h = width, height
    if use["resize"]["fit"] == "letterbox":  # keep the proportions; half up
        full = height * image.width <= width * image.height
        h = height if full else max(1, (2 * image.height * width + image.width) // (2 * image.width))
        w = max(1, (2 * image.width * height + image.height) // (2 * image.height)) if full else width
    canvas = np.broadcast_to(fill, (height, width, channels)).copy()
    top, left = (height - h) // 2, (width - w) // 2
    small = np.asarray(image.resize((w, h), Image.Resampling.BILINEAR), np.float32).reshape(h, w, channels)
    canvas[top : top + h, left : left + w] = small
    pixels = np.repeat(((canvas - mean) / std).transpose(2, 0, 1)[None], use["input"]["shape"][0], axis=0)
    answer = network.run(None, {"pixels": pixels})[0][0]
    p = np.exp(answer - answer.max()) / np.exp(answer - answer.max()).sum() if use["output"]["softmax"] else answer
    print(name, use["classes"][int(p.argmax())], *(f"{value:.6f}" for value in p))
