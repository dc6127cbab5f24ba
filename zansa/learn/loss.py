"""The loss of a training, and the figures of the validation part."""

import math

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor, nn
from torch.nn import functional

from . import several
from .class_sampling import shares_shown
from .data.dataset import Dataset
from .predict import logits
from .recipe import Recipe
from .state import Event

STEEPEST = 4.6  # log of the largest factor of logits, about 100; its inverse is the smallest


class Criterion:
    """Cross entropy with smoothed labels, and a balance between the classes (see Recipe.balance). The shares that count
    are those of the samples that are shown, which the network takes on; calibration brings back the true ones."""

    def __init__(self, labels: np.ndarray, classes: int, recipe: Recipe, device: torch.device):
        shown = shares_shown(labels, classes, recipe)
        share = torch.from_numpy(shown).float().clamp_min(1e-6).to(device)
        self.shown = share
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

    def chance(self) -> float:
        """The loss of a network that has learned nothing but the shares of the classes."""
        known = torch.zeros_like(self.shift) if self.shift.any() else self.shown.log()
        every = torch.arange(len(self.shown), device=self.shown.device)
        weight = torch.ones_like(self.shown) if self.weight is None else self.weight
        losses = functional.cross_entropy(
            (known + self.shift).expand(len(every), -1), every, weight, label_smoothing=self.smoothing, reduction="none"
        )
        return ((self.shown * losses).sum() / (self.shown * weight).sum()).item()


def validate(module: nn.Module, data: Dataset, index: np.ndarray, recipe: Recipe, layout: torch.memory_format) -> Event:
    """Loss and figures of the validation part, in the precision of the training. Where the training is balanced the
    loss is too: every class counts the same, so that the best epoch is the best for what was trained. "val_tempered"
    is that loss without overconfidence, by which the best epoch is found, and "val_error" its standard error."""
    dtype = torch.bfloat16 if recipe.precision == "bfloat16" else torch.float32
    answers, labels = (
        logits(module, data, index, dtype=dtype, layout=layout),
        torch.from_numpy(data.labels[index]),
    )
    right = (answers.argmax(1) == labels).double()
    counts = torch.bincount(labels, minlength=len(data.classes))
    recalls = torch.bincount(labels, right, minlength=len(data.classes))[counts > 0] / counts[counts > 0]
    weight = None if recipe.balance == "none" else 1 / counts.clamp_min(1).float()
    least, error = tempered(answers, labels, weight)
    return {
        "val_loss": functional.cross_entropy(answers, labels, weight).item(),
        "val_tempered": least,
        "val_error": error,
        "val_accuracy": right.mean().item(),
        "val_balanced_accuracy": recalls.mean().item(),
    }


def tempered(answers: Tensor, labels: Tensor, weight: Tensor | None) -> tuple[float, float]:
    """The least loss of logits (N, K) times any one factor (Guo et al. 2017, 1706.04599), and its standard error: how
    well the classes are told apart, however sure the network is of it. Chance, the log of K, is its largest value."""
    counts = torch.ones(len(labels), dtype=torch.float64) if weight is None else weight.double()[labels]
    exact, share = answers.double(), counts / counts.sum()

    def losses(log_factor: float) -> Tensor:
        return functional.cross_entropy(exact * math.exp(log_factor), labels, reduction="none")

    found = minimize_scalar(lambda a: (share * losses(a)).sum().item(), bounds=(-STEEPEST, STEEPEST), method="bounded")
    apart = share * (losses(found.x) - found.fun)
    return float(found.fun), apart.square().sum().sqrt().item()
