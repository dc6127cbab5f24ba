"""The convolutional experiment of Marion et al. 2024 (2309.01213), section 5.2, with networks of zansa: blocks of one
resolution with steps of length 1/L and batch norms, that begin alike ("tied") or independently, with GELU or ReLU.

`python images.py OUT --data CIFAR10 [--blocks 24 --images 2000 --epochs 6]` trains all four on CIFAR-10, of any form
that `zansa train` reads with its split, and writes a line of OUT/images.jsonl for each; a rerun goes on. The paper has
256 blocks, 50,000 images and 180 epochs: `--blocks 256 --images 49500 --epochs 180 --device cuda`.
"""

import argparse
import time
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from zansa import fit, load_data
from zansa.arch.spec import Block, Head, Input, Net, Stage, Stem, Step
from zansa.learn.data.splits import Parts
from zansa.learn.depth.measure import measure
from zansa.learn.predict import logits, to_tensor
from zansa.learn.recipe import Augment, Recipe
from zansa.record import Run

STARTS = {"tied": "tied", "independent": "zero"}  # how a network of zansa calls them


def ode_net(blocks: int = 256) -> Net:
    """A network like the one for CIFAR-10 of Marion et al. 2024 (2309.01213), section 5: one resolution after a stem of
    stride 3, 16 channels, GELU, steps of length 1/L, and blocks that begin alike. Theirs has biases and no activation
    after the sum; ours has no biases and is pre-activated, so no published count is held against it."""
    stage = Stage(width=16, step=Step(h=1 / blocks, start="tied"),
                  blocks=(Block(kind="preact_basic", hidden=(16,)),) * blocks)  # fmt: skip
    return Net(input=Input(channels=3, size=(32, 32)), stem=Stem(width=16, stride=3), stages=(stage,),
               head=Head(classes=10, act=True), act="gelu")  # fmt: skip


def asked() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--blocks", type=int, default=24)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def trained(given: argparse.Namespace, data: Any, parts: Parts, act: str, start: str) -> dict[str, Any]:
    """Train one network; tell its accuracies and how smooth it is."""
    net = ode_net(given.blocks)
    stage = net.stages[0]
    net = net.but({"act": act, "stages": (stage.but({"step": stage.step.but({"start": start})}),)})
    recipe = Recipe(
        epochs=given.epochs, batch=64, rate=0.04, smoothing=0.0, keep="last", patience=0.0, layout="channels_first",
        precision="float32", augment=Augment(flip_x=True, shift=0.125), device=given.device, seed=given.seed,
    )  # fmt: skip
    began = time.perf_counter()
    model = fit(net, data, parts, recipe)
    seconds = time.perf_counter() - began
    right = {}
    for name, index in (("train", parts.train), ("test", parts.test)):
        answers = logits(model.module, data, index).argmax(1).numpy()
        right[name] = float((answers == data.labels[index]).mean())
    samples = to_tensor(data, parts.val[:64], torch.device("cpu"), torch.contiguous_format)
    (seen,) = measure(model.module.cpu(), samples)
    weights = [block.weights for block in seen.blocks if block.weights is not None]
    return right | {
        "weights_mean": float(np.mean(weights)),
        "weights_largest": float(np.max(weights)),
        "apart": seen.mean("apart"),
        "doubled": seen.doubled,
        "beside": seen.beside,
        "inversion": seen.inversion,
        "seconds": round(seconds, 1),
    }


def main() -> None:
    """Train all four."""
    given = asked()
    torch.set_num_threads(1 if given.device == "cpu" else 8)
    data = load_data(given.data, kind="natural")
    chance = np.random.default_rng(given.seed)
    held = min(500, given.images)
    train = np.sort(chance.permutation(np.flatnonzero(data.split == "train"))[: given.images + held])
    val = np.sort(chance.permutation(train)[:held])
    train = np.setdiff1d(train, val)
    test = np.sort(chance.permutation(np.flatnonzero(data.split == "test"))[: max(2000, given.images // 5)])
    parts = Parts(train, val, test)
    data = data.normalised(parts.train)
    given.out.mkdir(parents=True, exist_ok=True)
    run, setting = Run(given.out), {name: getattr(given, name) for name in ("blocks", "images", "epochs", "seed")}
    for act, start in product(("gelu", "relu"), STARTS):
        row = {"activation": act, "start": start} | setting
        if not any(row.items() <= line.items() for line in run.lines("images.jsonl")):
            row |= trained(given, data, parts, act, STARTS[start])
            print(row, flush=True)
            run.append("images.jsonl", row)


if __name__ == "__main__":
    main()
