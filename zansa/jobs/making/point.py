"""The end of a training, its first half: calibration and working point, both from validation parts alone."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...arch.use import Calibration, OperatingPoint
from ...learn.data.dataset import Dataset
from ...proof.calibration import FEWEST, apply, fit
from ...proof.decide import lines_of, log_odds, logits_of
from ...proof.points import Point, ScoredParts, operating_point, scored_parts
from ...proof.requirement import (
    Requirement,
    choose,
    priced,
    priced_by_rate,
    promises,
    refuse_unreachable,
    requirement_of,
)
from ..request import Pointed

NO_GOOD = (
    "a working point was asked, and no class is known as the good one; name it with --good, one of: {classes}; "
    "or leave out {options}"
)


LINE = (*Pointed.model_fields, "below_learned")  # what has an effect on the line alone


@dataclass(frozen=True)
class Chosen:
    """What was chosen on validation samples.

    calibration: from the network's logits to probabilities.
    operating: where the lines are; None where no class is the good one.
    told: what metrics.json says of the choice, None likewise.
    """

    calibration: Calibration
    operating: OperatingPoint | None
    told: dict[str, Any] | None


def requirement(request: Pointed) -> Requirement:
    """The working point that was asked for; ValueError, which says what to type, for what cannot be."""
    return requirement_of(
        request.cost,
        request.defect_rate,
        request.recall_at_least,
        request.false_alarms_at_most,
        request.on_average,
    )


def refuse_point(request: Pointed, good: str | None, data: Dataset, index: np.ndarray) -> None:
    """ValueError, before the training, where the validation samples `index` could not promise what was asked."""
    wanted = requirement(request)
    given = [name for name, value in request if name in LINE and value not in (None, False)]
    if given and good is None:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise ValueError(NO_GOOD.format(classes=", ".join(data.classes), options=options))
    if good is not None:
        defect = data.labels[index] != data.classes.index(good)
        parts = scored_parts(np.zeros(len(index)), defect, groups_of(data, index))
        if not len(parts.good):
            raise ValueError(
                "every validation part has a defective image, and a part is as bad as its worst image, so there would "
                "be no good part to draw the line by; give a split, or leave the column group out to judge each image "
                "by itself"
            )
        refuse_unreachable(wanted, len(parts.good), len(parts.faulty))


def groups_of(data: Dataset, index: np.ndarray) -> np.ndarray | None:
    """The names of the parts that these samples are of; None where none are given, and where samples are judged by
    themselves."""
    return None if data.groups is None or data.judged_apart else data.groups[index]


def chosen(
    request: Pointed,
    good: str | None,
    data: Dataset,
    index: np.ndarray,
    raw: np.ndarray,
    balance: str,
    learned: np.ndarray | None = None,
) -> tuple[Chosen, np.ndarray]:
    """Calibration and working point by validation samples `index` with the softmax answers `raw`, (n, K), of a network
    that was trained with this `balance`; and the calibrated answers. `learned`: the answers to defective training
    samples, (m, K), where the line is to go below them."""
    labels, groups = data.labels[index], groups_of(data, index)
    calibration = fit(logits_of(raw), labels, groups, balance)
    p = apply(logits_of(raw), calibration)
    if good is None:
        return Chosen(calibration, None, None), p
    wanted, parts = requirement(request), parts_of(p, labels, data.classes, good, groups)
    if learned is not None:
        parts = replace(parts, learned=log_odds(apply(logits_of(learned), calibration)[:, data.classes.index(good)]))
    point = choose(parts, wanted, calibration.fitted)
    told = point_record(parts, point, request, calibration.fitted)
    return Chosen(calibration, operating_point(point, good), told), p


def holds_the_line(request: Pointed, choice: Chosen, data: Dataset, index: np.ndarray, p: np.ndarray) -> str:
    """What to tell where one good validation sample, which the network takes for a defect, alone keeps the line so high
    that a fifth of the defective parts, and two at least, are missed: its label may be wrong. "" elsewhere.

    `p`: the answers to `index`, (n, K)."""
    if choice.operating is None:
        return ""
    good = choice.operating.good
    place, labels, groups = data.classes.index(good), data.labels[index], groups_of(data, index)
    part = np.arange(len(index)) if groups is None else groups
    sound = ~np.isin(part, part[labels != place])
    worst = int(np.where(sound, log_odds(p[:, place]), -np.inf).argmax())
    if (taken := int(p[worst].argmax())) == place:
        return ""
    rest = part != part[worst]
    others = parts_of(p[rest], labels[rest], data.classes, good, None if groups is None else groups[rest])
    try:
        line = choose(others, requirement(request), choice.calibration.fitted).reject
    except ValueError:  # without it too few parts are left to promise what was asked
        return ""
    found = int((others.faulty >= lines_of(choice.operating)[1]).sum())
    more, count = int((others.faulty >= line).sum()), len(others.faulty)
    if more - found < max(2, count / 5):
        return ""
    name, other = data.names[index[worst]], data.classes[taken]
    return (
        f"one validation sample of class {good} alone holds the line: {name}, which the network takes for {other}; "
        f"without it {more} of {count} defective validation parts would be rejected, with it {found} are; look whether "
        "its label is right"
    )


def point_record(parts: ScoredParts, point: Point, request: Pointed, calibrated: bool) -> dict[str, Any]:
    """What metrics.json says of the choice of a point, by the validation parts."""
    wanted = requirement(request)
    return {
        "basis": point.basis,
        "promises": promises(parts, wanted),
        "cost": priced(parts, point, wanted),
        "by_rate": priced_by_rate(parts, point, wanted, calibrated),
        "parts": {"good": len(parts.good), "defective": len(parts.faulty)},
    }


def parts_of(
    p: np.ndarray, labels: np.ndarray, classes: tuple[str, ...], good: str, groups: np.ndarray | None
) -> ScoredParts:
    """Parts with their scores, from (n, K) probabilities and (n,) labels."""
    place = classes.index(good)
    return scored_parts(log_odds(p[:, place]), labels != place, groups)


def rival_point(
    request: Pointed, good: str, classes: tuple[str, ...], p: np.ndarray, labels: np.ndarray, groups: np.ndarray | None
) -> OperatingPoint:
    """The point of a plain rule, chosen as that of the network; where it has none, it accepts every part."""
    parts = parts_of(p, labels, classes, good, groups)
    try:
        return operating_point(choose(parts, requirement(request)), good)
    except ValueError as error:
        line = float(parts.score.max()) + 1
        return operating_point(Point(line, line, "", f"every part is accepted: {error}"), good)


def cost_on_test(request: Pointed, operating: OperatingPoint, parts: ScoredParts) -> dict[str, Any] | None:
    """What the point costs for 1,000 production parts, by test parts; None where no costs were given."""
    ask, reject = lines_of(operating)
    return priced(parts, Point(reject, ask, operating.basis, operating.rule), requirement(request))


def not_calibrated(calibration: Calibration, noun: str) -> str:
    """What to tell where the probabilities could not be calibrated; "" where they were."""
    if calibration.fitted:
        return ""
    return (
        f"not calibrated: {calibration.count} validation parts, and {FEWEST} are needed; certainties are those of the "
        f"network, with the shares of the classes among the validation {noun}s"
    )
