"""Planted faults: how many `zansa check` finds, and how many clean images it accuses.

    python benchmarks/check.py [--sets tiles boards cifar plain smooth weaves] [--only clean copies flips ...]

Each line of the output is one JSON object. The packs are looked for as in packs.py. The plain and the smooth
surface are drawn: a lighting gradient with noise of 6 and of 0.3 levels.
"""

import argparse
import csv
import io
import json
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
from packs import CIFAR, PCB, _arrays, _tile_files, _unpacked, cifar10, shared_data
from PIL import Image

from zansa.inputs.images import digest
from zansa.learn.audit import Audit, Inventory, audit
from zansa.learn.audit.look import look_at_array
from zansa.learn.audit.names import groups_by
from zansa.learn.audit.near import CHANGES, changed
from zansa.learn.data.dataset import number
from zansa.learn.data.synthetic import surfaces

EACH = 10  # images of each change
ACCUSING = {
    "copies",
    "near",
    "suspects",
    "dark",
    "bright",
    "blank",
    "blurred",
    "tiny",
    "odd",
    "unreadable",
    "truncated",
}
Shot = tuple[str, np.ndarray, str, str]  # name, levels (H, W, C), label, group


def tiles(shared: Path) -> list[Shot]:
    files = _tile_files(shared)
    rows = csv.DictReader(io.StringIO(files["index.csv"].decode()))
    return [(row["file"], _gray(files[row["file"]]), row["class"], row["group"]) for row in rows]


def boards(shared: Path) -> list[Shot]:
    pack = _arrays(shared / "deeppcb" / "deeppcb_patches.tar.xz")
    rows = np.arange(0, len(pack["cls"]), 12)
    images, labels = _unpacked(pack["test_bits"][rows]), [PCB[k] for k in pack["cls"][rows].tolist()]
    sources = pack["image"][rows].tolist()
    names = [f"{label}/{source}_{i:05d}.png" for i, (label, source) in enumerate(zip(labels, sources, strict=True))]
    return [
        (n, image[..., None], label, str(s)) for n, image, label, s in zip(names, images, labels, sources, strict=True)
    ]


def cifar(shared: Path) -> list[Shot]:
    images, labels, _ = cifar10(shared)
    return [(f"{i:05d}.png", images[i], CIFAR[labels[i]], str(i)) for i in range(50_000, 60_000, 10)]


def plain(shared: Path, noise: float = 6.0) -> list[Shot]:
    rng, gradient = np.random.default_rng(0), np.linspace(-20, 20, 64)
    found = []
    for i in range(700):
        levels = 120 + rng.normal(0, 4) + gradient * rng.normal(1, 0.1) + rng.normal(0, noise, (64, 64))
        found.append((f"{i:05d}.png", np.clip(levels, 0, 255).astype(np.uint8)[..., None], f"lot {i % 2}", str(i)))
    return found


def smooth(shared: Path) -> list[Shot]:
    return plain(shared, 0.3)


def weaves(shared: Path) -> list[Shot]:
    """The built-in surfaces; of three pictures of a part, each under another light, the first alone."""
    drawn = surfaces(3000, seed=0)
    rows = range(0, 3000, 3)
    return [(f"{i:05d}.png", drawn.images[i], drawn.classes[drawn.labels[i]], str(i)) for i in rows]


SETS = {"tiles": tiles, "boards": boards, "cifar": cifar, "plain": plain, "smooth": smooth, "weaves": weaves}


def _gray(webp: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(webp)).convert("L"))[..., None]


def inventory(shots: list[Shot], grouped: bool = True) -> Inventory:
    """The inventory of shots in memory."""
    names, images, words, groups = zip(*shots, strict=True)
    labels, classes = number(words)
    looks = tuple(look_at_array(levels, digest(levels)) for levels in images)
    return Inventory(names, labels, classes, looks, np.array(groups) if grouped else None)


def accused(found: Audit) -> set[int]:
    """Rows of images that some finding accuses by themselves; of suspects the first of each item."""
    rows: set[int] = set()
    for each in found.findings:
        if each.severity != "note" and each.kind.split("_")[0] in ACCUSING:
            rows |= (
                {item[0] for item in each.items}
                if each.kind == "suspects"
                else {i for item in each.items for i in item}
            )
    return rows


def kinds(found: Audit) -> list[str]:
    return [each.kind for each in found.findings]


def clean(shots: list[Shot], name: str) -> dict:
    known = inventory(shots)
    begun = time.process_time()
    found = audit(known)
    seconds = time.process_time() - begun
    by_kind = {each.kind: each.count for each in found.findings if each.severity != "note"}
    told = {"images": len(known), "accused": len(accused(found)), "kinds": by_kind}
    told["expected"] = max((round(each.facts.get("expected", 0.0), 1) for each in found.findings), default=0.0)
    return {**told, "alike": "alike" in kinds(found), "cpu_s": round(seconds, 1)}


def copies(shots: list[Shot], name: str) -> dict:
    """Ten exact copies and ten of each change, each with a group of its own."""
    rng, planted, sources = np.random.default_rng(1), list(shots), []
    for kind in ("equal", *CHANGES):
        for k, i in enumerate(rng.permutation(len(shots))[:EACH]):
            _, levels, label, _ = shots[i]
            levels = levels if kind == "equal" else _changed(levels, kind, (-1.0) ** k)
            sources.append((kind, int(i), len(planted)))
            planted.append((f"planted/{kind}_{k}.png", levels, label, f"{kind} {k}"))
    found = audit(inventory(planted), check_labels=False)
    sets = [set(item) for each in found.findings if each.kind.startswith(("near_", "copies_")) for item in each.items]
    hit = dict.fromkeys(("equal", *CHANGES), 0)
    for kind, i, j in sources:
        hit[kind] += any({i, j} <= each for each in sets)
    told = {"exact": hit["equal"] / EACH, "near": sum(hit[kind] for kind in CHANGES) / (EACH * len(CHANGES))}
    return {**told, "by_change": hit, "alike": "alike" in kinds(found)}


def _changed(levels: np.ndarray, kind: str, away: float) -> np.ndarray:
    planes = [changed(np.ascontiguousarray(levels[..., c]), kind, away) for c in range(levels.shape[2])]
    return np.stack(planes, axis=-1)


def flips(shots: list[Shot], name: str) -> dict:
    """5 % of the labels changed to another class."""
    rng, classes = np.random.default_rng(2), sorted({shot[2] for shot in shots})
    rows = set(rng.permutation(len(shots))[: round(0.05 * len(shots))].tolist())
    mixed = [
        (shot[0], shot[1], str(rng.choice([c for c in classes if c != shot[2]])), shot[3]) if i in rows else shot
        for i, shot in enumerate(shots)
    ]
    found = audit(inventory(mixed))
    told = [each for each in found.findings if each.kind == "suspects"]
    if not told:
        return {"told": "unchecked" if "unchecked" in kinds(found) else "none"}
    suspects = {item[0] for item in told[0].items}
    first = {item[0] for item in told[0].items[:20]}
    right = len(suspects & rows)
    rates = {"precision": round(right / len(suspects), 3), "recall": round(right / len(rows), 3)}
    return {"told": told[0].facts["how"], "accused": len(suspects), **rates, "of_first_20": len(first & rows)}


def group(shots: list[Shot], name: str) -> dict:
    """Six shots of each of 150 parts, groups left out; tiles are so by themselves. Beside it what is said of the set as
    it is, its groups left out too: none of cifar, plain, smooth and weaves, and the same board twice on boards."""
    before = audit(inventory(shots, grouped=False), check_labels=False) if name != "tiles" else None
    if name != "tiles":
        rng, many = np.random.default_rng(3), []
        for part, i in enumerate(rng.permutation(len(shots))[:150]):
            for shot in range(6):
                levels = shots[i][1] * rng.uniform(0.85, 1.15) + rng.normal(0, 3, shots[i][1].shape)
                levels = np.roll(np.clip(levels, 0, 255).astype(np.uint8), rng.integers(-1, 2, 2), (0, 1))
                many.append((f"{shots[i][2]}/{10 * part + shot:05d}.png", levels, shots[i][2], ""))
        shots = many
    found = audit(inventory(shots, grouped=False), check_labels=False)
    leak = [each for each in found.findings if each.kind.startswith("leak")]
    told = {} if before is None else {"clean": [each for each in kinds(before) if each.startswith("leak")]}
    return {"found": bool(leak), **({"kind": leak[0].kind, **leak[0].facts} if leak else {}), **told}


def border(shots: list[Shot], name: str) -> dict:
    """A bright border of six pixels (of 330) on half of one class."""
    rng, label = np.random.default_rng(4), shots[len(shots) // 2][2]
    marked = []
    for one in shots:
        levels = one[1].copy()
        if one[2] == label and rng.random() < 0.5:
            edge = max(1, round(6 / 330 * max(levels.shape)))
            for part in (levels[:edge], levels[-edge:], levels[:, :edge], levels[:, -edge:]):
                part[:] = np.minimum(part.astype(int) + 60, 255)
        marked.append((one[0], levels, *one[2:]))

    def told(some: list[Shot]) -> list[str]:
        return [
            each.facts["property"]
            for each in audit(inventory(some), check_labels=False).findings
            if each.kind == "shortcut"
        ]

    named = told(marked)
    return {"found": any(each.startswith(("border", "corner")) for each in named), "named": named, "clean": told(shots)}


def twins(shots: list[Shot], name: str) -> dict:
    """The twelve pairs of tiles that were photographed again under other numbers, groups left out: found as near
    copies, or in one group of the rule that is offered."""
    if name != "tiles":
        return {}
    shots = sorted(shots, key=lambda shot: _number(shot[0]))
    old = [0]
    for one, other in pairwise(shots):
        new = _light(other[0]) <= _light(one[0]) and _number(other[0]) - _number(one[0]) > 60
        old.append(old[-1] + new)
    now: dict[str, set[int]] = {}
    for shot, number_ in zip(shots, old, strict=True):
        now.setdefault(shot[3], set()).add(number_)
    joins = [(a, b) for each in now.values() for a in each for b in each if a < b]
    found = audit(inventory(shots, grouped=False), check_labels=False)
    sets = [{old[i] for i in item} for each in found.findings if each.kind.startswith("near_") for item in each.items]
    wrong = [sorted(each) for each in sets if len(each) > 1 and not any(each <= known for known in now.values())]
    leak = [each.facts for each in found.findings if each.kind == "leak"]
    of_rule = groups_by(leak[0]["rule"], found.inventory) if leak else np.arange(len(shots))
    held = [{old[i] for i in np.flatnonzero(of_rule == group)} for group in np.unique(of_rule)]
    hits, by_rule = (sum(any({a, b} <= each for each in known) for a, b in joins) for known in (sets, [*sets, *held]))
    return {"pairs": len(joins), "near": hits, "with_rule": by_rule, "wrong_sets": wrong, "leak": leak}


def _light(name: str) -> int:
    return int(name.split("exp")[1].split("_")[0])


def _number(name: str) -> int:
    return int(name.split("num_")[1].split(".")[0])


FAULTS = {each.__name__: each for each in (clean, copies, flips, group, border, twins)}


def results(sets: list[str], faults: list[str], shared: Path) -> Iterator[dict]:
    for name in sets:
        shots = SETS[name](shared)
        for fault in faults:
            if told := FAULTS[fault](shots, name):
                yield {"set": name, "fault": fault, **told}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--only", nargs="+", choices=list(FAULTS), default=list(FAULTS))
    parser.add_argument("--shared", type=Path)
    given = parser.parse_args()
    for told in results(given.sets, given.only, shared_data(given.shared)):
        print(json.dumps(told, ensure_ascii=False, default=str), flush=True)


if __name__ == "__main__":
    main()
