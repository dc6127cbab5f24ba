"""Learning from teachers: a network that answers as larger ones do (Hinton et al. 2015, 1503.02531), and its refinement
for more than two classes (Zhao et al. 2022, decoupled knowledge distillation, 2203.08679)."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from .data.augment import augment
from .recipe import Augment

TEMPERATURE = 4.0
TRUTH = 0.1  # share of the labels' loss beside plain distillation
CALIBRATED = 1.0  # temperature for answers that are as sure as they are right (docs/decisions/0023)
SHOWN = 4  # samples without labels beside each labelled one, where a teacher has spoken of them beforehand
AS_THEY_ARE = Augment()
TARGET, OTHERS = 1.0, 2.0  # weights of the two terms of DKD, those of the paper for small residual networks

Student = Callable[[Tensor], Tensor]


class Batch(NamedTuple):
    """The labelled samples of a step, and what the student makes of them.

    samples: augmented, (N, C, *size).
    logits: of the student, (N, K).
    labels: (N,).
    loss: that of the labels.
    seed: of the step.
    rows: (N,) which samples of the data set they are.
    """

    samples: Tensor
    logits: Tensor
    labels: Tensor
    loss: Tensor
    seed: int
    rows: np.ndarray


@dataclass(frozen=True, eq=False)
class Teaching:
    """What a training learns from teachers.

    teachers: networks in evaluation mode, which take what the student takes.
    unlabelled: samples without labels, normalised (N, C, *size); a batch of them is shown beside every labelled one.
    """

    teachers: Sequence[nn.Module]
    unlabelled: Tensor | None = None

    def __call__(self, student: Student, batch: Batch) -> Tensor:
        """The loss of a batch: that of the labels, and the distance to the teachers on these same augmented samples."""
        samples = batch.samples
        total = student_loss(batch.logits, self.answers(samples), batch.labels, batch.loss)
        if self.unlabelled is not None:
            more = self.unlabelled[drawn_rows(self.unlabelled, len(samples), batch.seed)].to(samples.device)
            total = total + distance(student(more), self.answers(more))
        return total

    @torch.no_grad()
    def answers(self, samples: Tensor) -> Tensor:
        """(N, K) log probabilities: of the teacher, or of the mean of the teachers' probabilities."""
        told = torch.stack([teacher(samples).float().softmax(1) for teacher in self.teachers])
        return told.mean(0).clamp_min(1e-8).log()


@dataclass(frozen=True, eq=False)
class Lessons:
    """What a teacher has said once of every sample as it is; the student learns that however the sample is changed.

    So a teacher may be large and look at larger images: it is asked once a sample and not once a step.

    told: (samples of the data set, K) log probabilities; those of samples that do not train are never read.
    unlabelled: samples without labels, normalised (N, C, *size); SHOWN of them beside every labelled one.
    more: (N, K) log probabilities of these.
    augment: how these are changed.
    """

    told: Tensor
    unlabelled: Tensor | None = None
    more: Tensor | None = None
    augment: Augment = AS_THEY_ARE

    def __call__(self, student: Student, batch: Batch) -> Tensor:
        """The loss of a batch: that of the labels, and the distance to what the teacher has said of these samples."""
        device = batch.logits.device
        told = self.told[torch.from_numpy(batch.rows)].to(device)
        total = student_loss(batch.logits, told, batch.labels, batch.loss, CALIBRATED)
        if self.unlabelled is not None and self.more is not None:
            at = drawn_rows(self.unlabelled, SHOWN * len(batch.samples), batch.seed)
            generator = torch.Generator().manual_seed(batch.seed)
            changed = augment(self.unlabelled[at].to(batch.samples.device), self.augment, generator)
            total = total + distance(student(changed), self.more[at].to(device), CALIBRATED)
        return total


def drawn_rows(samples: Tensor, count: int, seed: int) -> Tensor:
    """Which samples a step looks at: so many, drawn with replacement."""
    return torch.randint(len(samples), (count,), generator=torch.Generator().manual_seed(seed))


def teaching(teachers: Sequence[nn.Module], unlabelled: Tensor | None = None) -> Teaching:
    """Teachers as they are now: copies that learn no more."""
    return Teaching([copy.deepcopy(each).eval().requires_grad_(False) for each in teachers], unlabelled)


def student_loss(
    logits: Tensor, taught: Tensor, labels: Tensor, loss: Tensor, temperature: float = TEMPERATURE
) -> Tensor:
    """The loss of a student with logits (N, K) whose teachers answer with logits or log probabilities (N, K). With two
    classes the second term of DKD is zero, so plain distillation is taken."""
    if logits.shape[1] == 2:
        return TRUTH * loss + (1 - TRUTH) * distance(logits, taught, temperature)
    return loss + decoupled(logits, taught, labels, temperature)


def distance(logits: Tensor, taught: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """The divergence of the student from its teacher at a temperature, times its square, so that gradients keep their
    size whatever the temperature."""
    ours, theirs = (functional.log_softmax(each / temperature, 1) for each in (logits, taught))
    return functional.kl_div(ours, theirs, reduction="batchmean", log_target=True) * temperature**2


def decoupled(logits: Tensor, taught: Tensor, labels: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """DKD: the divergence of "this class or another", and that among the other classes, weighed apart."""
    here = functional.one_hot(labels, logits.shape[1]).bool()
    ours, theirs = (functional.softmax(each / temperature, 1) for each in (logits, taught))
    two = [torch.stack([p[here], 1 - p[here]], 1).clamp_min(1e-8).log() for p in (ours, theirs)]
    rest = [functional.log_softmax((each / temperature).masked_fill(here, -1e4), 1) for each in (logits, taught)]
    pair = functional.kl_div(two[0], two[1], reduction="batchmean", log_target=True)
    others = functional.kl_div(rest[0], rest[1], reduction="batchmean", log_target=True)
    return (TARGET * pair + OTHERS * others) * temperature**2
