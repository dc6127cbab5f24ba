"""What the measures of a stage come to: a verdict, and the reason for it as figures."""

from typing import Literal

from .measure import StageMeasures

Verdict = Literal["smooth", "paired", "commuting", "neither", "short"]
CLOSE = 0.2  # what a stage does may change by this share where neighbours are replaced
ALIKE = 0.5  # neighbours of a smooth stage add what differs by no more than this; unrelated ones differ by 1.4
BACK = 0.05  # error of the way back up to which a stage can be inverted


def verdict(stage: StageMeasures) -> Verdict:
    """The verdict on a stage.

    "smooth": its blocks are steps along one flow: neighbours can be averaged, tied, projected. "paired": only each two
    from the first on can, as after a refinement of unlike blocks. "commuting": neighbours differ, but do not listen to
    each other much, so that they can run side by side. "neither": each depends on the one before it. "short": there are
    no two blocks to compare.
    """
    apart = stage.mean("apart")
    if stage.doubled is None or stage.beside is None or apart is None:
        return "short"
    if stage.doubled <= CLOSE and apart <= ALIKE:
        return "smooth"
    if stage.doubled <= CLOSE and all(block.apart is None or block.apart <= ALIKE for block in stage.blocks[::2]):
        return "paired"
    return "commuting" if stage.beside <= CLOSE else "neither"


def invertible(stage: StageMeasures) -> bool:
    """Whether the way back through a stage is exact enough to do without stored activations."""
    return stage.inversion is not None and stage.inversion <= BACK
