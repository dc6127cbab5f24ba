"""Where is the defect? A U-Net on the features of a zansa network, trained on the masks of the magnetic tiles.

    pip install 'zansa[segmentation]'
    python examples/segment_tiles.py magnetic_tile.tar.xz [--model runs/tiles/model.safetensors]

A fold keeps the pictures of a tile together: folds 2-4 train, fold 1 chooses the threshold, fold 0 is held out. Writes
segmented.png and segmenter.pt, prints the intersection over union (IoU) of defective images. From a fresh network, in
5 CPU minutes, one core: a mean of 0.40 on fold 1 (95 % interval 0.23 to 0.57, 73 images of 13 tiles), 0.17 on fold 0
(0.10 to 0.24, 74 of 14); it marks 69 of 74 defective and 115 of 214 sound ones there. Weights learned from drawn
pictures (--begin drawn) are no better: 0.43 and 0.15.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import segmentation_models_pytorch as smp
import torch
from PIL import Image
from tiles import BEGINNINGS, begun, read_tiles
from torch import Tensor, nn
from torch.nn import functional

from zansa.learn.data.augment import augment
from zansa.learn.recipe import Augment
from zansa.nets.backbone import smp_entry

SIZE, BATCH, EPOCHS = 128, 8, 50
THRESHOLDS = np.linspace(0.1, 0.9, 17).tolist()
MOVES = Augment(flip_x=True, flip_y=True, shift=0.04, rotate=6, zoom=0.1, warped=0.5)  # many defects touch a border


def make_segmenter(network: nn.Module) -> nn.Module:
    """A U-Net with one answer for every pixel, on the network of a trained grey model or on a fresh one."""
    smp.encoders.encoders["zansa"] = smp_entry(network)
    unet = smp.Unet("zansa", encoder_weights=None, decoder_channels=(64, 32, 32, 16, 8), in_channels=1, classes=1)
    # it begins sure that nothing is a defect (Lin et al. 2017, 1708.02002, section 4.1); to learn that takes long
    nn.init.constant_(unet.segmentation_head[0].bias, -6.0)
    return unet.to(memory_format=torch.channels_last)


def answers(segmenter: nn.Module, images: Tensor) -> Tensor:
    """Logits (N, 1, SIZE, SIZE), float32; bfloat16 inside, nearly three times as fast on a CPU that knows it."""
    with torch.autocast("cpu", torch.bfloat16):
        return segmenter(images.contiguous(memory_format=torch.channels_last)).float()


def loss_of(found: Tensor, truth: Tensor) -> Tensor:
    """Pixels one by one, and 1 - Dice of each defective image, so that a small defect counts as much as a large one."""
    sure, has = found.sigmoid(), truth.amax((1, 2, 3)) > 0
    both, sums = (x.sum((1, 2, 3)) for x in (sure * truth, sure + truth))
    overlap = ((2 * both + 1) / (sums + 1))[has]
    return functional.binary_cross_entropy_with_logits(found, truth) + (1 - overlap).sum() / max(1, len(overlap))


def train(segmenter: nn.Module, images: Tensor, masks: Tensor, fit: np.ndarray, epochs: int) -> None:
    """Train in place, on all defective images of `fit` and in each epoch on as many sound ones."""
    random, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    has = masks[fit].flatten(1).any(1).numpy()
    bad, good = fit[has], fit[~has]
    batches, began = 2 * len(bad) // BATCH, time.monotonic()
    optimizer = torch.optim.AdamW(segmenter.parameters(), weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=epochs * batches, pct_start=0.15)
    for epoch in range(epochs):
        segmenter.train()
        chosen = np.concatenate([bad, random.choice(good, len(bad), len(bad) > len(good))])
        for index in random.permutation(chosen)[: batches * BATCH].reshape(batches, BATCH):
            batch, truth = augment(torch.cat([images[index], masks[index]], 1), MOVES, generator).split(1, 1)
            loss = loss_of(answers(segmenter, batch), truth)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(segmenter.parameters(), 5.0)
            optimizer.step()
            schedule.step()
        print(f"epoch {epoch + 1} of {epochs}: loss {loss.item():.3f}, {time.monotonic() - began:.0f} s", flush=True)


@torch.inference_mode()
def predicted(segmenter: nn.Module, images: Tensor) -> Tensor:
    """Probabilities (N, 1, SIZE, SIZE)."""
    return torch.cat([answers(segmenter.eval(), part).sigmoid() for part in images.split(BATCH)])


def counted(marked: Tensor, masks: Tensor) -> np.ndarray:
    """Pixels of each image in both and in either, (N, 2)."""
    return torch.stack([(marked & masks).sum((1, 2, 3)), (marked | masks).sum((1, 2, 3))], 1).numpy()


def iou_of(counts: np.ndarray) -> tuple[float, float]:
    """The mean over images of their IoU, and the IoU of all their pixels together."""
    both, either = counts.T
    return float((both / either).mean()), float(both.sum() / either.sum())


def report(kinds: np.ndarray, groups: np.ndarray, marked: Tensor, masks: Tensor) -> None:
    """Print the IoU of defective images, as a whole and by class, and what is marked on sound ones."""
    counts = counted(marked, masks)
    has, alarm = (x.flatten(1).any(1).numpy() for x in (masks, marked))
    for kind in ["all", *np.unique(kinds[has])]:
        chosen = has & ((kinds == kind) | (kind == "all"))
        tiles = [counts[chosen & (groups == group)] for group in np.unique(groups[chosen])]
        draws = np.random.default_rng(0).integers(len(tiles), size=(2000, len(tiles)))  # whole tiles drawn anew
        redrawn = [iou_of(np.concatenate([tiles[tile] for tile in row])) for row in draws]
        bounds = np.percentile(redrawn, [2.5, 97.5], 0).T
        mean, pooled = (
            f"{value:.3f} (95 % interval {low:.3f} to {high:.3f})"
            for value, (low, high) in zip(iou_of(counts[chosen]), bounds, strict=True)
        )
        both, either = counts[chosen].sum(0)
        print(
            f"{kind:8} IoU {mean}, mean of {chosen.sum()} images of {len(tiles)} tiles\n"
            f"{'':8}     {pooled} of all pixels, {both} of {either}"
        )
    print(
        f"something marked: {(alarm & has).sum()} of {has.sum()} defective images, "
        f"{(alarm & ~has).sum()} of {(~has).sum()} sound ones"
    )


def draw(images: Tensor, masks: Tensor, marked: Tensor, path: Path) -> None:
    """Ten defective images, one in each column: as they are, with the true mask in red, with the answer in red."""
    has = masks.flatten(1).any(1).nonzero()[:, 0]
    chosen = has[np.linspace(0, len(has) - 1, min(10, len(has))).astype(int)]
    grey, red = images[chosen, 0, :, :, None].expand(-1, -1, -1, 3), torch.tensor([255, 0, 0], dtype=torch.uint8)
    rows = [torch.where(mask[chosen, 0, :, :, None], grey // 2 + red // 2, grey) for mask in (masks, marked)]
    Image.fromarray(torch.cat(list(torch.cat([grey, *rows], 1)), 1).numpy()).save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("archive", type=Path, help="magnetic_tile.tar.xz")
    parser.add_argument("--model", type=Path, help="start from this trained zansa model")
    parser.add_argument("--begin", choices=BEGINNINGS, default="none", help="weights of a fresh network")
    parser.add_argument("--out", type=Path, default=Path("tiles_segmented"), help="folder for the results")
    parser.add_argument("--quick", action="store_true", help="a twentieth of the images, one epoch: does it run?")
    options = parser.parse_args()
    torch.manual_seed(0)
    index, levels, masks = read_tiles(options.archive, SIZE, 20 if options.quick else 1)
    fit, val, test = (np.flatnonzero(np.isin(index["fold"], list(folds))) for folds in ("234", "1", "0"))
    print(f"{len(fit)} images train, {len(val)} choose, {len(test)} are held out; {torch.get_num_threads()} threads")
    segmenter, images = make_segmenter(begun(options.model, options.begin, SIZE)), (levels.float() - 128) / 64
    train(segmenter, images, masks, fit, 1 if options.quick else EPOCHS)
    found = predicted(segmenter, images)
    seen = val[masks[val].flatten(1).any(1).numpy()]
    threshold = max(THRESHOLDS, key=lambda threshold: iou_of(counted(found[seen] >= threshold, masks[seen]))[0])
    for part, what in ((val, f"fold 1, which chose the threshold {threshold:.2f}:"), (test, "fold 0, held out:")):
        print(what)
        report(index["class"][part], index["group"][part], found[part] >= threshold, masks[part])
    options.out.mkdir(parents=True, exist_ok=True)
    draw(levels[test], masks[test], found[test] >= threshold, options.out / "segmented.png")
    torch.save(segmenter.state_dict(), options.out / "segmenter.pt")


if __name__ == "__main__":
    main()
