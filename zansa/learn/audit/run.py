"""All checks of an inventory, in the order in which one needs the other."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .balance import balance
from .copies import copies
from .findings import SEVERITIES, Finding
from .inventory import Inventory
from .odd import odd

Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Audit:
    """What was found in an inventory.

    findings: the gravest first.
    groups: (N,) str, which images show one part as far as is known: as given or asked for, joined by proven near
    copies; None where nothing is known.
    """

    inventory: Inventory
    findings: tuple[Finding, ...]
    groups: np.ndarray | None = None


def audit(inventory: Inventory, rule: str | None = None, seed: int = 0, say: Say = lambda stage: None) -> Audit:
    """Look for everything that can be wrong with labelled images.

    `rule` groups the images by their names, as a finding of an earlier audit offered it. `say` hears what begins.
    """
    found = [*odd(inventory), *copies(inventory), *balance(inventory)]
    found.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    return Audit(inventory, tuple(found), inventory.groups)
