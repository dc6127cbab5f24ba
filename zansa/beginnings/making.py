"""How the weights were learned from drawn pictures, and how they are made again.

A network names the ground of each picture, all motifs on it (several at once, as Anderson and Farrell 2022, 2110.03091,
do it with fractals), their kinds and their looks. Pictures are drawn while it learns: each step replaces the oldest
ones on a shelf, from which the batches are taken, so that each is seen some times and the set never ends. Every random
number follows from the seed and the step.
"""

import json
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import accumulate, pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors.torch import save as to_bytes
from torch import Tensor
from torch.nn import functional

from ..arch.spec import Net
from ..learn.data.augment import Augment, augment
from ..learn.defaults import image_net
from ..learn.recipe import Recipe
from ..learn.speed import autocast, choose_device, memory_format
from ..learn.state import State
from ..nets.build import Contrast, Network, build
from ..record import write_atomic
from . import looks
from .draw import GROUND_PROGRAMS, KEPT_BACK, MOTIF_PROGRAMS, Drawn, digest, draw, motif_program
from .motifs import MOTIFS

MEAN, DEVIATION = 127.0, 62.0  # of drawn pictures, in levels
HEADER = "zansa_beginning"
KINDS, LOOKS = list(MOTIFS), list(looks.LOOKS)
COUNTS = (GROUND_PROGRAMS, MOTIF_PROGRAMS + 1, len(KINDS) + 1, len(LOOKS) + 1)  # the last of each but grounds: none
STARTS = tuple(accumulate(COUNTS, initial=0))
QUESTIONS = tuple(slice(a, b) for a, b in pairwise(STARTS))  # ground, motifs, their kinds, their looks
LABELS = STARTS[-1]
WINDOW = 6  # local contrast is taken over this share of the side, as in the default network's stem
COMPARED = 0.2  # share of the pictures that are shown so
VARIED = Augment(shift=0.1, zoom=0.3, warped=0.3, contrast=0.3, brightness=0.3, noise=0.15)
EVERY, EXAMINED_EVERY = 50, 500  # steps between two lines, with a saved state, and between two examinations
WARM, FALLING = 100, 0.35  # steps until the full rate, and share of a lesson in which it falls to zero
HALF_LIFE = 40  # steps, of the running average of weights that is kept


@dataclass(frozen=True)
class Lesson:
    """One training: the default network for pictures of this side, so many steps at most of this rate. `name` is that
    of its tensors in the weights' file; of two lessons of one name the later counts. Small pictures are cheap, so that
    they come first."""

    name: str
    side: int
    steps: int
    rate: float


@dataclass(frozen=True)
class Course:
    """All trainings, one after the other; each begins with the weights of the one before.

    seed: of pictures and weights. batch: pictures a step, `fresh` of which are new on the shelf of `shelf` pictures.
    examined: so many kept-back pictures tell how much was learned.
    """

    lessons: tuple[Lesson, ...] = (
        Lesson("usual", 48, 24000, 0.1),
        Lesson("usual", 64, 8000, 0.05),
        Lesson("small", 32, 5000, 0.05),
    )
    seed: int = 0
    batch: int = 64
    fresh: int = 12
    shelf: int = 3072
    examined: int = 256
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    device: str = "cpu"


class Shelf:
    """The pictures that a training takes its batches from; number n lies at place n modulo their count. With a pool of
    processes the next ones are drawn while the network learns."""

    def __init__(self, course: Course, side: int, step: int, pool: Executor | None):
        self.course, self.side, self.pool = course, side, pool
        self.pixels = np.zeros((course.shelf, side, side, 3), np.uint8)
        self.labels = np.zeros((course.shelf, LABELS), np.float32)
        first = step * course.fresh
        self.put(first, self.drawn(first, course.shelf))
        self.coming = self.drawn(first + course.shelf, course.fresh)

    def drawn(self, first: int, count: int) -> Iterator[Drawn]:
        """So many pictures from this number on."""
        numbers, one = range(first, first + count), partial(draw, self.course.seed, side=self.side)
        return map(one, numbers) if self.pool is None else self.pool.map(one, numbers, chunksize=4)

    def put(self, first: int, pictures: Iterator[Drawn]) -> None:
        """Pictures from this number on, in the places of older ones."""
        for number, drawn in enumerate(pictures, first):
            at = number % self.course.shelf
            self.pixels[at], self.labels[at] = drawn.pixels, target(drawn, self.course.seed)

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """The pictures of a step, (N, 3, side, side) normalised, and their labels (N, LABELS)."""
        course = self.course
        chosen = np.random.default_rng([course.seed, 5, step]).choice(course.shelf, course.batch, replace=False)
        found = normalised(self.pixels[chosen]), torch.from_numpy(self.labels[chosen])
        first = course.shelf + step * course.fresh
        self.put(first, self.coming)
        self.coming = self.drawn(first + course.fresh, course.fresh)
        return found


def target(drawn: Drawn, seed: int) -> np.ndarray:
    """1 for the picture's ground; for its motifs, their kinds and their looks, or for having none, shares of 1 in all:
    (LABELS,)."""
    found = np.zeros(LABELS, np.float32)
    found[drawn.ground] = 1
    programs = [motif_program(seed, k) for k in drawn.motifs]
    answers = (drawn.motifs, [KINDS.index(p.kind) for p in programs], [LOOKS.index(p.look) for p in programs])
    for question, numbers in zip(QUESTIONS[1:], answers, strict=True):
        for number in numbers or (question.stop - question.start - 1,):
            found[question.start + number] += 1 / max(1, len(numbers))
    return found


def normalised(pixels: np.ndarray) -> Tensor:  # N H W 3 uint8 -> N 3 H W
    return (torch.from_numpy(pixels).movedim(-1, 1).float() - MEAN) / DEVIATION


def loss_of(logits: Tensor, labels: Tensor) -> Tensor:
    """The sum of the cross entropies of all questions. Kinds and looks are easy, so that motifs are learned at all."""
    losses = [functional.cross_entropy(logits[:, question], labels[:, question]) for question in QUESTIONS]
    return torch.stack(losses).sum()


def network_for(side: int) -> Net:
    """The default network for colour pictures of this side, with an answer for each ground and each motif."""
    return image_net((side, side), 3, LABELS, "symbol")


def rate_at(step: int, lesson: Lesson) -> float:
    """Up to the full rate, on it, and down to zero: a lesson of fewer steps is the same until its rate falls."""
    left = (1 - step / lesson.steps) / FALLING
    return lesson.rate * min(1.0, (step + 1) / WARM, left)


def taught(
    module: Network, course: Course, lesson: Lesson, checkpoint: Path, pool: Executor | None
) -> Iterator[dict[str, Any]]:
    """Train in place; yields a line of figures now and then. A later call goes on from the checkpoint."""
    recipe = Recipe(
        batch=course.batch,
        rate=lesson.rate,
        precision=course.precision,
        device=course.device,
        layout="channels_last",
        augment=VARIED,
        seed=course.seed,
    )
    device, layout = choose_device(recipe.device), memory_format(recipe)
    module.to(device).train()
    state = State(module, recipe)
    state.read(checkpoint)
    state.follow(layout)
    if state.step < lesson.steps:
        shelf, contrast = Shelf(course, lesson.side, state.step, pool), Contrast(lesson.side // WINDOW)
    while state.step < lesson.steps:
        chance = torch.Generator().manual_seed(recipe.seed * 1_000_003 + state.step)
        pictures, labels = shelf.batch(state.step)
        pictures = augment(pictures, recipe.augment, chance)
        compared = torch.rand(len(pictures), 1, 1, 1, generator=chance) < COMPARED
        pictures = torch.where(compared, contrast(pictures), pictures).to(device).contiguous(memory_format=layout)
        with autocast(device, recipe.precision):
            logits = module(pictures)
        loss = state.descend(loss_of(logits.float(), labels.to(device)), rate_at(state.step, lesson), 1, None)
        state.advance(loss, HALF_LIFE)
        last = state.step == lesson.steps
        if state.step % EVERY == 0 or last:
            told = {
                "lesson": lesson.name,
                "side": lesson.side,
                "step": state.step,
                "steps": lesson.steps,
                "loss": round(state.loss / state.counted, 4),
                "seconds": round(state.elapsed(), 1),
            }
            state.loss, state.counted = 0.0, 0
            state.write(checkpoint)
            yield told | (examined(state.average, course, lesson) if state.step % EXAMINED_EVERY == 0 or last else {})
    module.load_state_dict(state.average.state_dict())
    module.cpu().to(memory_format=torch.contiguous_format).eval()


@torch.inference_mode()
def examined(module: torch.nn.Module, course: Course, lesson: Lesson) -> dict[str, float]:
    """How many kept-back pictures are named rightly: their ground, and one of their motifs (or
    that there is none), its kind and its look."""
    drawn = [draw(course.seed, KEPT_BACK + k, lesson.side) for k in range(course.examined)]
    device = next(module.parameters()).device
    pictures = normalised(np.stack([d.pixels for d in drawn])).to(device)
    logits = torch.cat([module(part).float().cpu() for part in pictures.split(128)])
    right = [
        [float(labels[question][answer]) > 0 for question, answer in zip(QUESTIONS, answers, strict=True)]
        for labels, answers in zip((target(d, course.seed) for d in drawn), named(logits), strict=True)
    ]
    return dict(zip(("grounds", "motifs", "kinds", "looks"), np.mean(right, 0).round(4).tolist(), strict=True))


def named(logits: Tensor) -> list[list[int]]:
    """The most probable answer to each question, for each picture."""
    return torch.stack([logits[:, question].argmax(1) for question in QUESTIONS], 1).tolist()


def make(folder: Path, course: Course, workers: int = 0) -> Iterator[dict[str, Any]]:
    """Learn all lessons and write folder/drawn.safetensors; yields figures. An interrupted making goes on. With
    workers, so many other processes draw; the pictures are the same."""
    folder.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(workers, get_context("spawn")) if workers else nullcontext() as pool:
        yield from _made(folder, course, pool)


def _made(folder: Path, course: Course, pool: Executor | None) -> Iterator[dict[str, Any]]:
    tensors: dict[str, Tensor] = {}
    last: dict[str, Tensor] | None = None
    figures: dict[str, Any] = {}
    for lesson in course.lessons:
        module = build(network_for(lesson.side), torch.Generator().manual_seed(course.seed))
        if last is not None:
            module.load_state_dict({name: last[name] for name in module.state_dict()})
        yield from taught(module, course, lesson, folder / f"{lesson.name}{lesson.side}.pt", pool)
        figures[f"{lesson.name} {lesson.side}"] = examined(module, course, lesson)
        last = module.state_dict()
        tensors |= {f"{lesson.name}/{name}": value for name, value in kept(last).items()}
    made = {"course": asdict(course), "figures": figures, "pictures": digest(course.seed)}
    header = {HEADER: json.dumps(made)}  # one entry: the order of several would be by chance
    write_atomic(folder / "drawn.safetensors", to_bytes(tensors, header))


def kept(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """What the weights' file holds of a network: all but its classifier and its counters, in float16."""
    return {
        name: value.half().contiguous()
        for name, value in state.items()
        if value.is_floating_point() and not name.startswith("head.")
    }


def shortened(course: Course, steps: int) -> Course:
    """The same course with so many steps a lesson: a trial."""
    return replace(course, lessons=tuple(replace(lesson, steps=steps) for lesson in course.lessons))
