"""Images that are odd by themselves: unreadable, cut short, tiny, dark, blank, blurred, of another size or kind."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from .findings import Finding, single
from .inventory import Inventory, rows_by

TINY = 16  # pixels of the shorter side
DARK, BRIGHT = 0.12, 0.96  # shares of the range: all but 1 % of the points are below, or above
BLANK = 1.5 / 255  # standard deviation of levels
FEW = 0.05  # the share of images up to which a size is odd; more are the way of these data
ASPECT = 2.0  # times the usual proportions
AREA = 4.0  # times the usual side
OUTLIER = 5.0  # robust standard deviations
SHARE = 4.0  # and times less grain than usual
CUT_SHORT = ("truncated", "broken data stream", "premature end", "unexpected end")
FEW_KINDS = (("channels", "odd_channels"), ("depth", "odd_depth"))


def odd(inventory: Inventory) -> list[Finding]:
    """Findings on single images; rows are those of the inventory."""
    rows = inventory.readable
    seen = inventory.only(rows)
    found = [*_unread(inventory), *_lost(inventory)]
    if len(rows):
        for kind, severity, hit, facts in (*_levels(seen), _blurred(seen), *_shapes(seen)):
            if len(hit):
                found.append(Finding(kind, severity, single(rows[hit]), facts))
    return found


def _unread(inventory: Inventory) -> list[Finding]:
    reasons = {i: look.problem for i, look in enumerate(inventory.looks) if look.problem}
    cut = [i for i, reason in reasons.items() if any(word in reason.lower() for word in CUT_SHORT)]
    sorts = (("truncated", cut), ("unreadable", [i for i in reasons if i not in set(cut)]))
    return [
        Finding(kind, "error", single(rows), {"first": reasons[rows[0]].removeprefix("cannot read ")})
        for kind, rows in sorts
        if rows
    ]


def _lost(inventory: Inventory) -> list[Finding]:
    by_loss = rows_by([look.lost for look in inventory.looks])
    return [Finding("lost", "note", single(rows), {"what": what}) for what, rows in by_loss.items() if what]


Odd = tuple[str, str, np.ndarray, dict]


def _levels(seen: Inventory) -> Sequence[Odd]:
    low, high, spread = seen.column("low"), seen.column("high"), seen.column("spread")
    blank = spread < BLANK
    return (
        ("tiny", "warning", np.flatnonzero(seen.column("size").min(axis=1) < TINY), {"side": TINY}),
        ("blank", "warning", _rare(blank, 0.5), {}),
        ("dark", "warning", _rare(~blank & (high < DARK)), {"level": round(DARK * 255)}),
        ("bright", "warning", _rare(~blank & (low > BRIGHT)), {"level": round(BRIGHT * 255)}),
    )


def _rare(hit: np.ndarray, most: float = 0.2) -> np.ndarray:
    """What many images are is their way and no oddity."""
    return np.flatnonzero(hit) if hit.mean() < most else np.zeros(0, int)


def _blurred(seen: Inventory) -> Odd:
    """Far less grain than usual for its contrast: log ratios, by median and quartiles."""
    spread = np.maximum(seen.column("spread"), BLANK)
    values = np.log(np.maximum(seen.column("grain"), 1e-4) / spread)
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
    sd = max((high - low) / 1.349, 0.05)
    hit = (values < middle - OUTLIER * sd) & (values < middle - np.log(SHARE)) & (seen.column("spread") > BLANK)
    return "blurred", "warning", np.flatnonzero(hit), {"times": SHARE}


def _shapes(seen: Inventory) -> list[Odd]:
    sizes = seen.column("size").astype(float)
    aspect = np.log(sizes[:, 1] / sizes[:, 0])
    side = np.log(sizes.prod(axis=1)) / 2
    far = (abs(aspect - np.median(aspect)) > np.log(ASPECT)) | (abs(side - np.median(side)) > np.log(AREA))
    usual = "×".join(f"{int(v)}" for v in np.median(sizes, axis=0))
    found: list[Odd] = [("odd_size", "warning", _rare(far, FEW), {"usual": usual})]
    for column, kind in FEW_KINDS:
        values = seen.column(column)
        counts = Counter(values.tolist())
        usual_value = counts.most_common(1)[0][0]
        hit = np.flatnonzero(values != usual_value)
        facts = {"usual": usual_value, "others": ", ".join(f"{v}: {n}" for v, n in sorted(counts.items()))}
        found.append((kind, "warning", hit, facts))
    return found
