"""What the network is and where it comes from: network, cost, data, export, environment, decisions.

A function raises LookupError when the record lacks what it needs; the page then leaves its section out and says why.
"""

from collections.abc import Iterable
from typing import Any

from ..phrases import phrase, retold, say
from ..words import IMAGE, amount, count, counted, file_size, flat, milliseconds, number, percent, shape, threshold_text
from . import drawing
from .facts import MANY_CLASSES, Facts, both, have, need
from .page import Content, plain

UNITS = {"signal": phrase("numbers"), "sequence": phrase("letters"), "image": phrase("pixels (height × width)")}
BEGINNINGS = {"none": phrase("fresh weights"), "drawn": phrase("drawn pictures")}
EDITS, MANY_ROWS = 40, 200  # changes of the structure and classes that are listed


def network(facts: Facts) -> Content:
    """The network as staves and as a table, and the edits of its structure."""
    edits = [_edit(edit) for edit in facts["edits"]]
    more = max(0, len(edits) - EDITS)
    return drawing.network(need(facts, "spec")) | {"edits": edits[:EDITS], "more_edits": more}


def _edit(edit: Content) -> Content:
    rest = {key: _shortened(value) for key, value in edit.items() if key != "kind"}
    return {"kind": number(edit.get("kind", "edit")), "text": number(rest)}


def _shortened(value: Any) -> Any:
    return f"of {len(value)} values" if isinstance(value, list) and len(value) > 8 else value


def cost(facts: Facts) -> Content:
    """What the network costs: work, parameters, memory, and measured times with their terms."""
    price = need(facts, "metrics", "cost")
    memory, batch = price.get("activation_bytes") or {}, price.get("batch") or 1
    kept, alive = (file_size(memory[use]) if memory.get(use) else "–" for use in ("train", "infer"))
    rows = [
        (say("multiply-adds per {image}"), amount(price["macs"])),
        (say("parameters"), amount(price["params"])),
        (say("layers on the longest path"), number(price.get("depth"))),
        (say("activations while training, batch {batch}", batch=batch), kept),
        (say("activations in use, batch {batch}", batch=batch), alive),
    ]
    return {"rows": rows, "latency": [_latency_row(row) for row in have(facts, "metrics", "latency") or []]}


def _latency_row(row: Content) -> Content:
    terms = {key: number(row.get(key)) for key in ("what", "device", "threads", "precision", "batch", "repeats")}
    size = row.get("size")
    return terms | {
        "size": shape(size) if size else "–",
        "ms": milliseconds(row["ms"]),
        "rate": count(1000 / row["ms"]),
    }


def data(facts: Facts) -> Content:
    """Where the images come from, and how many of each class are in each part."""
    told = need(facts, "data")
    counts = {split: told["counts"].get(split) or {} for split in ("train", "val", "test")}
    names = told.get("classes") or sorted({name for each in counts.values() for name in each})
    rows = [_count_row(name, counts) for name in names]
    totals = {split: sum(row[split] for row in rows) for split in (*counts, "total")}
    return {
        "rows": rows[:MANY_ROWS],
        "left_out": counted(len(rows) - MANY_ROWS, "class", "classes") if len(rows) > MANY_ROWS else "",
        "most": max((row["total"] for row in rows), default=0) or 1,
        "totals": totals,
        "many": len(rows) > MANY_CLASSES,
        "facts": list(_data_facts(told)),
        "origin": origin(facts),
        "synthetic": bool(told.get("synthetic")),
    }


def _count_row(name: str, counts: dict[str, dict[str, int]]) -> Content:
    row = {split: each.get(name, 0) for split, each in counts.items()}
    return {"name": name, **row, "total": sum(row.values())}


def _data_facts(told: Content) -> Iterable[tuple[str, str]]:
    yield say("source"), number(told.get("source"))
    if told.get("size"):
        size, channels = shape(told["size"]), counted(told.get("channels", 1), "channel")
        unit = say(UNITS.get(told.get("noun", ""), "pixels (height × width)"))
        yield say("brought to"), f"{size} {unit}, {channels}"
        if letters := (told.get("preprocess") or {}).get("alphabet"):
            yield say("letters"), " ".join(letters)
    yield say("kind"), say(number(told.get("kind")))
    yield say("split"), say(number(told.get("split")))
    yield say("groups"), count(told["groups"]) if told.get("groups") else say("none given")
    for each in told.get("race") or []:
        text = "{right} of {count} held-out {image}s, {macs} multiply-adds, {ms}"
        figures = {"right": percent(each["right"]), "count": count(each["count"])}
        figures |= {"macs": amount(each["macs"]), "ms": milliseconds(each["ms"])}
        what = say(BEGINNINGS.get(each["name"], each["name"]))
        yield say("frozen, with a linear head: {what}", what=what), say(text, **figures)
    yield say("identical {image}s across parts"), count(len(told.get("leaks") or []))
    yield say("remarks from reading"), count(len(told.get("problems") or []))


def origin(facts: Facts) -> list[tuple[str, str]]:
    """Where the weights come from, because buyers ask: a row for each thing that is known. [] where a record is older
    than that."""
    told = need(facts, "data")
    rows = [*_began(told, ())]
    seed = have(facts, "recipe", "seed")
    if not rows and "begin" in told and seed is not None:
        rows = [(say("weights began as"), say("fresh weights, drawn by seed {seed}", seed=seed))]
    if teacher := told.get("teacher"):
        rows.append((say("learned from the answers of"), f"{teacher['file']}, SHA-256 {teacher['sha256'][:12]}…"))
        if teacher.get("told"):
            rows.append((say("origin of the teacher"), retold(teacher["told"])))
    return rows


def _began(told: Content, before: tuple[str, ...]) -> Iterable[tuple[str, str]]:
    """What weights began as, and what these began as in their turn; `before` are the SHA-256 of those on the way."""
    name = say("these began as") if before else say("weights began as")
    if begin := told.get("begin"):
        text = "learned from {what}, SHA-256 {sha}…"
        yield name, say(text, what=say(begin["from"]), sha=begin["sha256"][:12])
        if "seed" in begin:
            text = (
                "no photograph, pictures by formulas: python -m zansa.beginnings make makes the weights again (seed "
                "{seed}, {steps} steps, SHA-256 of the pictures {sha}…); licence Apache-2.0"
            )
            figures = {"seed": begin["seed"], "steps": count(begin["steps"]), "sha": begin["pictures"][:12]}
            yield say("origin of the weights"), say(text, **figures)
    weights = told.get("weights")
    if weights and weights["sha256"] not in before:
        yield name, f"{weights['file']}, SHA-256 {weights['sha256'][:12]}…"
        if weights.get("told"):
            yield say("origin of the weights"), retold(weights["told"])
        yield from _began(weights.get("began") or {}, (*before, weights["sha256"]))


def export(facts: Facts) -> Content:
    """Whether the exported file answers as the trained network does."""
    told = need(facts, "metrics", "export")
    same = told["same_class"] == told["images"]
    in_int8 = (
        "The exported file is in int8; its decisions have passed the gate. Figures, lines and pictures of this page "
        "are of this file; below it is compared with the file in float32."
    )
    before = "The exported file is in int8; its decisions have passed the gate. The figures here are of the network."
    line = told.get("line")
    known = "The exported file gives the same answers as the trained network."
    other = "The exported file does not give the same answers as the trained network."
    return plain(
        say(in_int8 if told.get("figures_of") else before) if told.get("int8") else say(known if same else other),
        [
            (say("file"), f"{told['file']}, {file_size(told['bytes'])}"),
            (say("compared on"), counted(told["images"], IMAGE)),
            (say("largest difference of a probability"), f"{told['largest_difference']:.2g}"),
            (
                say("same class"),
                say("{count} of {all}", count=count(told["same_class"]), all=count(told["images"])),
            ),
            *([(say("line drawn anew"), f"{line['after']:.4f} ← {line['before']:.4f}")] if line else []),
        ],
    )


def environment(facts: Facts) -> Content:
    """The machine and the software with which the run was made."""
    return plain(pairs=flat(need(facts, "environment")))


def decided(facts: Facts) -> Content:
    """What was chosen on which images, and the figures on validation beside those on test."""
    validation, test = need(facts, "metrics", "validation"), have(facts, "metrics", "test")
    inspection = validation.get("inspection") or {}
    best = have(facts, "metrics", "training", "best_epoch")
    chosen = [say("the weights (epoch {epoch})", epoch=best)] if best is not None else []
    chosen += [say("the scale of the probabilities")] if have(facts, "metrics", "calibration") else []
    chosen += [say("the threshold {threshold}", threshold=threshold_text(inspection))] if inspection else []
    text = "Everything that was chosen was chosen on {count} set aside for that, the validation {image}s: {chosen}. "
    lead = say(text, count=counted(validation["count"], IMAGE), chosen=say(", ").join(chosen) or "–")
    text = "The {count} of the test set were read once, at the end, and decided nothing."
    lead += say(text, count=counted(test["count"], IMAGE)) if test else say("The test {image}s have not been read.")
    return plain(
        lead,
        hints=[say("The threshold: {rule}.", rule=retold(inspection["rule"]))] if inspection.get("rule") else [],
        columns=(say("validation"), say("test")),
        rates=[(say(name), (before, after)) for name, before, after, _ in both(facts) if before or after],
        less=[say(name) for name, _, _, sign in both(facts) if sign < 0],
    )
