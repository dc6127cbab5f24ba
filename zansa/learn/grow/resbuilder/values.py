"""The values of a search by ResBuilder: its switches, its schedule, its state."""

from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from ....events import Event
from ....nets.build import Network
from ...data.dataset import Dataset
from ...data.splits import Parts
from ...recipe import Recipe

LAMBDA_MORPH, LAMBDA_1, LAMBDA_2 = 1e-7, 1e-8, 1e-5  # group LASSO; sum of |W|; sum of W^2
KILL = 1e-3  # mean |W| of a kernel below which its block goes
GAIN = 0.015  # rise of the accuracy above which no block goes
DRAWS = 9  # of a place, until it gives a network that was not there before
FINEST = 8  # pixels: an empty network halves its maps until their shorter side has no more
EMPTY_WIDTH = 16
Place = tuple[int, int]  # stage, block


class Switches(BaseModel):
    """The faults of the published code. False reproduces one, True mends it.

    prompt_deletion: blocks are judged by the weights of the run before; by those of this run.
    any_block_deletable: only inserted blocks can go; all can.
    relative_thresholds: a weight counts as dead below one size for all widths; in proportion to fresh weights.
    exact_budget: widths are stretched by what was needed before they shrank, and half of the way; by the largest factor
    that the budget allows.
    decisions_apart: decisions read the images whose accuracy is claimed; others. No decision of ours may read the test
    part, so the validation part is cut in two (see `halves`): one half plays the role of the authors' test set, whose
    accuracy they both claim and decide by; the other half decides when this is on. Trainings are the same.
    preserving_insertion: a new block begins with Glorot's weights; as the identity, by a learned scalar if steps have
    one.
    duplicates_allowed: the search stops with an error when nine draws gave only networks that were there before; the
    ninth is taken.
    kept_weights: every cycle begins with fresh weights; with the weights that are left.
    preactivation: a branch ends in a ReLU (branch "resbuilder"); the pre-activation form (branch "preact_basic").
    annealed_sgd: Adam at a constant 1e-3; the recipe's optimiser at its constant peak rate, and its schedule at last.
    natural_augmentation: all images are mirrored; only what the recipe says.
    best_selected: the last network is the result, with its weights, whatever it costs; the best within the budget,
    trained once more by the recipe without the regularisers.

    Left to our own policy: a better place for a block, a scalar on each block in place of the LASSO on its weights,
    other groups than those of the maximum.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt_deletion: bool = False
    any_block_deletable: bool = False
    relative_thresholds: bool = False
    exact_budget: bool = False
    decisions_apart: bool = False
    preserving_insertion: bool = False
    duplicates_allowed: bool = False
    kept_weights: bool = False
    preactivation: bool = False
    annealed_sgd: bool = False
    natural_augmentation: bool = False
    best_selected: bool = False


PUBLISHED = Switches()
MENDED = Switches(**dict.fromkeys(Switches.model_fields, True))


class Length(BaseModel):
    """How long to search: cycles of 1 + `inserts` trainings ("runs") of so many epochs each."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cycles: Annotated[int, Field(ge=1)] = 7
    inserts: Annotated[int, Field(ge=0)] = 3
    epochs: Annotated[int, Field(ge=1)] = 20

    @property
    def runs(self) -> int:
        """Trainings of the whole search, without a final one."""
        return self.cycles * (1 + self.inserts)


class Rank(BaseModel):
    """The channels of an axis, the largest first, and how many of them are alive."""

    order: list[int]
    alive: int


class Mark(BaseModel):
    """What is known of a block: whether it was inserted, the size of its smallest kernel after the last run in units
    of the size below which it goes (None: it has not been through one), and the ranks of its inner axes."""

    inserted: bool = False
    size: float | None = None
    ranks: list[Rank] = []


class Best(BaseModel):
    """The best network within the budget: its description, the accuracy that decided, and how many edits led to it."""

    net: str
    accuracy: float
    edits: int


class Search(BaseModel):
    """All that is known between two runs. `run`: how many are done; `step`: of all trainings together; `work`:
    multiply-adds so far, three forward passes for a step; `unshrunk`: multiply-adds of the network of the last run;
    `accuracy`: by which it was judged; `used`: the widths of all networks so far, layer by layer; `best_weights`: of
    the best network."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    key: str
    run: int = 0
    step: int = 0
    work: int = 0
    marks: list[list[Mark]]
    streams: dict[str, Rank] = {}
    unshrunk: int = 0
    accuracy: float = 0.0
    figures: Event = {}
    used: list[list[int]] = []
    best: Best | None = None
    journal: list[Event] = []
    best_weights: dict[str, Tensor] | None = Field(default=None, exclude=True)


class Task(NamedTuple):
    """What the search is about; the module changes, the rest stays."""

    module: Network
    data: Dataset
    parts: Parts
    decide: np.ndarray  # indices of the images by which is decided
    claim: np.ndarray  # of those whose accuracy is claimed
    recipe: Recipe
    macs: int
    switches: Switches
    length: Length
    checkpoint: Path | None

    @property
    def batch(self) -> int:
        return min(self.recipe.batch, len(self.parts.train))

    def steps(self, epochs: int) -> int:
        """Steps of a training of so many epochs."""
        return len(self.parts.train) // self.batch * epochs

    @property
    def all_runs(self) -> int:
        return self.length.runs + self.switches.best_selected

    @property
    def all_steps(self) -> int:
        return self.steps(self.length.epochs) * self.length.runs + (self.all_runs > self.length.runs) * self.steps(
            self.recipe.epochs
        )
