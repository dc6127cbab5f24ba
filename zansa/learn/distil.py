"""Learning from teachers: a network that answers as larger ones do (Hinton et al. 2015, 1503.02531), and its refinement
for more than two classes (Zhao et al. 2022, decoupled knowledge distillation, 2203.08679)."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

TEMPERATURE = 4.0
TRUTH = 0.1  # share of the labels' loss beside plain distillation
TARGET, OTHERS = 1.0, 2.0  # weights of the two terms of DKD, those of the paper for small residual networks


@dataclass(frozen=True, eq=False)
class Teaching:
    """What a training learns from teachers.

    teachers: networks in evaluation mode, which take what the student takes.
    unlabelled: samples without labels, normalised (N, C, *size); a batch of them is shown beside every labelled one.
    """

    teachers: Sequence[nn.Module]
    unlabelled: Tensor | None = None

    def __call__(
        self,
        student: Callable[[Tensor], Tensor],
        samples: Tensor,
        logits: Tensor,
        labels: Tensor,
        loss: Tensor,
        seed: int,
    ) -> Tensor:
        """The loss of a batch: that of the labels, and the distance to the teachers on these same augmented samples."""
        taught = self.answers(samples)
        total = mixed(logits, taught, labels, loss)
        if self.unlabelled is not None:
            chance = torch.Generator().manual_seed(seed)
            at = torch.randint(len(self.unlabelled), (len(samples),), generator=chance)
            more = self.unlabelled[at].to(samples.device)
            total = total + distance(student(more).float(), self.answers(more))
        return total

    @torch.no_grad()
    def answers(self, samples: Tensor) -> Tensor:
        """(N, K) log probabilities: of the teacher, or of the mean of the teachers' probabilities."""
        told = torch.stack([teacher(samples).float().softmax(1) for teacher in self.teachers])
        return told.mean(0).clamp_min(1e-8).log()


def teaching(teachers: Sequence[nn.Module], unlabelled: Tensor | None = None) -> Teaching:
    """Teachers as they are now: copies that learn no more."""
    return Teaching([copy.deepcopy(each).eval().requires_grad_(False) for each in teachers], unlabelled)


def mixed(logits: Tensor, taught: Tensor, labels: Tensor, loss: Tensor) -> Tensor:
    """The loss of a student with logits (N, K) whose teachers answer with logits or log probabilities (N, K). With two
    classes the second term of DKD is zero, so plain distillation is taken."""
    if logits.shape[1] == 2:
        return TRUTH * loss + (1 - TRUTH) * distance(logits, taught)
    return loss + decoupled(logits, taught, labels)


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
