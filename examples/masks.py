"""Networks that answer for every pixel: how they learn, and a light decoder for a network that stays as it is.

The maps of a frozen network are computed once and kept on disk, so that an epoch takes seconds where training the
network itself takes minutes.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from zansa.learn.data.augment import augment
from zansa.learn.recipe import Augment
from zansa.nets.backbone import Backbone

Flips = tuple[tuple[int, ...], ...]
BATCH = 16  # images at a time, where nothing learns, and where a decoder does
SPARSE = -6.0  # the bias of a network that begins sure that nothing is a defect
FROZEN_SIZE, FROZEN_EPOCHS, LOOKS = 192, 25, 9  # on a frozen network: LOOKS of a defective image, one as it is
WIDTHS = (24, 48, 96, 96, 96)  # of the decoder, from the finest map on
TURNS = Augment(flip_x=True, flip_y=True, quarter_turns=True, shift=0.05, rotate=8, zoom=0.15, warped=0.8)
FOUR: Flips = ((), (2,), (3,), (2, 3))
Given = Callable[[np.ndarray], tuple[Any, Tensor]]


def answers(segmenter: nn.Module, seen: Any) -> Tensor:
    """Logits (N, 1, size, size), float32; bfloat16 inside, nearly three times as fast on a CPU that knows it."""
    with torch.autocast("cpu", torch.bfloat16):
        return segmenter(seen).float()


def loss_of(found: Tensor, truth: Tensor) -> Tensor:
    """Pixels one by one, and 1 - Dice of each defective image, so that a small defect counts as much as a large one."""
    sure, has = found.sigmoid(), truth.amax((1, 2, 3)) > 0
    both, sums = (x.sum((1, 2, 3)) for x in (sure * truth, sure + truth))
    overlap = ((2 * both + 1) / (sums + 1))[has]
    return functional.binary_cross_entropy_with_logits(found, truth) + (1 - overlap).sum() / max(1, len(overlap))


def train(
    segmenter: nn.Module,
    given: Given,
    masks: Tensor,
    fit: np.ndarray,
    epochs: int,
    batch: int = 8,
    rate: float = 2e-3,
) -> None:
    """Train in place, on all defective images of `fit` and in each epoch on as many sound ones; `given` are what the
    network takes and the true masks of these images."""
    random = np.random.default_rng(0)
    has = masks[fit].flatten(1).any(1).numpy()
    bad, good = fit[has], fit[~has]
    batches, began = 2 * len(bad) // batch, time.monotonic()
    optimizer = torch.optim.AdamW(segmenter.parameters(), weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=epochs * batches, pct_start=0.15)
    for epoch in range(epochs):
        segmenter.train()
        chosen = np.concatenate([bad, random.choice(good, len(bad), len(bad) > len(good))])
        for index in random.permutation(chosen)[: batches * batch].reshape(batches, batch):
            seen, truth = given(index)
            loss = loss_of(answers(segmenter, seen), truth)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(segmenter.parameters(), 5.0)
            optimizer.step()
            schedule.step()
        print(f"epoch {epoch + 1} of {epochs}: loss {loss.item():.3f}, {time.monotonic() - began:.0f} s", flush=True)


@torch.inference_mode()
def predicted(segmenter: nn.Module, images: Tensor, flips: Flips = ((),)) -> Tensor:
    """Probabilities (N, 1, size, size), the mean of those of the images flipped along each of these axes."""
    segmenter, found = segmenter.eval(), []
    for part in images.split(BATCH):
        seen = [part.flip(axes).contiguous(memory_format=torch.channels_last) for axes in flips]
        each = [answers(segmenter, x).sigmoid().flip(axes) for x, axes in zip(seen, flips, strict=True)]
        found.append(torch.stack(each).mean(0))
    return torch.cat(found)


class Decoder(nn.Module):
    """Logits (N, 1, size, size) from a backbone's maps, the finest first.

    Every map is brought to its width by a 1x1 convolution; from the coarsest on each is smoothed, enlarged and added to
    the next (as in a feature pyramid, Lin et al. 2017, 1612.03144)."""

    def __init__(self, backbone: Backbone, dropout: float = 0.1):
        super().__init__()
        self.stride, widths = backbone.strides[0], WIDTHS[: len(backbone.channels)]
        self.enter = nn.ModuleList(
            nn.Sequential(nn.Dropout2d(dropout), nn.Conv2d(c, w, 1, bias=False), nn.BatchNorm2d(w))
            for c, w in zip(backbone.channels, widths, strict=True)
        )
        self.smooth = nn.ModuleList(
            nn.Sequential(nn.ReLU(), nn.Conv2d(w, finer, 3, padding=1, bias=False), nn.BatchNorm2d(finer))
            for finer, w in pairwise((widths[0], *widths))
        )
        self.last = nn.Conv2d(widths[0], 1, 1)
        nn.init.constant_(self.last.bias, SPARSE)

    def forward(self, maps: list[Tensor]) -> Tensor:
        x = torch.zeros(())
        for k in reversed(range(len(maps))):
            own = self.enter[k](maps[k])
            x = self.smooth[k](own + functional.interpolate(x, size=own.shape[2:]) if x.ndim else own)
        return functional.interpolate(self.last(x.relu()), scale_factor=self.stride, mode="bilinear")


class Segmenter(nn.Module):
    """Logits (N, 1, H, W) of images (N, C, H, W): a frozen backbone, and a decoder that learned on its maps."""

    def __init__(self, backbone: Backbone, decoder: Decoder):
        super().__init__()
        self.backbone, self.decoder = backbone, decoder

    def forward(self, images: Tensor) -> Tensor:
        return self.decoder(self.backbone(images))


@dataclass(frozen=True)
class Looks:
    """What a frozen network made of images, each as it is and varied.

    maps: of each stride (looks, C, H, W), float16, on disk.
    masks: (looks, 1, size, size), bool.
    own: for each image its rows in both.
    """

    maps: list[np.ndarray]
    masks: Tensor
    own: list[np.ndarray]

    def batch(self, index: np.ndarray, random: np.random.Generator) -> tuple[list[Tensor], Tensor]:
        """Maps and masks of these images, a look of each by lot."""
        rows = np.array([random.choice(self.own[i]) for i in index])
        return [torch.from_numpy(kept[rows]).float() for kept in self.maps], self.masks[rows].float()


@torch.inference_mode()
def looked(backbone: Backbone, images: Tensor, masks: Tensor, times: np.ndarray, moves: Augment, folder: Path) -> Looks:
    """Look at each image (N, C, size, size) so many times, once as it is, then varied. Maps fill files of `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    backbone, generator = backbone.eval().to(memory_format=torch.channels_last), torch.Generator().manual_seed(0)
    source, size = np.repeat(np.arange(len(images)), times), images.shape[-1]
    own = np.split(np.arange(len(source)), np.cumsum(times)[:-1])
    plain = np.isin(np.arange(len(source)), [rows[0] for rows in own if len(rows)])
    maps = [
        np.lib.format.open_memmap(folder / f"{s}.npy", "w+", np.float16, (len(source), c, -(-size // s), -(-size // s)))
        for s, c in zip(backbone.strides, backbone.channels, strict=True)
    ]
    seen = []
    for rows in np.split(np.arange(len(source)), range(BATCH, len(source), BATCH)):
        both = torch.cat([images[source[rows]], masks[source[rows]].float()], 1)
        both = torch.where(torch.from_numpy(plain[rows])[:, None, None, None], both, augment(both, moves, generator))
        seen.append(both[:, -1:] >= 0.5)
        with torch.autocast("cpu", torch.bfloat16):
            found = backbone(both[:, :-1].contiguous(memory_format=torch.channels_last))
        for kept, values in zip(maps, found, strict=True):
            kept[rows] = values.half().numpy()
    return Looks(maps, torch.cat(seen), own)


def on_frozen(network: nn.Module, images: Tensor, masks: Tensor, fit: np.ndarray, epochs: int) -> nn.Module:
    """A decoder that has learned on the maps of a frozen network, with that network."""
    backbone = Backbone(network)
    decoder = Decoder(backbone).to(memory_format=torch.channels_last)
    times = np.where(masks.flatten(1).any(1).numpy(), LOOKS, 2) * np.isin(np.arange(len(images)), fit)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        looks = looked(backbone, images, masks, times, TURNS, Path(folder))
        train(decoder, partial(looks.batch, random=np.random.default_rng(0)), masks, fit, epochs, BATCH, 4e-3)
    return Segmenter(backbone, decoder)
