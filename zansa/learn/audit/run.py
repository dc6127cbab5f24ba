"""All checks of an inventory, in the order in which one needs the other."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from .balance import balance
from .copies import copies, one_of_each, sorted_out
from .findings import SEVERITIES, Finding
from .groups import ALARM, APART, SIBLINGS, WINDOW, Grouping, Order, best_rule, joined_by, lookup, order_of, queried
from .inventory import Inventory
from .labels import labels
from .names import groups_by
from .near import CAP, Near, compare, compare_again, sets_of
from .neighbours import Kin, hashes, nearest, thumbs
from .odd import odd
from .plain import plain
from .shortcuts import shortcuts

Say = Callable[[str], None]
FEWEST = 20  # images that are compared at all
MANY = (
    0.01  # share of images: where chance gives more near copies than this, and half of those found, nobody is accused
)
AGAIN = 20_000  # images up to which all are compared again when a rule explains siblings
NEAR_SEVERITY = {"near_parts": "error", "near_labels": "warning", "near_same": "warning"}
NO_PAIRS = np.zeros((0, 2), np.int64)


@dataclass(frozen=True, eq=False)
class Audit:
    """What was found in an inventory.

    inventory: what was looked at.
    findings: the gravest first.
    groups: (N,) str, which images show one part: as given or asked for, joined by proven near copies and by exact ones;
    None where nothing tells.
    """

    inventory: Inventory
    findings: tuple[Finding, ...]
    groups: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Related:
    """Which images of those that were compared (n) belong together, and how that is known.

    count: n.
    near: what laying images on each other has shown.
    order: what the order of names says of likeness.
    known: (n,) groups as given or asked for; None without.
    offered: a rule of names that would group them.
    proven: (P, 2) pairs that agree more than wrong ones do; empty where the images are too alike to judge.
    fall: how much of the look-up's accuracy comes from siblings.
    statistics: those of an image by which order and rule were found; empty where thumbnails show them.
    chance: chance alone gives so many near copies that none is taken for proven.
    """

    count: int
    near: Near
    order: Order
    known: np.ndarray | None
    offered: Grouping | None
    proven: np.ndarray
    fall: float
    statistics: tuple[str, ...] = ()
    chance: bool = False

    @property
    def groups(self) -> np.ndarray:
        """(n,) the best that is known of groups, joined by proven pairs."""
        named = self.known if self.offered is None else self.offered.groups
        return joined_by(np.arange(self.count) if named is None else named, self.proven)


def audit(
    inventory: Inventory,
    rule: str | None = None,
    seed: int = 0,
    say: Say = lambda stage: None,
    check_labels: bool = True,
) -> Audit:
    """Look for everything that can be wrong with labelled images.

    `rule` groups the images by their names, as a finding of an earlier audit offered it; "alike" groups them by proven
    near copies alone. `say` hears what begins. Without `check_labels` no network learns, which takes the longest.
    ValueError for a rule that is none.
    """
    found = [*odd(inventory), *copies(inventory), *balance(inventory)]
    rows = one_of_each(inventory)
    known = _known(inventory, rule)
    groups = known
    if len(rows) >= FEWEST:
        seen = inventory.only(rows)
        say("comparing images")
        grey = seen.column("grey")
        features = thumbs(grey)
        related = relate(seen, grey, features, None if known is None else known[rows], seed)
        if by_chance(related, seen):
            related = replace(related, proven=NO_PAIRS, chance=True)
        more = [*_near_findings(related, seen), *_leaks(related, seen, rule)]
        say("looking for shortcuts")
        more += shortcuts(seen, related.groups, seed)
        if check_labels:
            say("looking at labels")
            more += labels(seen, features, related.fall > SIBLINGS, seed)
        found += [_of(finding, rows) for finding in more]
        groups = _spread(inventory, rows, known, related)
    found.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    return Audit(inventory, tuple(found), None if groups is None else _called(inventory, groups))


def relate(seen: Inventory, grey: np.ndarray, features: np.ndarray, known: np.ndarray | None, seed: int) -> Related:
    """Compare images (n, 64, 64) with thumbnails (n, 256) with each other, and look for what groups them."""
    both, rows = (features, hashes(grey)), queried(len(seen), seed)
    first = nearest(features, 1, None, rows)[0][:, 0]
    order, places = order_of(seen, rows, first, seed)
    if known is not None:
        near = compare(grey, both, Kin(known), NO_PAIRS, seed)
        random, held_out = lookup(features, seen.labels, known, rows)
        return Related(len(seen), near, order, known, None, _proven(near), random - held_out)
    siblings = np.column_stack([rows, first])
    beside = Kin(places, APART) if order.alarm else None
    near = compare(grey, both, beside, siblings, seed)
    if near.lines[1] >= CAP and not order.alarm and len(seen.classes) > 1:
        # most images have a twin, and no order of names tells which: images of other classes are surely none
        classes = Kin(seen.labels)
        many = len(rows) < len(seen)
        near = compare_again(grey, both, near, classes, seed) if many else compare(grey, both, classes, siblings, seed)
    proven = _proven(near)
    offered = best_rule(seen, features, rows, proven, _beside(order, places, proven))
    if offered is None and not order.alarm:
        found = _by_statistics(seen, grey, rows, seed)
        if found is not None:
            return Related(len(seen), near, found[0], None, found[1], proven, 0.0, found[2])
    if offered is not None and len(seen) <= AGAIN:
        # siblings are explained now: those that were photographed again are found
        near = compare(grey, both, Kin(offered.groups), siblings, seed, beside)
        proven = _proven(near)
    return Related(len(seen), near, order, None, offered, proven, 0.0 if offered is None else offered.fall)


def _by_statistics(
    seen: Inventory, grey: np.ndarray, rows: np.ndarray, seed: int
) -> tuple[Order, Grouping | None, tuple[str, ...]] | None:
    """The order of names, the rule and the statistics that show siblings where thumbnails do not; None without."""
    known = plain(seen, grey)
    if known is None:
        return None
    features, statistics = known
    first = nearest(features, 1, None, rows)[0][:, 0]
    order, places = order_of(seen, rows, first, seed)
    if not order.alarm:
        return None
    pairs = np.column_stack([rows, first])[abs(places[rows] - places[first]) <= WINDOW]
    chance = order.shuffled / order.share
    return order, best_rule(seen, features, rows, pairs, np.ones(len(pairs), bool), chance), statistics


def _beside(order: Order, places: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """(P,) bool: pairs that lie beside each other in the order of names; all where siblings do not."""
    return (abs(places[pairs[:, 0]] - places[pairs[:, 1]]) <= APART) | (not order.alarm)


def _proven(near: Near) -> np.ndarray:
    return near.pairs[near.proven] if near.judged else NO_PAIRS


def _known(inventory: Inventory, rule: str | None) -> np.ndarray | None:
    """(N,) int64 groups as they were asked for, else as they are given."""
    if rule is not None and rule != "alike":
        return groups_by(rule, inventory)
    return None if inventory.groups is None else np.unique(inventory.groups, return_inverse=True)[1]


# --- findings ---------------------------------------------------------------------------------------------------------


def _near_findings(related: Related, seen: Inventory) -> list[Finding]:
    """Near copies that no known or offered group explains, and how well they would be found."""
    near = related.near
    reach = {"found": near.found, "planted": near.planted, "proved": len(near.pairs), "line": near.lines[1]}
    if not near.judged:
        return [Finding("alike", "note", (), reach, 0)]
    facts = {"line": near.lines[1], "expected": near.wrong * len(seen)}
    if related.chance:
        return [Finding("near_chance", "note", (), facts, 0)]
    items = sets_of(len(seen), _unexplained(related))
    found = [
        Finding(each.kind, NEAR_SEVERITY[each.kind], each.items, {**each.facts, **facts})
        for each in sorted_out("near", items, seen)
        if each.kind != "near_same" or not _unnamed(related, seen)
    ]
    return [*found, Finding("near_reach", "note", (), reach, 0)]


def _unexplained(related: Related) -> np.ndarray:
    """(P, 2) proven pairs that lie in no known or offered group."""
    known = related.known if related.offered is None else related.offered.groups
    pairs = related.proven
    return pairs if known is None or not len(pairs) else pairs[known[pairs[:, 0]] != known[pairs[:, 1]]]


def by_chance(related: Related, seen: Inventory) -> bool:
    """Whether chance alone gives at least half of the near copies that no group explains."""
    expected = related.near.wrong * len(seen)
    return related.near.wrong > MANY and expected > len(np.unique(_unexplained(related))) / 2


def _unnamed(related: Related, seen: Inventory) -> bool:
    """Whether many images have siblings, and neither groups nor names tell which."""
    many = len(np.unique(related.proven)) > ALARM * len(seen)
    return related.known is None and related.offered is None and (many or related.order.alarm)


def _leaks(related: Related, seen: Inventory, rule: str | None) -> list[Finding]:
    if related.known is not None or rule == "alike":
        return []
    order = {"field": related.order.field, "share": _percent(related.order.share)}
    order["shuffled"] = _percent(related.order.shuffled)
    order["statistics"] = list(related.statistics)
    best = related.offered
    if best is not None:
        facts = {"rule": best.rule, "groups": len(np.unique(best.groups)), "inside": _percent(best.inside)}
        facts |= {"random": _percent(best.random), "held_out": _percent(best.held_out), "order": order}
        return [Finding("leak", "warning", _examples(best.groups), facts, len(seen))]
    if related.chance and _unnamed(related, seen):
        return [Finding("leak_order", "warning", (), {"order": order}, 0)]
    if _unnamed(related, seen):
        siblings = np.unique(related.proven)
        facts = {"siblings": _percent(len(siblings) / len(seen)), "order": order}
        items = tuple(tuple(map(int, pair)) for pair in related.proven[:3])
        return [Finding("leak_unnamed", "warning", items, facts, len(siblings))]
    return [Finding("no_leak", "note", (), {"share": order["share"]}, 0)]


def _examples(groups: np.ndarray) -> tuple[tuple[int, ...], ...]:
    """Three groups of ordinary size, as pictures."""
    names, counts = np.unique(groups, return_counts=True)
    several = names[counts > 1]
    chosen = several[np.linspace(0, len(several) - 1, min(3, len(several))).astype(int)]
    return tuple(tuple(np.flatnonzero(groups == name)[:6].tolist()) for name in chosen)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _of(finding: Finding, rows: np.ndarray) -> Finding:
    """The finding on chosen rows, as one on the whole inventory."""
    return replace(finding, items=tuple(tuple(int(rows[i]) for i in item) for item in finding.items))


# --- groups of all images ---------------------------------------------------------------------------------------------


def _spread(inventory: Inventory, rows: np.ndarray, known: np.ndarray | None, related: Related) -> np.ndarray | None:
    """(N,) groups of all images: the known ones joined by proven pairs; exact copies go with the one that was seen."""
    if known is None and not len(related.proven):
        return None
    base = np.arange(len(inventory)) if known is None else known.astype(np.int64)
    groups = joined_by(base, rows[related.proven])
    first: dict[str, int] = {inventory.looks[i].of_pixels: int(groups[i]) for i in rows.tolist()}
    return np.array(
        [first.get(look.of_pixels, group) for look, group in zip(inventory.looks, groups.tolist(), strict=True)]
    )


def _called(inventory: Inventory, groups: np.ndarray) -> np.ndarray:
    """Groups by name: as given where they are, else by the first image of each."""
    if inventory.groups is not None:
        first = {group: inventory.groups[i] for i, group in reversed(list(enumerate(groups.tolist())))}
    else:
        first = {group: inventory.names[i] for i, group in reversed(list(enumerate(groups.tolist())))}
    return np.array([first[group] for group in groups.tolist()])
