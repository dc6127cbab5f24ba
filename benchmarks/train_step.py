"""Images per second of our training loop against the loop of the framework's own tutorial, in one run.

    python benchmarks/train_step.py [--rounds 5] [--steps 30] [--json OUT.json]

Both train the same network, ResNet-20 for 32x32 (He et al. 2015), on the same random RGB images, 128 at a
time, shifted by up to 4 pixels and flipped. The rival is the loop of "Training a Classifier": PIL images
through RandomCrop, RandomHorizontalFlip, ToTensor and Normalize in a DataLoader, float32, SGD with
momentum, loss.item() in each step. It runs with several numbers of workers and threads, because threads
beside busy workers can collapse on few cores; its best setting counts. In between stand the parts of the
way from one to the other. The settings take turns (A B C A B C ...), so that a slow minute of the machine
hits them all.

The clock starts after the first steps and stops while the loader still has images to give: making the
network, starting workers and choosing precision and layout are left out on both sides.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Generator
from contextlib import closing, nullcontext
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision import transforms

from zansa.arch.zoo import cifar_resnet
from zansa.learn.data.augment import augment, defaults
from zansa.learn.data.dataset import Dataset, from_arrays
from zansa.learn.data.splits import Parts
from zansa.learn.predict import to_tensor
from zansa.learn.recipe import Recipe
from zansa.learn.train import training
from zansa.nets.build import build
from zansa.record import environment

BATCH = 128
FIRST = 8  # steps before the clock starts: more than the batches that two workers hold ready
SPARE = 12  # batches that nobody comes to see: the workers stay busy to the end
Steps = Generator[object, None, None]


class Pictures(torch.utils.data.Dataset[tuple[Tensor, int]]):
    """Arrays to PIL images to tensors, as torchvision.datasets.CIFAR10 does it."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, transform: transforms.Compose):
        self.images, self.labels, self.transform = images, labels.tolist(), transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[i])), self.labels[i]


def tutorial(data: Dataset, workers: int) -> Steps:
    """The tutorial's loop, one yield for each step."""
    transform = transforms.Compose(
        [
            transforms.RandomCrop(32, padding=4),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        ]
    )
    pictures = Pictures(data.images, data.labels, transform)
    loader = DataLoader(pictures, batch_size=BATCH, shuffle=True, num_workers=workers)
    model = build(cifar_resnet(20))
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9)
    running_loss = 0.0
    for inputs, labels in loader:
        optimizer.zero_grad()
        loss = criterion(model(inputs), labels)
        loss.backward()
        optimizer.step()
        running_loss += loss.item()
        yield running_loss


def by_arrays(data: Dataset, layout: torch.memory_format, bfloat16: bool) -> Steps:
    """The same loop fed from the array, augmented as a batch: what each of our choices gives by itself."""
    model = build(cifar_resnet(20)).to(memory_format=layout)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9)
    generator, settings, cpu = torch.Generator().manual_seed(0), defaults("natural"), torch.device("cpu")
    running_loss = 0.0
    for index in np.random.default_rng(0).permutation(len(data.images)).reshape(-1, BATCH):
        inputs = augment(to_tensor(data, index, cpu, layout), settings, generator)
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16) if bfloat16 else nullcontext():
            outputs = model(inputs)
        loss = criterion(outputs.float(), torch.from_numpy(data.labels[index]))
        loss.backward()
        optimizer.step()
        running_loss += loss.item()
        yield running_loss


def ours(data: Dataset, compiled: bool = False) -> Steps:
    """zansa's own loop, with all that it does in a step: weight averages, clipping, balance, schedule."""
    parts = Parts(train=np.arange(len(data.images)), val=np.arange(BATCH), test=np.arange(BATCH))
    recipe = Recipe(epochs=1, batch=BATCH, augment=defaults("natural"), device="cpu", compile=compiled)
    events = training(build(cifar_resnet(20)), data, parts, recipe)
    for event in events:
        if event["event"] == "start":
            print(f"zansa has chosen {event['precision']}, {event['layout']}")
        if event["event"] == "step":
            yield event


def speed(run: Callable[[], Steps], threads: int, steps: int) -> float:
    """Images per second of `steps` steps after the first ones, at so many threads of torch."""
    torch.set_num_threads(threads)
    with closing(run()) as taken:
        for _ in range(FIRST):
            next(taken)
        start = time.perf_counter()
        for _ in range(steps):
            next(taken)
        return steps * BATCH / (time.perf_counter() - start)


def settings(data: Dataset, threads: int) -> dict[str, tuple[Callable[[], Steps], int]]:
    """What is compared: name -> loop and threads of torch."""
    first, last = torch.contiguous_format, torch.channels_last
    rivals = {(workers, count) for workers in (0, 1, 2) for count in (threads, 1)}
    return {
        **{
            f"tutorial, {workers} workers, {count} threads": (partial(tutorial, data, workers), count)
            for workers, count in sorted(rivals, reverse=True)
        },
        "array and batch augmentation": (partial(by_arrays, data, first, False), threads),
        "the same, channels last": (partial(by_arrays, data, last, False), threads),
        "the same, bfloat16": (partial(by_arrays, data, first, True), threads),
        "the same, channels last and bfloat16": (partial(by_arrays, data, last, True), threads),
        "zansa.learn.train": (partial(ours, data), threads),
        "zansa.learn.train, compiled": (partial(ours, data, True), threads),
    }


def measure(threads: int, rounds: int, steps: int) -> dict[str, list[float]]:
    """Images per second of every setting in every round; the settings take turns."""
    count = (FIRST + steps + SPARE) * BATCH
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    data = from_arrays(images, np.arange(count) % 10, kind="natural").normalised(np.arange(count))
    compared = settings(data, threads)
    rates: dict[str, list[float]] = {name: [] for name in compared}
    for number in range(rounds):
        for name, (run, used) in compared.items():
            rates[name].append(speed(run, used, steps))
            print(f"round {number + 1}/{rounds}  {rates[name][-1]:7.0f} images/s  {name}", flush=True)
    return rates


def table(rates: dict[str, list[float]]) -> str:
    """Markdown: images per second of every setting, and its ratio to the best rival, round by round."""
    best = max((name for name in rates if name.startswith("tutorial")), key=lambda name: median(rates[name]))
    lines = [
        "| setting | images/s, median (min–max) | ratio to the best tutorial setting, median (min–max) |",
        "|---|---|---|",
    ]
    for name, values in rates.items():
        ratios = [ours / rival for ours, rival in zip(values, rates[best], strict=True)]
        mark = " **(the rival)**" if name == best else ""
        lines.append(f"| {name}{mark} | {_spread(values, '.0f')} | {_spread(ratios, '.2f')} |")
    return "\n".join(lines)


def _spread(values: list[float], digits: str) -> str:
    return f"{median(values):{digits}} ({min(values):{digits}}–{max(values):{digits}})"


def main() -> None:
    cores = len(os.sched_getaffinity(0))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=30, help="measured steps of 128 images in each round")
    parser.add_argument("--threads", type=int, default=cores, help="threads of torch (default: the cores)")
    parser.add_argument("--json", type=Path, help="also write the raw rates there")
    given = parser.parse_args()
    rates = measure(given.threads, given.rounds, given.steps)
    machine = environment()
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items() if "torch" in name)
    print(f"\n{table(rates)}\n\n{given.rounds} rounds of {given.steps} steps of {BATCH} images")
    print(f"{machine['cpu']}, {cores} cores; Python {machine['python']}, {versions}; zansa {machine['commit']}")
    if given.json:
        given.json.write_text(json.dumps({"images_per_second": rates, "environment": machine}, indent=1))


if __name__ == "__main__":
    main()
