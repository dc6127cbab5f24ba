"""Is the watch calm while nothing changes, and awake when something does? Simulated years, changes, audits, rivals.

    python watch.py OUT [--only pictures delays ...]

Prints tables and writes OUT/watch.json. About ten minutes on one core, of which training a network of surfaces takes
two; river (dev) brings the rivals. `month.py` is the whole way with real processes.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from river.drift import ADWIN, PageHinkley
from scipy.ndimage import gaussian_filter

from zansa.deploy.runtime import predictor
from zansa.deploy.serve.features import answer_features, image_features
from zansa.deploy.watch.components import NAMES, components
from zansa.deploy.watch.pictures import differences
from zansa.learn.data.synthetic import parts, surfaces
from zansa.proof.audit import chances, total
from zansa.proof.challenge import challenge
from zansa.proof.decide import log_odds
from zansa.proof.drift import chart, evidence, limit, paths, window

CALM, STATISTICS = 40, 26
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
    "defocus 0.5": lambda x, rng: gaussian_filter(x, 0.5),
    "defocus 0.8": lambda x, rng: gaussian_filter(x, 0.8),
    "noise + 4 levels": lambda x, rng: x + rng.normal(0, 4, x.shape),
    "light ramp 15 %": lambda x, rng: x * np.linspace(1, 0.85, len(x))[:, None],
    "dirt on the lens": dirty,
    "shift of 4 px": lambda x, rng: np.roll(x, 4, 1),
    "woven texture alone": None,
    "cast texture alone": None,
    "share of defects 30 to 60 %": None,
}
EACH, BEFORE, AFTER = 25, 20, 48  # pictures of a lot; calm and changed lots after the calm time
RIVALS = {"ADWIN": ADWIN, "Page-Hinkley": PageHinkley}


def pools():
    """Pictures of the usual mixture and of the kinds that some changes bring: (N, 64, 64)."""
    made = {"usual": surfaces((CALM + BEFORE + AFTER) * EACH, seed=3)}
    made["share of defects 30 to 60 %"] = surfaces(AFTER * EACH, seed=4, good=0.4)
    usual = parts.TEXTURES
    for name, texture in (("woven", parts._woven), ("cast", parts._cast)):
        parts.TEXTURES = (texture,)
        made[f"{name} texture alone"] = surfaces(AFTER * EACH, seed=5)
    parts.TEXTURES = usual
    return {name: each.images[..., 0].astype(float) for name, each in made.items()}


def stream_of(network, pool, name, rng):
    """What `zansa watch` knows of each part of a stream with a change: names, (lots, EACH, S) values, and (lots,) how
    far the median picture is from that of the calm time."""
    lots = CALM + BEFORE + AFTER
    order = rng.permutation(len(pool["usual"])).reshape(lots, EACH)
    usual = pool["usual"][order[-AFTER:]]
    late = rng.permutation(pool[name]).reshape(usual.shape) if name in pool else usual
    light = 1 + 0.01 * rng.normal(size=(lots, 1, 1, 1))  # lots differ a little in their light
    shots = np.concatenate([pool["usual"][order[:-AFTER]], late]) * light
    if change := PICTURES[name]:
        shots[-AFTER:] = [[change(one, rng) for one in lot] for lot in shots[-AFTER:]]
    levels = shots.clip(0, 255).astype(np.uint8).reshape(-1, 64, 64, 1)
    p, reads = network.answers(levels)
    score = 1 - p[:, network.classes.index(network.operating.good)]
    rows = [answer_features(a) | image_features(b) for a, b in zip(p, levels, strict=True)]
    found = {"score": log_odds(1 - score), "rejected": score >= network.operating.threshold}
    found |= {key: np.array([row[key] for row in rows]) for key in rows[0]}
    found |= dict(zip(NAMES, components(reads, np.arange(CALM * EACH).reshape(CALM, EACH)).T, strict=True))
    medians = np.median(levels[..., 0].reshape(lots, EACH, 32, 2, 32, 2).mean((3, 5))[:, :9] / 255, axis=1)
    values = np.stack([*found.values()], axis=1).astype(float).reshape(lots, EACH, -1)
    return list(found), values, differences(medians, CALM)


def first_told(names, values, place):
    """The lot after the change at which each way first warns, with the statistic; and how often it had warned before
    the change. A way that warned before goes on."""
    means, scores = values.mean(1), values[:, :, 0].std(1)
    columns = dict(zip([*names, "spread", "place"], [*means.T, scores, place], strict=True))
    threshold = limit(len(columns), 365 * 20)
    told = {"charts": [(chart(x[:CALM], x[CALM:], threshold).at, s) for s, x in columns.items()]}
    for way in ("KS by lots", "KS on parts"):
        by_lot = way == "KS by lots"
        told[way] = [(at, s) for k, s in enumerate(names) for at in ks_alarms(values[:, :, k], by_lot, len(names))]
    for way, rival in RIVALS.items():
        told[way] = [(at, s) for k, s in enumerate(names) for at in rival_alarms(rival(), values[:, :, k])]
    found = {}
    for way, alarms in told.items():
        at = sorted((lot, s) for lot, s in alarms if lot is not None and lot >= BEFORE)
        early = sum(lot is not None and lot < BEFORE for lot, _ in alarms)
        found[way] = (at[0][0] - BEFORE + 1 if at else np.inf, at[0][1] if at else "", early)
    return found


def ks_alarms(values, by_lot, statistics):
    """The lots after the calm time at which windows of ten lots alarm, every five lots."""
    own = [np.repeat(np.arange(n), EACH) if by_lot else np.arange(n * EACH) for n in (CALM, 10)]
    ends = range(CALM + 10, len(values) + 1, 5)
    old, level = values[:CALM].ravel(), 1 / (365 * statistics)
    return [end - CALM - 1 for end in ends if window(old, own[0], values[end - 10 : end].ravel(), own[1], level).alarm]


def rival_alarms(detector, values):
    """The lots after the calm time in which a rival alarms; it gets parts in deviations of the calm time."""
    old, found = values[:CALM], []
    for lot, row in enumerate((values - old.mean()) / (old.std() + 1e-12)):
        for value in row:
            detector.update(float(value))
            if detector.drift_detected and lot >= CALM:
                found.append(lot - CALM)
    return found


def picture_delays(file, repeats=3):
    """Parts until eleven changes are told, by each way on all statistics of a trained network together (median of the
    streams), what told it first, and warnings before anything changed; None: not within AFTER lots."""
    network, pool, rows = predictor(file, threads=1, reads=True), pools(), []
    for name in PICTURES:
        found = [first_told(*stream_of(network, pool, name, np.random.default_rng([5, k]))) for k in range(repeats)]
        row = {"change": name}
        for way in found[0]:
            lots = float(np.median([each[way][0] for each in found]))
            early = sum(each[way][2] > 0 for each in found)
            told = None if lots == np.inf else int(lots * EACH)
            row[way] = {"parts": told, "first": [each[way][1] for each in found], "early": early}
        rows.append(row)
        print(row, flush=True)
    return rows


def trained(out):
    """The exported file of a network of the built-in surfaces."""
    if not (out / "runs" / "surfaces" / "model.onnx").is_file():
        words = ["train", "synthetic", "--out", out / "runs", "--name", "surfaces"]
        subprocess.run([sys.executable, "-m", "zansa", *map(str, words)], check=True)
    return out / "runs" / "surfaces" / "model.onnx"


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
    """All tables, or those that are named, each with its own seed."""
    rng = np.random.default_rng
    tables = {
        "promoted": lambda: [promoted(worse, rng(4)) for worse in (0.02, 0.0, -0.01)],
        "coverage": lambda: [coverage(kind, rng(3)) for kind in ("right", "distorted", "flat", "new kinds")],
        "windows": lambda: [windows(icc, rng(1)) for icc in (0, 0.05, 0.2)],
        "pictures": lambda: picture_delays(trained(given.out)),
        "delays": lambda: [delays(name, rng(2)) for name in CHANGES],
        "false alarms": lambda: [false_alarms(parts, icc, rng(0)) for parts in PLANTS for icc in (0, 0.05, 0.2)],
    }
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("out", type=Path)
    asked.add_argument("--only", nargs="*", choices=tables, default=list(tables))
    given = asked.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    found = {}
    for name in given.only:
        found[name] = tables[name]()
        print(f"\n{name}", *found[name], sep="\n", flush=True)
        (given.out / "watch.json").write_text(json.dumps(found, indent=1, default=float))


if __name__ == "__main__":
    main()
