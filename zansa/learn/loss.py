"""The loss of a training, and the figures of the validation part."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from . import several
from .data.dataset import Dataset
from .predict import logits
from .recipe import Recipe
from .state import Event


class Criterion:
    """Cross entropy with smoothed labels, and a balance between the classes (see Recipe.balance)."""

    def __init__(self, labels: np.ndarray, classes: int, recipe: Recipe, device: torch.device):
        share = (
            torch.from_numpy(np.bincount(labels, minlength=classes) / len(labels)).float().clamp_min(1e-6).to(device)
        )
        self.smoothing = recipe.smoothing
        self.shift = share.log() if recipe.balance == "logit" else torch.zeros_like(share)
        weight = share.rsqrt() / (share * share.rsqrt()).sum()
        self.weight = weight if recipe.balance == "weights" else None

    def share(self, labels: np.ndarray, index: np.ndarray) -> float:
        """How much the samples of this process count in the loss of a batch."""
        if self.weight is None:
            return len(several.share(index)) / len(index)
        weight = self.weight.cpu().numpy()[labels[index]]
        return float(several.share(weight).sum() / weight.sum())

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:  # N K, N -> scalar
        return functional.cross_entropy(logits + self.shift, labels, self.weight, label_smoothing=self.smoothing)


def validate(module: nn.Module, data: Dataset, index: np.ndarray, recipe: Recipe, layout: torch.memory_format) -> Event:
    """Loss and figures of the validation part, in the precision of the training. Where the training is balanced the
    loss is too: every class counts the same, so that the best epoch is the best for what was trained."""
    dtype = torch.bfloat16 if recipe.precision == "bfloat16" else torch.float32
    answers, labels = (
        logits(module, data, index, dtype=dtype, layout=layout),
        torch.from_numpy(data.labels[index]),
    )
    right = (answers.argmax(1) == labels).double()
    counts = torch.bincount(labels, minlength=len(data.classes))
    recalls = torch.bincount(labels, right, minlength=len(data.classes))[counts > 0] / counts[counts > 0]
    weight = None if recipe.balance == "none" else 1 / counts.clamp_min(1).float()
    return {
        "val_loss": functional.cross_entropy(answers, labels, weight).item(),
        "val_accuracy": right.mean().item(),
        "val_balanced_accuracy": recalls.mean().item(),
    }
