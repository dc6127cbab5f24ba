"""Where is the defect? A U-Net on the features of a zansa network, trained on the masks of the magnetic tiles.

    pip install 'zansa[segmentation]'
    python examples/segment_tiles.py magnetic_tile.tar.xz
    python examples/segment_tiles.py magnetic_tile.tar.xz --model runs/tiles/model.safetensors

A fold keeps all pictures of a tile together: folds 2-4 train, fold 1 chooses epoch and threshold, fold 0 is read once,
at the end. Images are stretched to SIZE x SIZE; all figures are of that grid. Prints the intersection over union
(IoU), writes segmented.png (image, truth, answer) and segmenter.pt (the state dict).

From a fresh network this takes 5 to 6 minutes on one core and ends far from done: IoU 0.16 on the defective images of
fold 1, 0.06 on those of fold 0. It shows the way; more epochs and a trained model to start from are up to you.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import segmentation_models_pytorch as smp
import torch
from PIL import Image
from tiles import read_tiles
from torch import Tensor, nn

import zansa
from zansa.learn.defaults import default_net
from zansa.nets.backbone import smp_entry

SIZE, BATCH, EPOCHS = 192, 8, 12
THRESHOLDS = np.linspace(0.1, 0.9, 17)


def make_segmenter(model: Path | None) -> nn.Module:
    """A U-Net with one answer for every pixel, on the network of a trained grey model or on a fresh one."""
    network = zansa.load(model).module if model else zansa.build(default_net((SIZE, SIZE), 1, 2, "surface"))
    smp.encoders.encoders["zansa"] = smp_entry(network)
    return smp.Unet("zansa", encoder_weights=None, decoder_channels=(64, 32, 32, 16, 8), in_channels=1, classes=1)


def train(segmenter: nn.Module, images: Tensor, masks: Tensor, fit: np.ndarray, val: np.ndarray, epochs: int) -> float:
    """Train in place on `fit`, keep the epoch that is best on `val`; gives the threshold that is best there."""
    random = np.random.default_rng(0)
    has = masks.flatten(1).any(1).numpy()
    bad, good = fit[has[fit]], fit[~has[fit]]
    # pixels one by one, and the overlap of the whole batch, which does not drown in sound surface
    pixels, overlap = nn.BCEWithLogitsLoss(), smp.losses.DiceLoss("binary")
    optimizer = torch.optim.AdamW(segmenter.parameters(), weight_decay=1e-2)
    batches = 2 * len(bad) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=epochs * batches)
    best_iou, best_threshold, best, began = -1.0, 0.5, {}, time.monotonic()
    for epoch in range(epochs):
        segmenter.train()
        sound = random.choice(good, len(bad), replace=len(bad) > len(good))  # as many sound as defective images
        for index in random.permutation(np.concatenate([bad, sound]))[: batches * BATCH].reshape(batches, BATCH):
            flips = [d for d in (2, 3) if random.random() < 0.5]
            found, truth = segmenter(images[index].flip(flips)), masks[index].flip(flips).float()
            loss = pixels(found, truth) + overlap(found, truth)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        both, either = counted(predicted(segmenter, images[val]), masks[val], THRESHOLDS).sum(0).T
        iou, at = (both / either).max(), (both / either).argmax()
        print(f"epoch {epoch + 1} of {epochs}: last loss {loss.item():.3f}, validation IoU {iou:.3f} "
              f"({both[at]} of {either[at]} pixels), {time.monotonic() - began:.0f} s", flush=True)  # fmt: skip
        if iou > best_iou:
            best_iou, best_threshold = iou, float(THRESHOLDS[at])
            best = {name: value.clone() for name, value in segmenter.state_dict().items()}
    segmenter.load_state_dict(best)
    return best_threshold


@torch.inference_mode()
def predicted(segmenter: nn.Module, images: Tensor) -> Tensor:
    """Probabilities (N, 1, SIZE, SIZE)."""
    segmenter.eval()
    return torch.cat([segmenter(part).sigmoid() for part in images.split(BATCH)])


def counted(found: Tensor, masks: Tensor, thresholds: np.ndarray) -> np.ndarray:
    """Pixels in both and in either, (N, thresholds, 2)."""
    truth = masks.flatten(1)
    marked = [(found >= threshold).flatten(1) for threshold in thresholds.tolist()]
    return np.stack([torch.stack([(m & truth).sum(1), (m | truth).sum(1)], 1).numpy() for m in marked], 1)


def report(kinds: np.ndarray, groups: np.ndarray, found: Tensor, masks: Tensor, threshold: float) -> None:
    """Print the IoU over all pixels of defective images, as a whole and by class, and what is marked on sound ones."""
    counts = counted(found, masks, np.array([threshold]))[:, 0]
    has, marked = (x.flatten(1).any(1).numpy() for x in (masks, found >= threshold))
    for kind in ["all", *np.unique(kinds[has])]:
        chosen = has & ((kinds == kind) | (kind == "all"))
        tiles = np.stack([counts[chosen & (groups == group)].sum(0) for group in np.unique(groups[chosen])])
        draws = np.random.default_rng(0).integers(len(tiles), size=(2000, len(tiles)))  # whole tiles drawn anew
        both, either = tiles[draws].sum(1).T
        low, high = np.percentile(both / np.maximum(either, 1), [2.5, 97.5])
        both, either = tiles.sum(0)
        print(f"{kind:8} IoU {both / either:.3f} (95 % interval {low:.3f} to {high:.3f}): {both} of {either} pixels, "
              f"{chosen.sum()} images of {len(tiles)} tiles")  # fmt: skip
    print(f"something marked: {(marked & has).sum()} of {has.sum()} defective images, "
          f"{(marked & ~has).sum()} of {(~has).sum()} sound ones (threshold {threshold:.2f})")  # fmt: skip


def draw(images: Tensor, masks: Tensor, found: Tensor, path: Path) -> None:
    """Ten defective images, one in each column: as they are, with the true mask in red, with the answer in red."""
    has = masks.flatten(1).any(1).nonzero()[:, 0]
    chosen = has[np.linspace(0, len(has) - 1, min(10, len(has))).astype(int)]
    grey = images[chosen, 0, :, :, None].expand(-1, -1, -1, 3)
    red = torch.tensor([255, 0, 0], dtype=torch.uint8)
    marked = [torch.where(mask[chosen, 0, :, :, None], grey // 2 + red // 2, grey) for mask in (masks, found)]
    columns = torch.cat([grey, *marked], 1)
    Image.fromarray(torch.cat(list(columns), 1).numpy()).save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("archive", type=Path, help="magnetic_tile.tar.xz")
    parser.add_argument("--model", type=Path, help="start from this trained zansa model (default: a fresh network)")
    parser.add_argument("--out", type=Path, default=Path("tiles_segmented"), help="folder for the results")
    parser.add_argument("--quick", action="store_true", help="a twentieth of the images, one epoch: does it run?")
    options = parser.parse_args()
    torch.manual_seed(0)
    index, levels, masks = read_tiles(options.archive, SIZE, 20 if options.quick else 1)
    images = (levels.float() - 128) / 64
    fit, val, test = (np.flatnonzero(np.isin(index["fold"], list(folds))) for folds in ("234", "1", "0"))
    print(f"{len(fit)} images train, {len(val)} choose, {len(test)} are held out; {torch.get_num_threads()} threads")
    segmenter = make_segmenter(options.model)
    threshold = train(segmenter, images, masks, fit, val, 1 if options.quick else EPOCHS)
    found = predicted(segmenter, images[test])
    report(index["class"][test], index["group"][test], found, masks[test], threshold)
    options.out.mkdir(parents=True, exist_ok=True)
    draw(levels[test], masks[test], found >= threshold, options.out / "segmented.png")
    torch.save(segmenter.state_dict(), options.out / "segmenter.pt")
    print(f"written: {options.out / 'segmented.png'}, {options.out / 'segmenter.pt'}")


if __name__ == "__main__":
    main()
