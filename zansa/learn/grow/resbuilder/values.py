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
DRAWS = 9  # how often an index is drawn, until it gives a network that was not there before
FINEST = 8  # pixels: an empty network halves its maps until their shorter side has no more
EMPTY_WIDTH = 16
Place = tuple[int, int]  # stage, block


class Switches(BaseModel):
    """The faults of the published code. False reproduces one, True mends it. Each line says first what False does, then
    what True does.

    prompt_deletion: blocks are judged by the weights of the run before; by those of this run.
    any_block_deletable: only inserted blocks can go; all can.
    relative_thresholds: a weight counts as dead below one size for all widths; below a size in proportion to fresh
        weights.
    exact_budget: widths are stretched by what was needed before they shrank, and half of the way; by the largest factor
        that the budget allows.
    decisions_apart: the samples whose accuracy is claimed decide; other samples do. No decision of ours may read the
        test part, so the validation part is cut in two (see `halves`): one half plays the role of the authors' test
        set, whose accuracy they both claim and decide by; the other half decides when this is on. Trainings are the
        same.
    preserving_insertion: a new block begins with Glorot's weights; it begins as the identity, by a learned scalar if
        steps have one.
    duplicates_allowed: the search stops with an error when nine draws gave only networks that were there before; the
        ninth is taken.
    kept_weights: every cycle begins with fresh weights; it begins with the weights that are left.
    preactivation: a branch ends in a ReLU (branch "resbuilder"); it has the pre-activation form (branch
        "preact_basic").
    annealed_sgd: Adam runs at a constant 1e-3; the recipe's optimiser runs at its constant peak rate, and with its
        schedule in the final training.
    natural_augmentation: all images are mirrored; only what the recipe says is done.
    best_selected: the last network is the result, with its weights, whatever it costs; the best within the budget is,
        trained once more by the recipe without the regularisers.

    Our own policy does more: it chooses better where a block comes, has a scalar on each block in place of the LASSO on
    its weights, and other groups than those of the maximum.
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
    """How long to search.

    cycles: of an insertion of blocks and their pruning.
    inserts: a cycle has 1 + `inserts` trainings ("runs").
    epochs: of each training.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cycles: Annotated[int, Field(ge=1)] = 7
    inserts: Annotated[int, Field(ge=0)] = 3
    epochs: Annotated[int, Field(ge=1)] = 20

    @property
    def runs(self) -> int:
        """How many trainings the whole search has, without a final one."""
        return self.cycles * (1 + self.inserts)


class Rank(BaseModel):
    """The channels of an axis by their worth.

    order: the channels, the largest first.
    alive: how many of them are alive.
    """

    order: list[int]
    alive: int


class Mark(BaseModel):
    """What is known of a block.

    inserted: whether the search has inserted it.
    size: the size of its smallest kernel after the last run, in units of the size below which it goes; None before its
        first run.
    ranks: the ranks of its inner axes.
    """

    inserted: bool = False
    size: float | None = None
    ranks: list[Rank] = []


class Best(BaseModel):
    """The best network within the budget.

    net: its description.
    accuracy: the accuracy that decided.
    edits: how many edits led to it.
    """

    net: str
    accuracy: float
    edits: int


class Search(BaseModel):
    """All that is known between two runs.

    key: the settings of the search; a search with others cannot go on from here.
    run: how many runs are done.
    step: steps of all trainings together.
    work: multiply-adds so far, three forward passes for a step.
    marks: what is known of each block, stage by stage.
    streams: the ranks of the streams' axes, by their names.
    unshrunk: multiply-adds of the network of the last run.
    accuracy: the accuracy by which that network was judged.
    figures: its figures on the validation part.
    used: the widths of all networks so far, layer by layer.
    best: the best network within the budget; None where there was none.
    journal: all edits so far.
    best_weights: the weights of the best network.
    """

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
    """What the search is about. The module changes, the rest stays.

    module: the network.
    data, parts: the samples; parts.test is empty.
    decide: indices of the samples that decide.
    claim: indices of the samples whose accuracy is claimed.
    recipe: batch, device and seed, and how the final network is trained.
    macs: the budget in multiply-adds.
    switches: which faults are mended.
    length: how long to search.
    checkpoint: the file in which the search is kept; None: it is not kept.
    """

    module: Network
    data: Dataset
    parts: Parts
    decide: np.ndarray
    claim: np.ndarray
    recipe: Recipe
    macs: int
    switches: Switches
    length: Length
    checkpoint: Path | None

    @property
    def batch(self) -> int:
        """Samples of a step."""
        return min(self.recipe.batch, len(self.parts.train))

    def steps(self, epochs: int) -> int:
        """How many steps a training of so many epochs has."""
        return len(self.parts.train) // self.batch * epochs

    @property
    def all_runs(self) -> int:
        """Trainings of the search, with the final one where there is one."""
        return self.length.runs + self.switches.best_selected

    @property
    def all_steps(self) -> int:
        """Steps of all these trainings."""
        return self.steps(self.length.epochs) * self.length.runs + (self.all_runs > self.length.runs) * self.steps(
            self.recipe.epochs
        )
