"""What to expect of a model before its acceptance test, from validation parts."""

import numpy as np

from .exact import needed
from .points import ScoredParts, by_claim
from .sizes import Claim, expected_mistakes


def crossed(parts: ScoredParts, claim: Claim, defects: int, good: int, seed: int = 0) -> dict[str, tuple[int, int]]:
    """(mistakes, parts) of each number of the claim, with lines that were chosen on other parts than they are judged
    on: each half of the validation parts judges the line of the other half.

    `defects` and `good` are the parts of the acceptance test. {} where a half lacks defective or good parts.
    """
    half = np.zeros(len(parts.score), dtype=bool)
    for kind in (parts.defect, ~parts.defect):
        order = np.random.default_rng(seed).permutation(np.flatnonzero(kind))
        half[order[: len(order) // 2]] = True
    test = {"recall": defects, "false_alarms": good}
    least = {name: max(test[name], int(needed(share, claim.confidence))) for name, share in claim.mistakes.items()}
    found = dict.fromkeys(claim.mistakes, (0, 0))
    for chosen, judged in ((half, ~half), (~half, half)):
        if not all(parts.defect[side].any() and not parts.defect[side].all() for side in (chosen, judged)):
            return {}
        point, _ = by_claim(
            ScoredParts(parts.score[chosen], parts.defect[chosen]),
            claim,
            least.get("recall", 0),
            least.get("false_alarms", 0),
        )
        score, defect = parts.score[judged], parts.defect[judged]
        for name, wrong, among in (
            ("recall", score < point.reject, defect),
            ("false_alarms", score >= point.reject, ~defect),
        ):
            if name in found:
                mistakes, count = found[name]
                found[name] = (mistakes + int((wrong & among).sum()), count + int(among.sum()))
    return found


def planned(counts: dict[str, tuple[int, int]]) -> dict[str, float]:
    """The share of mistakes to plan with for each number: one standard error above what was seen."""
    return {name: expected_mistakes(mistakes, count) for name, (mistakes, count) in counts.items() if count}


def balanced_error(parts: ScoredParts) -> float:
    """The mean of the shares of defective parts that are missed and of good parts that are rejected, where a part is
    rejected when it is more likely defective than not. NaN without parts of one kind."""
    wrong = (parts.score >= 0) != parts.defect
    return float(np.mean([wrong[parts.defect].mean(), wrong[~parts.defect].mean()]))
