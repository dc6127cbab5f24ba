"""Where is the defect? A U-Net on the features of a zansa network, trained on the masks of the magnetic tiles.

    pip install 'zansa[segmentation]' 'zansa[imagenet]'
    python examples/segment_tiles.py magnetic_tile.tar.xz [--begin efficientnet_lite0 --frozen]

A fold keeps the pictures of a tile together: folds 2-4 train, fold 1 chooses the threshold, fold 0 is held out (--fold:
another one). Writes segmented.png and segmenter.pt, prints the intersection over union (IoU) of defective images. It
takes three to five CPU minutes, one core. From a fresh network of which all parts learn: a mean of 0.40 on fold 1 (95 %
interval 0.23 to 0.57, 73 images of 13 tiles) and 0.17 on fold 0 (0.10 to 0.24, 74 of 14). From weights learned from
drawn pictures (--begin drawn): 0.43 and 0.15. With a light decoder on the frozen ImageNet network: 0.47 (0.30 to 0.61)
and 0.35 (0.23 to 0.47); that one marks something on 74 of 75 defective and 125 of 213 sound images of fold 0.
"""

import argparse
from pathlib import Path

import numpy as np
import segmentation_models_pytorch as smp
import torch
from masks import FOUR, FROZEN_EPOCHS, FROZEN_SIZE, SPARSE, Given, on_frozen, predicted, train
from PIL import Image
from tiles import BEGINNINGS, begun, read_tiles
from torch import Tensor, nn

from zansa.learn.data.augment import augment
from zansa.learn.recipe import Augment
from zansa.nets.backbone import smp_entry

SIZE, EPOCHS, FOLDS = 128, 50, 5
THRESHOLDS = np.linspace(0.1, 0.9, 17).tolist()
MOVES = Augment(flip_x=True, flip_y=True, shift=0.04, rotate=6, zoom=0.1, warped=0.5)  # many defects touch a border


def make_segmenter(network: nn.Module) -> nn.Module:
    """A U-Net with one answer for every pixel, on the network of a trained gray model or on a fresh one."""
    smp.encoders.encoders["zansa"] = smp_entry(network)
    unet = smp.Unet("zansa", encoder_weights=None, decoder_channels=(64, 32, 32, 16, 8), in_channels=1, classes=1)
    # it begins sure that nothing is a defect (Lin et al. 2017, 1708.02002, section 4.1); to learn that takes long
    nn.init.constant_(unet.segmentation_head[0].bias, SPARSE)
    return unet.to(memory_format=torch.channels_last)


def varied(images: Tensor, masks: Tensor) -> Given:
    """Images and masks, varied anew each time."""
    generator = torch.Generator().manual_seed(0)

    def given(index: np.ndarray) -> tuple[Tensor, Tensor]:
        batch, truth = augment(torch.cat([images[index], masks[index]], 1), MOVES, generator).split(1, 1)
        return batch.contiguous(memory_format=torch.channels_last), truth

    return given


def on_learning(network: nn.Module, images: Tensor, masks: Tensor, fit: np.ndarray, epochs: int) -> nn.Module:
    """A U-Net of which all parts, the network too, have learned."""
    segmenter = make_segmenter(network)
    train(segmenter, varied(images, masks), masks, fit, epochs)
    return segmenter


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
    gray, red = images[chosen, 0, :, :, None].expand(-1, -1, -1, 3), torch.tensor([255, 0, 0], dtype=torch.uint8)
    rows = [torch.where(mask[chosen, 0, :, :, None], gray // 2 + red // 2, gray) for mask in (masks, marked)]
    Image.fromarray(torch.cat(list(torch.cat([gray, *rows], 1)), 1).numpy()).save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("archive", type=Path, help="magnetic_tile.tar.xz")
    parser.add_argument("--model", type=Path, help="start from this trained zansa model")
    parser.add_argument("--begin", choices=BEGINNINGS, default="none", help="weights of a fresh network")
    parser.add_argument("--fold", type=int, choices=range(FOLDS), default=0, help="the fold that is held out")
    parser.add_argument("--frozen", action="store_true", help="only a decoder learns, on maps of the network as it is")
    parser.add_argument("--out", type=Path, default=Path("tiles_segmented"), help="folder for the results")
    parser.add_argument("--quick", action="store_true", help="a twentieth of the images, one epoch: does it run?")
    options = parser.parse_args()
    torch.manual_seed(0)
    size, epochs, flips = (FROZEN_SIZE, FROZEN_EPOCHS, FOUR) if options.frozen else (SIZE, EPOCHS, FOUR[:1])
    index, levels, masks = read_tiles(options.archive, size, 20 if options.quick else 1)
    chooses = (options.fold + 1) % FOLDS
    test, val = (np.flatnonzero(index["fold"] == str(fold)) for fold in (options.fold, chooses))
    fit = np.setdiff1d(np.arange(len(levels)), [*test, *val])
    print(f"{len(fit)} images train, {len(val)} choose, {len(test)} are held out; {torch.get_num_threads()} threads")
    network, images = begun(options.model, options.begin, size), (levels.float() - 128) / 64
    epochs = 1 if options.quick else epochs
    segmenter = (on_frozen if options.frozen else on_learning)(network, images, masks, fit, epochs)
    found = {part: predicted(segmenter, images[rows], flips) for part, rows in (("val", val), ("test", test))}
    seen = masks[val].flatten(1).any(1)
    threshold = max(THRESHOLDS, key=lambda t: iou_of(counted(found["val"][seen] >= t, masks[val][seen]))[0])
    for part, rows, what in (
        ("val", val, f"fold {chooses}, which chose the threshold {threshold:.2f}:"),
        ("test", test, f"fold {options.fold}, held out:"),
    ):
        print(what)
        report(index["class"][rows], index["group"][rows], found[part] >= threshold, masks[rows])
    options.out.mkdir(parents=True, exist_ok=True)
    draw(levels[test], masks[test], found["test"] >= threshold, options.out / "segmented.png")
    torch.save(segmenter.state_dict(), options.out / "segmenter.pt")


if __name__ == "__main__":
    main()
