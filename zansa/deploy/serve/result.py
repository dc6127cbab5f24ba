"""What the line is told of a part."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Result:
    """What the line is told of a part.

    number: of the part, as the line announced it; 0: no part yet.
    ready: the server takes parts.
    busy: the part waits for its answer.
    valid: the decision is that of this part.
    decision: accept, reject, or another word of the model, such as ask.
    reason: why a part is rejected that the network did not reject.
    told: class, score, model and what else is known of the answer.
    """

    number: int
    ready: bool = True
    busy: bool = False
    valid: bool = False
    decision: str = ""
    reason: str = ""
    told: Mapping[str, Any] = field(default_factory=dict)

    @property
    def bits(self) -> list[bool]:
        """ready, busy, valid, accept, reject, other."""
        accept, reject = self.decision == "accept", self.decision == "reject"
        other = self.valid and not accept and not reject
        return [self.ready, self.busy, self.valid, self.valid and accept, self.valid and reject, other]
