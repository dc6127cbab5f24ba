"""Is the watch calm while nothing changes, and awake when something does? Simulated years, changes, audits, rivals.

    python watch.py OUT

Prints tables and writes OUT/watch.json. NumPy alone, about five minutes on one core; river (dev) brings the rivals.
"""

import json
import sys
from pathlib import Path

import numpy as np
from river.drift import ADWIN, PageHinkley
from scipy.ndimage import gaussian_filter

from zansa.deploy.serve.features import image_features
from zansa.learn.data.synthetic import surfaces
from zansa.proof.audit import chances, total
from zansa.proof.challenge import challenge
from zansa.proof.drift import chart, evidence, limit, paths, window

CALM, STATISTICS = 40, 12
PLANTS = {100: (50, 300), 1_000: (50, 100), 10_000: (200, 40)}  # parts a day: parts of a lot, simulated years
LEVEL = 1 / (365 * STATISTICS)


def lot_means(rng, charts, lots, size, icc):
    """Means of lots, of parts with variance 1; half of the charts are skewed (exponential lots and parts)."""
    shape = (charts, lots)
    plain = rng.normal(size=shape) * (icc + (1 - icc) / size) ** 0.5
    skewed = icc**0.5 * rng.exponential(size=shape) + (1 - icc) ** 0.5 * rng.gamma(size, 1 / size, shape)
    return np.where(np.arange(charts)[:, None] % 2, skewed, plain)


def false_alarms(parts, icc, rng):
    """Warnings a year of STATISTICS charts while nothing changes, and the share of years with any."""
    size, years = PLANTS[parts]
    lots = 365 * parts // size
    threshold, alarmed = limit(STATISTICS, lots), []
    for _ in range(years):
        values = lot_means(rng, STATISTICS, CALM + lots, size, icc)
        bets = np.stack([evidence(row[:CALM], row[CALM:]).astype(np.float32) for row in values])
        alarmed.append((paths(bets).max(1) >= threshold).sum())
    return {
        "parts": parts,
        "icc": icc,
        "years": years,
        "a_year": np.mean(alarmed),
        "any": np.mean(np.array(alarmed) > 0),
    }


def stream(rng, lots, size, icc):
    """Parts of lots, (lots, size), with variance 1."""
    return icc**0.5 * rng.normal(size=(lots, 1)) + (1 - icc) ** 0.5 * rng.normal(size=(lots, size))


def windows(icc, rng, count=400):
    """Share of windows of 10 lots that alarm falsely at 1 %: by parts as if independent, and by what lots are worth."""
    found = {"as independent": 0, "by lots": 0}
    for _ in range(count):
        old, new = stream(rng, CALM, 50, icc), stream(rng, 10, 50, icc)
        own = [np.repeat(np.arange(len(each)), each.shape[1]) for each in (old, new)]
        singles = [np.arange(each.size) for each in (old, new)]
        found["as independent"] += window(old.ravel(), singles[0], new.ravel(), singles[1], 0.01).alarm
        found["by lots"] += window(old.ravel(), own[0], new.ravel(), own[1], 0.01).alarm
    return {"icc": icc} | {name: hits / count for name, hits in found.items()}


CHANGES = {
    "none": lambda x, rng, k: x,
    "shift 0.25": lambda x, rng, k: x + 0.25,
    "shift 0.5": lambda x, rng, k: x + 0.5,
    "shift 1": lambda x, rng, k: x + 1,
    "shift 2": lambda x, rng, k: x + 2,
    "spread doubled": lambda x, rng, k: 2 * x,
    "20 % of parts + 3": lambda x, rng, k: x + 3 * (rng.random(x.shape) < 0.2),
    "ramp, 1 in 50 lots": lambda x, rng, k: x + np.minimum(1, k / 50),
}


def delays(name, rng, repeats=20, before=40, after=400, size=50, icc=0.05):
    """Parts until a change of one statistic is told (median), at 1,000 parts a day in lots of 50; None: not within
    20,000 parts. Alarms before the change are counted apart."""
    found = {key: [] for key in ("e-detector", "KS by lots", "KS on parts", "ADWIN", "Page-Hinkley")}
    early = dict.fromkeys(found, 0)
    for _ in range(repeats):
        reference, calm = stream(rng, CALM, size, icc), stream(rng, before, size, icc)
        late = CHANGES[name](stream(rng, after, size, icc), rng, np.arange(after)[:, None])
        new = np.concatenate([calm, late])
        alarms = {
            "e-detector": charted(reference, new),
            "KS by lots": windowed(reference, new, by_lot=True),
            "KS on parts": windowed(reference, new, by_lot=False),
            "ADWIN": rivalled(ADWIN(), reference, new),
            "Page-Hinkley": rivalled(PageHinkley(), reference, new),
        }
        for key, at in alarms.items():
            early[key] += at is not None and at < before * size
            found[key].append(np.inf if at is None else at - before * size if at >= before * size else np.nan)
    middle = {key: np.nanmedian(each) if not np.isnan(each).all() else np.nan for key, each in found.items()}
    return {"change": name, "early": early} | {k: None if not np.isfinite(m) else int(m) for k, m in middle.items()}


def charted(reference, new):
    """The first alarm of the charts of a lot's mean and of its spread."""
    kinds = [chart(made(reference, 1), made(new, 1), limit(STATISTICS, 365 * 20)).at for made in (np.mean, np.std)]
    told = [at for at in kinds if at is not None]
    return (min(told) + 1) * new.shape[1] if told else None


def windowed(reference, new, by_lot, count=10):
    old_lots = np.repeat(np.arange(len(reference)), reference.shape[1])
    for last in range(count, len(new) + 1, count):
        part = new[last - count : last]
        lots = np.repeat(np.arange(count), part.shape[1])
        pair = (old_lots, lots) if by_lot else (np.arange(reference.size), np.arange(part.size))
        if window(reference.ravel(), pair[0], part.ravel(), pair[1], LEVEL).alarm:
            return last * new.shape[1]
    return None


def rivalled(detector, reference, new):
    for value in reference.ravel():
        detector.update(float(value))
    for place, value in enumerate(new.ravel(), 1):
        detector.update(float(value))
        if detector.drift_detected:
            return place
    return None


def dirty(x, rng):
    made = x.copy()
    made[4:14, 6:18] = np.minimum(255, made[4:14, 6:18] * 0.6)
    return made


PICTURES = {
    "none": lambda x, rng: x,
    "light -5 %": lambda x, rng: x * 0.95,
    "light -15 %": lambda x, rng: x * 0.85,
    "defocus 0.8": lambda x, rng: gaussian_filter(x, 0.8),
    "noise +4 levels": lambda x, rng: x + rng.normal(0, 4, x.shape),
    "light ramp 15 %": lambda x, rng: x * np.linspace(1, 0.85, len(x))[:, None],
    "dirt on the lens": dirty,
    "shift 4 px": lambda x, rng: np.roll(x, 4, 1),
}


def picture_delays(rng, each=25, after=120):
    """Lots of 25 pictures until a change of the picture is told, which chart tells it first; None: not in 120 lots."""
    images = surfaces(600, seed=3).images[..., 0].astype(float)
    names = list(image_features(images[0][..., None].astype(np.uint8)))
    threshold = limit(len(names), 365 * 20)

    def lot(change):
        light = 1 + 0.01 * rng.normal()  # lots differ a little in their light
        few = [change(images[k] * light, rng).clip(0, 255).astype(np.uint8) for k in rng.integers(0, len(images), each)]
        return np.mean([list(image_features(one[..., None]).values()) for one in few], axis=0)

    reference = np.stack([lot(PICTURES["none"]) for _ in range(CALM)])
    rows = []
    for name, change in PICTURES.items():
        new = np.stack([lot(change) for _ in range(after if name in ("none", "shift 4 px") else 60)])
        found = {s: chart(reference[:, k], new[:, k], threshold).at for k, s in enumerate(names)}
        told = {s: at + 1 for s, at in found.items() if at is not None}
        first = min(told, key=lambda s: told[s]) if told else None
        rows.append({"change": name, "lots": told.get(first), "first": first})
    return rows


def coverage(kind, rng, draws=2000, parts=20_000, looks=300):
    """Share of audits whose 95 % interval holds the true number of misses, and the bias in standard errors."""
    p = rng.beta(0.05, 5, parts)
    truth = rng.random(parts) < p
    score = {"right": p, "distorted": np.sqrt(p), "flat": np.full(parts, 0.01), "new kinds": p}[kind]
    if kind == "new kinds":
        truth |= rng.random(parts) < 0.001
        score = np.where(truth & (rng.random(parts) < 0.5), 1e-6, p)
    share = chances(score, looks)
    held, values = 0, []
    for _ in range(draws):
        looked = np.flatnonzero(rng.random(parts) < share)
        told = total(truth[looked], share[looked], float(share.min()))
        held += told["low"] <= truth.sum() <= told["high"]
        values.append(told["value"])
    error = np.std(values) / draws**0.5
    return {
        "scores": kind,
        "misses": int(truth.sum()),
        "coverage": held / draws,
        "bias": (np.mean(values) - truth.sum()) / error,
    }


def promoted(worse, rng, trials=200, defects=600, good=600, lot=10, icc=0.05):
    """Share of trials in which a challenger is promoted that misses `worse` more of the defects; 2 % of decisions
    differ by chance, and defects of a lot are alike."""
    hits = 0
    for _ in range(trials):
        lots = np.arange(defects + good) // lot
        defect = np.arange(defects + good) < defects
        hard = rng.beta(0.95 * (1 / icc - 1), 0.05 * (1 / icc - 1), lots.max() + 1)[lots]  # chance to be right in a lot
        old = rng.random(len(lots)) < np.where(defect, hard, 0.98)
        lost = np.where(defect, 0.01 + worse, 0.01)
        new = np.where(
            old, rng.random(len(lots)) >= lost / hard.mean(), rng.random(len(lots)) < 0.01 / (1 - hard.mean())
        )
        hits += challenge(old, new, defect, lots, 0.02)["passed"]
    return {"worse": worse, "trials": trials, "promoted": hits / trials}


def main():
    """All tables, each with its own seed."""
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng
    tables = {
        "promoted": lambda: [promoted(worse, rng(4)) for worse in (0.02, 0.0, -0.01)],
        "coverage": lambda: [coverage(kind, rng(3)) for kind in ("right", "distorted", "flat", "new kinds")],
        "windows": lambda: [windows(icc, rng(1)) for icc in (0, 0.05, 0.2)],
        "pictures": lambda: picture_delays(rng(5)),
        "delays": lambda: [delays(name, rng(2)) for name in CHANGES],
        "false alarms": lambda: [false_alarms(parts, icc, rng(0)) for parts in PLANTS for icc in (0, 0.05, 0.2)],
    }
    found = {}
    for name, make in tables.items():
        found[name] = make()
        print(f"\n{name}", *found[name], sep="\n", flush=True)
        (out / "watch.json").write_text(json.dumps(found, indent=1, default=float))


if __name__ == "__main__":
    main()
