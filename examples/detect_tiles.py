"""Which boxes hold a defect? A Faster R-CNN on a pyramid of a zansa network's features, trained on the magnetic tiles.

    python examples/detect_tiles.py magnetic_tile.tar.xz [--begin efficientnet_lite0 --frozen]

Draws a box around every connected patch of a mask in the archive. A fold keeps all pictures of a tile together: folds
2-4 train, fold 1 is for trying settings, fold 0 is read at the end. Prints the average precision at an overlap of 0.5,
writes detected.png (truth green, answer red) and detector.pt. From a fresh network this takes 3 to 4 minutes on one
core and ends far from done: 0.06 on fold 0, 0.01 with weights learned from drawn pictures (--begin drawn); more
epochs, and a trained model to start from, are yours. With --frozen no detector learns, but the light decoder of
segment_tiles.py, and boxes are drawn around the patches that it marks: 0.25 in three CPU minutes.
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from masks import FOUR, FROZEN_EPOCHS, on_frozen, predicted
from scipy import ndimage
from tiles import BEGINNINGS, begun, read_tiles
from torch import Tensor, nn
from torchvision.models.detection.faster_rcnn import AnchorGenerator, FasterRCNN, FastRCNNPredictor, TwoMLPHead
from torchvision.ops import box_iou
from torchvision.transforms import v2
from torchvision.tv_tensors import BoundingBoxes
from torchvision.utils import draw_bounding_boxes, save_image

from zansa.nets.backbone import Backbone, Pyramid

SIZE, BATCH, EPOCHS, WIDTH, STRIDES = 192, 8, 10, 64, (4, 8, 16, 32)
THRESHOLDS = np.linspace(0.1, 0.9, 17).tolist()
SHOWN = 0.5  # the score from which a box is shown


@dataclass(frozen=True)
class Tiles:
    """Images (N, 1, SIZE, SIZE), uint8, their masks and boxes, and the rows that train, choose, and are held out."""

    levels: Tensor
    masks: Tensor
    boxes: list[Tensor]
    fit: np.ndarray
    val: np.ndarray
    test: np.ndarray


def boxes_of(mask: Tensor) -> Tensor:
    """A box x, y, x, y around every connected patch of a mask, (K, 4), without specks and lines of one pixel."""
    patches, _ = ndimage.label(mask[0].numpy(), np.ones((3, 3)))
    places = [(y, x) for y, x in ndimage.find_objects(patches) if min(y.stop - y.start, x.stop - x.start) > 1]
    corners = torch.tensor([[x.start, y.start, x.stop, y.stop] for y, x in places], dtype=torch.float32)
    return BoundingBoxes(corners.reshape(-1, 4), format="XYXY", canvas_size=tuple(mask.shape[1:]))


def patches(sure: Tensor, threshold: float) -> dict[str, Tensor]:
    """Boxes around the connected patches of probabilities (1, H, W) from a threshold on; each has their mean as its
    score. Best first."""
    boxes = boxes_of(sure >= threshold).as_subclass(Tensor)
    inside = [sure[0, y:bottom, x:right] for x, y, right, bottom in boxes.int().tolist()]
    scores = torch.tensor([float(box[box >= threshold].mean()) for box in inside])
    order = scores.argsort(descending=True)
    return {"boxes": boxes[order], "scores": scores[order]}


def make_detector(network: nn.Module) -> FasterRCNN:
    """A detector of one class, on the network of a trained gray model or on a fresh one, with small heads."""
    anchors = AnchorGenerator(tuple((2 * s, 3 * s) for s in STRIDES), ((0.4, 1.0, 2.5),) * len(STRIDES))
    return FasterRCNN(
        Pyramid(Backbone(network), STRIDES, WIDTH),
        rpn_anchor_generator=anchors,
        min_size=SIZE,
        max_size=SIZE,
        box_head=TwoMLPHead(WIDTH * 7 * 7, 128),
        box_predictor=FastRCNNPredictor(128, 2),
        image_mean=[0.5],
        image_std=[0.25],
        rpn_pre_nms_top_n_train=500,
        rpn_pre_nms_top_n_test=300,
        rpn_post_nms_top_n_train=200,
        rpn_post_nms_top_n_test=100,
        rpn_batch_size_per_image=128,
        box_batch_size_per_image=64,
        box_detections_per_img=20,
        box_score_thresh=0.02,
    )


def train(detector: FasterRCNN, images: Tensor, boxes: list[Tensor], fit: np.ndarray, epochs: int) -> None:
    """Train in place, on all defective images of `fit` and in each epoch on half as many sound ones."""
    random, has = np.random.default_rng(0), np.array([len(boxes[i]) > 0 for i in fit])
    bad, good = fit[has], fit[~has]
    optimizer, batches = torch.optim.AdamW(detector.parameters(), weight_decay=1e-2), 3 * len(bad) // 2 // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=epochs * batches)
    flip, began = v2.Compose([v2.RandomHorizontalFlip(), v2.RandomVerticalFlip()]), time.monotonic()
    for epoch in range(epochs):
        detector.train()
        chosen = np.concatenate([bad, random.choice(good, len(bad) // 2)])
        for index in random.permutation(chosen)[: batches * BATCH].reshape(batches, BATCH):
            pairs = [flip(images[i], boxes[i]) for i in index]
            targets = [{"boxes": b, "labels": torch.ones(len(b), dtype=torch.int64)} for _, b in pairs]
            loss = sum(detector([image for image, _ in pairs], targets).values())
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(detector.parameters(), 5.0)
            optimizer.step()
            schedule.step()
        print(f"epoch {epoch + 1} of {epochs}: last loss {loss:.3f}, {time.monotonic() - began:.0f} s", flush=True)


@torch.inference_mode()
def detected(detector: FasterRCNN, images: Tensor) -> list[dict[str, Tensor]]:
    """Boxes and scores of every image, the best first."""
    return [found for part in images.split(BATCH) for found in detector.eval()(list(part))]


def judged(found: list[dict[str, Tensor]], boxes: list[Tensor]) -> np.ndarray:
    """Of every answer: its score, whether it meets a box that no better one met, its image. Best first, (K, 3)."""
    answers = []
    for image, (answer, truth) in enumerate(zip(found, boxes, strict=True)):
        overlap = box_iou(answer["boxes"], truth)
        for row, score in zip(overlap, answer["scores"].tolist(), strict=True):
            answers.append((score, bool((row >= 0.5).any()), image))
            if answers[-1][1]:
                overlap[:, row.argmax()] = 0
    return np.array(sorted(answers, reverse=True)).reshape(-1, 3)


def average_precision(hits: np.ndarray, weights: np.ndarray, boxes: float) -> float:
    """The area under the best precision at each recall or a higher one; every answer counts `weights` times."""
    met, seen = np.cumsum(hits * weights), np.cumsum(weights)
    best = np.maximum.accumulate((met / np.maximum(seen, 1))[::-1])[::-1]
    return float((np.diff(met, prepend=0) * best).sum() / max(boxes, 1))


def by_detector(network: nn.Module, tiles: Tiles, epochs: int) -> tuple[list[dict[str, Tensor]], nn.Module]:
    """Answers for the held-out images of a detector of which all parts learned, and the detector."""
    images, detector = tiles.levels / 255, make_detector(network)
    train(detector, images, tiles.boxes, tiles.fit, epochs)
    return detected(detector, images[tiles.test]), detector


def by_patches(network: nn.Module, tiles: Tiles, epochs: int) -> tuple[list[dict[str, Tensor]], nn.Module]:
    """Answers for the held-out images from the patches of a mask, and what gave the mask: the frozen network with a
    decoder that learned. Fold 1 chooses from which probability on a patch counts."""
    images, truth = (tiles.levels.float() - 128) / 64, [tiles.boxes[i] for i in tiles.val]
    segmenter = on_frozen(network, images, tiles.masks, tiles.fit, epochs)
    sure, tried = predicted(segmenter, images[tiles.val], FOUR), {}
    for threshold in THRESHOLDS:
        answers = judged([patches(each, threshold) for each in sure], truth)
        tried[threshold] = average_precision(answers[:, 1], np.ones(len(answers)), sum(map(len, truth)))
    best = max(tried, key=lambda threshold: tried[threshold])
    print(f"fold 1 chose patches from {best:.2f} on: average precision {tried[best]:.3f} there")
    return [patches(each, best) for each in predicted(segmenter, images[tiles.test], FOUR)], segmenter


def report(groups: np.ndarray, answers: np.ndarray, boxes: list[Tensor]) -> None:
    """Print the average precision with a 95 % interval from whole tiles drawn anew, and what is shown."""
    each, hits, image = np.array([len(b) for b in boxes]), answers[:, 1], answers[:, 2].astype(int)
    names, tile = np.unique(groups, return_inverse=True)
    draws = np.random.default_rng(0).multinomial(len(names), np.full(len(names), 1 / len(names)), size=2000)
    redrawn = [average_precision(hits, d[tile][image], (each * d[tile]).sum()) for d in draws]
    low, high = np.percentile(redrawn, [2.5, 97.5])
    value, shown = average_precision(hits, np.ones(len(hits)), each.sum()), answers[:, 0] >= SHOWN
    false, met = image[shown & (hits == 0)], int(hits[shown].sum())
    print(
        f"average precision at IoU 0.5: {value:.3f} (95 % interval {low:.3f} to {high:.3f}): {each.sum()} boxes, "
        f"{len(each)} images of {len(names)} tiles\nfrom score {SHOWN}: {met} boxes met; {len(false)} "
        f"false answers, some on {len(set(false[each[false] == 0]))} of {(each == 0).sum()} sound ones"
    )


def draw(levels: Tensor, boxes: list[Tensor], found: list[dict[str, Tensor]], path: Path) -> None:
    """Ten defective images, with true boxes in green and shown ones in red."""
    has, pictures = np.flatnonzero([len(b) for b in boxes]), []
    for i in has[np.linspace(0, len(has) - 1, min(10, len(has))).astype(int)]:
        both = torch.cat([boxes[i], found[i]["boxes"][found[i]["scores"] >= SHOWN]])
        colors = ["lime" if k < len(boxes[i]) else "red" for k in range(len(both))]
        pictures.append(draw_bounding_boxes(levels[i].expand(3, -1, -1), both, colors=colors))
    save_image(torch.cat(pictures, 2) / 255, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("archive", type=Path, help="magnetic_tile.tar.xz")
    parser.add_argument("--model", type=Path, help="start from this trained zansa model")
    parser.add_argument("--begin", choices=BEGINNINGS, default="none", help="weights of a fresh network")
    parser.add_argument("--frozen", action="store_true", help="patches of a mask, learned on the network as it is")
    parser.add_argument("--out", type=Path, default=Path("tiles_detected"), help="folder for the results")
    parser.add_argument("--quick", action="store_true", help="a twentieth of the images, one epoch: does it run?")
    options = parser.parse_args()
    torch.manual_seed(0)
    index, levels, masks = read_tiles(options.archive, SIZE, 20 if options.quick else 1)
    fit, val, test = (np.flatnonzero(np.isin(index["fold"], list(folds))) for folds in ("234", "1", "0"))
    print(f"{len(fit)} images train, {len(test)} are held out; {torch.get_num_threads()} threads")
    tiles = Tiles(levels, masks, [boxes_of(mask) for mask in masks], fit, val, test)
    work, epochs = (by_patches, FROZEN_EPOCHS) if options.frozen else (by_detector, EPOCHS)
    network = begun(options.model, options.begin, SIZE)
    found, detector = work(network, tiles, 1 if options.quick else epochs)
    truth = [tiles.boxes[i] for i in test]
    report(index["group"][test], judged(found, truth), truth)
    options.out.mkdir(parents=True, exist_ok=True)
    draw(levels[test], truth, found, options.out / "detected.png")
    torch.save(detector.state_dict(), options.out / "detector.pt")
    print(f"written: {options.out / 'detected.png'}, {options.out / 'detector.pt'}")


if __name__ == "__main__":
    main()
