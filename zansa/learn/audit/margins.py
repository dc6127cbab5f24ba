"""How likely a small network held each image's label while it learnt: the area under the margin.

Pleiss et al. 2020, "Identifying mislabeled data using the area under the margin ranking" (2001.10528), equation 2: the
mean over the epochs of the logit of the given label less the largest other one. The network is far too small to learn
wrong labels by heart in so few epochs. torch is imported when it is needed: no other check needs it.
"""

from typing import Any

import numpy as np

SIDE = 32  # pixels of the images that it sees
WIDTHS = (16, 32, 64)
EPOCHS = 12
BATCH = 32
RATE = 0.005


def margins(gray: np.ndarray, labels: np.ndarray, seed: int = 0) -> np.ndarray:
    """(N,) of images (N, 64, 64) uint8 with labels (N,) from 0 up; negative where others were likelier on average."""
    import torch

    torch.manual_seed(seed)
    images = torch.from_numpy(gray.reshape(-1, SIDE, 2, SIDE, 2).mean(axis=(2, 4), dtype=np.float32))[:, None]
    images = (images - images.mean()) / images.std().clamp_min(1.0)
    target = torch.from_numpy(labels.astype(np.int64))
    counts = torch.bincount(target).float()
    module = network(len(counts))
    steps = EPOCHS * -(-len(target) // BATCH)
    optimizer = torch.optim.AdamW(module.parameters(), RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, steps)
    loss = torch.nn.CrossEntropyLoss(weight=(counts.mean() / counts.clamp_min(1)).clamp(max=10).sqrt())
    total, order = torch.zeros(len(target)), torch.Generator().manual_seed(seed)
    for _ in range(EPOCHS):
        for some in torch.randperm(len(target), generator=order).split(BATCH):
            if len(some) < 2:
                continue  # a norm needs two
            logits = module(images[some])
            optimizer.zero_grad()
            loss(logits, target[some]).backward()
            optimizer.step()
            schedule.step()
            total[some] += _margin(logits.detach(), target[some])
    return np.asarray((total / EPOCHS).numpy())


def network(classes: int) -> Any:
    """A plain small network of gray images: three halving stages of two convolutions each."""
    from torch import nn

    layers: list[nn.Module] = []
    before = 1
    for width in WIDTHS:
        for stride in (2, 1) if before == 1 else (1, 2):
            layers += [nn.Conv2d(before, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            before = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * before, classes))


def _margin(logits: Any, target: Any) -> Any:
    own = logits.gather(1, target[:, None])[:, 0]
    others = logits.scatter(1, target[:, None], float("-inf"))
    return own - others.amax(dim=1)
