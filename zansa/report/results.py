"""How good the network is: what the sections on figures, training, classes and images say, as plain values.

A function raises LookupError when the record lacks what it needs; the page then leaves its section out and says why.
"""

import base64
import binascii
import struct
from collections.abc import Iterable
from typing import Any
from unicodedata import east_asian_width

from ..phrases import phrase, retold, say
from ..words import (
    IMAGE,
    amount,
    area_text,
    count,
    counted,
    counts_of,
    duration,
    flat,
    latency_terms,
    milliseconds,
    number,
    percent,
    plain_percent,
    price_text,
    rule_text,
    share_of,
    shown,
    sure,
)
from . import plots, points
from .facts import (
    MANY_CLASSES,
    Facts,
    confused_pairs,
    epochs,
    have,
    judged,
    need,
    samples_of_parts,
    time_for_one,
    trained,
)
from .page import Content

PICTURES, MANY_CELLS, MANY_ROWS = 1_000_000, 40_000, 200  # characters, squares, rows: a page stays below 3 MB


def figures(facts: Facts) -> Content:
    """The tiles, each of which has a figure, its interval and what it means."""
    split, told = judged(facts)
    inspection = told.get("inspection") or {}
    area = inspection.get("roc_auc") or told.get("roc_auc")
    area_of = say(
        "defects against good parts" if inspection.get("roc_auc") else "mean over classes, one against the rest"
    )
    best = time_for_one(facts)
    tiles = [
        _rate_tile(say("Defects found"), inspection.get("detection"), say("detection at the chosen threshold")),
        _rate_tile(
            say("Good parts thrown away"),
            inspection.get("false_alarms"),
            say("false alarms at the chosen threshold"),
            wrong=True,
        ),
        _tile(say("Time per {image}"), milliseconds(best["ms"]) if best else None, latency_terms(best) if best else ""),
        _rate_tile(
            say("Shown to a person"),
            inspection.get("asked") if inspection.get("ask") is not None else None,
            say("between the two lines: neither accepted nor rejected"),
            wrong=True,
        ),
        _rate_tile(say("Precision"), inspection.get("precision"), say("of what is rejected, how much is defective")),
        _rate_tile(say("F1"), inspection.get("f1"), say("harmonic mean of detection and precision")),
        _rate_tile(say("Named correctly"), told["accuracy"], say("the class that the network names is the true one")),
        _rate_tile(
            say("Balanced accuracy"), told.get("balanced_accuracy"), say("mean over classes, rare ones count as much")
        ),
        _tile(say("Area under ROC"), area and area_text(area), area_of),
        _calibration_tile(told),
        _size_tile(facts),
    ]
    filled = [tile for tile in tiles if tile["value"]]
    return {"tiles": filled, "split": split, "count": counted(told["count"], IMAGE)}


def _tile(name: str, value: str | None, text: str) -> Content:
    return {"name": name, "value": value, "sure": "", "text": text, "rate": None, "wrong": False}


def _rate_tile(name: str, rate: Content | None, text: str, wrong: bool = False) -> Content:
    if not rate:
        return _tile(name, None, text)
    counts = f"{counts_of(rate)}, ".removeprefix(", ")
    return _tile(name, share_of(rate), text) | {"sure": counts + sure(rate), "rate": shown(rate), "wrong": wrong}


def _calibration_tile(told: Content) -> Content:
    """How far stated certainty is from how often it is right; older records have no chance level."""
    found = told.get("calibration")
    if not found:
        gap = told.get("calibration_error")
        text = say("mean gap between stated and true certainty")
        return _tile(say("Calibration error"), None if gap is None else percent(gap), text)
    text = say(
        "gap between stated and true certainty, debiased; a perfect network would show about {chance}",
        chance=percent(found["error_chance"]),
    )
    return _tile(say("Calibration error"), percent(found["error"]), text)


def _size_tile(facts: Facts) -> Content:
    params = have(facts, "metrics", "cost", "params")
    macs = price_text(have(facts, "metrics", "cost", "macs") or 0, "macs")
    text = say("parameters; {macs} per {image}", macs=macs)
    return _tile(say("Size"), params and amount(params), text)


def training(facts: Facts) -> Content:
    """The curves over the epochs, and how the training was set."""
    run = epochs(facts)
    if not run:
        raise LookupError(say("events.jsonl holds no epochs"))
    told = have(facts, "metrics", "training") or {}
    kept = told.get("best_epoch", run[-1].get("best"))
    return {
        "curves": [curve for curve in (_curve(run, kept, *each) for each in CURVES) if curve],
        "kept": kept,
        "resumed": sum(event.get("event") == "resumed" for event in facts["events"]),
        "facts": list(_training_facts(run, told, trained(facts))),
        "notes": [
            *map(retold, told.get("notes") or []),
            *(retold(number(event.get("text"))) for event in _notes(facts)),
        ],
        "recipe": list(flat(facts["recipe"] or {})),
    }


LOSS = (("loss", phrase("training"), "--muted"), ("val_loss", phrase("validation"), "--right"))
ACCURACY = (
    ("val_accuracy", phrase("all {image}s"), "--right"),
    ("val_balanced_accuracy", phrase("mean over classes"), "--wrong"),
)
RATE = (("rate", "", "--muted"),)
CURVES = (
    (phrase("Loss"), False, LOSS),
    (phrase("Validation accuracy"), True, ACCURACY),
    (phrase("Learning rate"), False, RATE),
)


def _notes(facts: Facts) -> Iterable[Content]:
    return (event for event in facts["events"] if event.get("event") == "note")


def _curve(run: list[Content], kept: float | None, title: str, share: bool, lines: Any) -> Content | None:
    drawn = [
        (colour, word, plots.gaps([(event["epoch"], event.get(key)) for event in run]))
        for key, word, colour in lines
        if any(event.get(key) is not None for event in run)
    ]
    if not drawn:
        return None
    svg = plots.curve([(colour, points) for colour, _, points in drawn], title, share, kept)
    return {"title": say(title), "svg": svg, "legend": [(colour, say(word)) for colour, word, _ in drawn if word]}


def _training_facts(run: list[Content], told: Content, done: bool) -> Iterable[tuple[str, str]]:
    seconds, planned = told.get("seconds") or run[-1].get("seconds"), run[-1].get("epochs", "?")
    last = run[-1]["epoch"]
    text = (
        "{last} of {planned}, stopped when it no longer got better"
        if done and last != planned
        else "{last} of {planned}"
    )
    yield say("epochs"), say(text, last=last, planned=planned)
    if told.get("best_epoch") is not None:
        yield say("kept"), say("epoch {epoch}", epoch=told["best_epoch"])
    if told.get("average"):
        yield say("average of weights"), number(told["average"])
    if seconds:
        yield say("time"), duration(seconds)
    if told.get("race_seconds"):
        yield say("and of the race before"), duration(told["race_seconds"])
    if speed := told.get("images_per_second") or run[-1].get("images_per_second"):
        yield say("speed"), say("{speed} {image}s per second", speed=count(speed))
    for key in (phrase("device"), phrase("processes"), phrase("threads"), phrase("precision"), phrase("layout")):
        if told.get(key) is not None:
            yield say(key), number(told[key])


def operating(facts: Facts) -> Content:
    """The ROC curve with the operating point, whole and close up, and what other shares of false alarms would give."""
    split, told = judged(facts)
    inspection = told.get("inspection")
    if not inspection:
        raise LookupError(say("no class means “good”, so there is no line between good and defective"))
    if not (inspection.get("detection") and inspection.get("false_alarms") and inspection.get("roc")):
        raise LookupError(say("the {split} {image}s are not both good and defective", split=say(split)))
    areas = ((say("ROC"), inspection.get("roc_auc")), (say("precision and recall"), inspection.get("pr_auc")))
    return {
        "plots": _roc_plots(inspection),
        "scores": _scores_plot(facts["scores"].get(split), inspection),
        "rejected": rule_text(inspection),
        "rule": retold(inspection.get("rule") or ""),
        **points.told(facts, inspection),
        "areas": ", ".join(f"{area_text(value)} ({name})" for name, value in areas if value is not None),
        "at": [
            (plain_percent(float(share)), percent(detected))
            for share, detected in (inspection.get("detection_at") or {}).items()
            if detected is not None
        ],
        "split": split,
    }


def _scores_plot(scores: list[tuple[str, float]] | None, inspection: Content) -> str:
    if not scores:
        return ""
    good = [score for label, score in scores if label == inspection["good"]]
    defects = [score for label, score in scores if label != inspection["good"]]
    return plots.scores(good, defects, inspection["threshold"], "Scores")


def _roc_plots(inspection: Content) -> list[str]:
    points = [(x, y) for x, y in inspection["roc"]]
    reach = max(0.1, 1.6 * inspection["false_alarms"]["high"])
    closeup = [plots.roc(points, inspection, "ROC close-up", reach)] if reach < 0.6 else []
    return [plots.roc(points, inspection, "ROC"), *closeup]


def confusion(facts: Facts) -> Content:
    """The confusion matrix, as numbers or as a map where there are MANY_CLASSES, and the most frequent mistakes."""
    split, told = judged(facts)
    classes, matrix = told["classes"], told["confusion"]
    many = len(classes) > MANY_CLASSES
    rows = [_matrix_row(i, name, row) for i, (name, row) in enumerate(zip(classes, matrix, strict=True))]
    return {
        "split": split,
        "classes": classes,
        "upright": [name for name in classes if upright(name)],
        "rows": [] if many else rows,
        "map": _map(matrix) if many else None,
        "pairs": confused_pairs(told)[:12],
    }


def upright(name: str) -> bool:
    """Whether a name has letters that stand upright where a line runs downwards, as Chinese and Japanese ones do:
    turned half round, as Latin ones are there, they would stand on their heads."""
    return any(east_asian_width(letter) in "WF" for letter in name)


def _matrix_row(i: int, name: str, row: list[int]) -> Content:
    total = sum(row)
    cells = [
        {"count": each, "tint": round((each / total) ** 0.5, 3) if total else 0, "right": i == j}
        for j, each in enumerate(row)
    ]  # the root: one in fifty must still show
    return {"name": name, "cells": cells, "total": total}


def _map(matrix: list[list[int]]) -> Content:
    """A large matrix as SVG paths of unit squares: one path for each of five shades of right and of wrong cells."""
    side = len(matrix)
    totals = [sum(row) for row in matrix]
    shares = [(each / totals[i], i, j) for i, row in enumerate(matrix) for j, each in enumerate(row) if each]
    paths: dict[tuple[bool, int], list[str]] = {}
    for share, i, j in sorted(shares, reverse=True)[:MANY_CELLS]:
        paths.setdefault((i == j, min(5, 1 + int(5 * share))), []).append(f"M{j} {i}h1v1h-1z")
    every = next((step for step in (5, 10, 20, 50, 100, 200) if side <= 12 * step), 500)
    return {
        "side": side,
        "margin": 0.07 * side,
        "ticks": [1, *range(every, side + 1, every)],
        "paths": [(right, shade, "".join(path)) for (right, shade), path in sorted(paths.items())],
    }


def classes(facts: Facts) -> Content:
    """The rates of each class. More than MANY_CLASSES come the least recognised first, and at most MANY_ROWS come."""
    split, told = judged(facts)
    inspection = told.get("inspection") or {}
    good = inspection.get("good")
    rejected = {each["class"]: each["detection"] for each in inspection.get("per_defect") or []}
    rejected[good] = inspection.get("false_alarms")
    rows = [_class_row(i, each, rejected.get(each["class"])) for i, each in enumerate(told["per_class"], 1)]
    many = len(rows) > MANY_CLASSES
    if many:
        rows.sort(key=lambda row: row["recall"]["value"] if row["recall"] else 2.0)
    left_out = counted(len(rows) - MANY_ROWS, "class", "classes") if len(rows) > MANY_ROWS else ""
    return {"rows": rows[:MANY_ROWS], "left_out": left_out, "split": split, "good": good, "many": many}


def _class_row(place: int, told: Content, rejected: Content | None) -> Content:
    rates = {
        "recall": shown(told["recall"]),
        "precision": shown(told["precision"]),
        "f1": shown(told.get("f1")),
        "rejected": shown(rejected),
    }
    return {"place": place, "name": told["class"], "count": told["count"], **rates}


WHY = {
    "missed": (phrase("Missed"), phrase("a defect that would pass")),
    "false alarm": (phrase("False alarms"), phrase("good parts that would be thrown away")),
    "confused": (phrase("Confused"), phrase("named as another class")),
    "doubtful": (phrase("Doubtful"), phrase("on the right side, but only just")),
}

OF_A_PART = phrase("{image}s of defects that would pass, if no other {image} of their part is rejected")


def examples(facts: Facts) -> Content:
    """The worst and the doubtful images in groups, each with the reason why it is shown."""
    given = need(facts, "examples")
    if not given:
        raise LookupError(say("examples.json holds no {image}s"))
    groups: dict[str, list[Content]] = {why: [] for why in WHY}
    room, left_out = PICTURES, 0
    for each in given:
        room -= sum(len(each.get(name) or "") for name in ("png", "map", "places"))
        if room < 0:
            left_out += 1
        else:
            groups.setdefault(each["why"], []).append(_example(each))
    titles = {why: WHY.get(why, (why, "")) for why in groups}
    if samples_of_parts(facts):
        titles["missed"] = (WHY["missed"][0], OF_A_PART)
    in_int8 = bool(have(facts, "metrics", "export", "int8"))
    filled: list[Content] = [
        {"title": say(titles[why][0]), "text": say(titles[why][1]), "images": each, "maps": _maps(each, why, in_int8)}
        for why, each in groups.items()
        if each
    ]
    for place, group in enumerate(each for each in filled if each["maps"]):
        group["maps"]["first"] = not place
    return {"groups": filled, "left_out": counted(left_out, IMAGE) if left_out else ""}


def _maps(images: list[Content], why: str, in_int8: bool) -> dict[str, Any] | None:
    """What the maps over the pictures of a group are, with what their colours mean; None where there are none. Layers
    are followed back in the network alone, which is in float32 also where the exported file is not."""
    mapped = [each for each in images if each["map"]]
    if not mapped:
        return None
    cells, full = mapped[0]["cells"], f"{mapped[0]['full']:.1f}"
    what = say("a defect") if why in ("missed", "false alarm") else say("the class that was named")
    if len(cells) == 1:
        text = say(
            "On the left the class map of the exported file: what each of {cells} stretches of a {image} added to the "
            "log-odds, exactly, and coarsely; full colour is {full}. On the right layer-wise relevance: what each "
            "place added, followed back through every layer of the network; its colours have one scale. A map says "
            "what counted for the network, and not whether it was right; whether it can be relied on is tested by "
            "`zansa explain`.",
            cells=cells[0],
            full=full,
        )
        if in_int8:
            text += say(" The relevance is that of the network in float32, the class map that of the file in int8.")
        return {"text": text, "against": say("against {what}", what=what), "speaks": say("for {what}", what=what)}
    rows, columns = cells
    text = say(
        "On the right the class map of the exported file: what each of {rows} × {columns} cells added to the log-odds. "
        "With what every {image} is given, the cells add up to the answer exactly. A map says what counted for the "
        "network, coarsely, and not whether it was right; whether it can be relied on is tested by `zansa explain`.",
        rows=rows,
        columns=columns,
    )
    against = say("against {what}: -{full} or less", what=what, full=full)
    return {"text": text, "against": against, "speaks": say("for {what}: +{full} or more", what=what, full=full)}


def _example(each: Content) -> Content:
    size, score = png_size(each.get("png") or ""), each.get("score")
    return {
        "image": str(each["image"]),
        "file": str(each["image"]).replace("\\", "/").rsplit("/", 1)[-1],
        "label": each["label"],
        "predicted": each["predicted"],
        "probability": percent(each["probability"], 0),
        "score": "" if score is None else f"{score:.3f}",
        "png": each["png"] if size else None,
        "size": size,
        "map": each.get("map") if size and png_size(each.get("map") or "") else None,
        "places": each.get("places") if png_size(each.get("places") or "") else None,
        "cells": each.get("cells"),
        "full": each.get("full"),
        "small": max(size, default=0) <= 48,  # shown with hard edges, as the network sees them
    }


def png_size(text: str) -> tuple[int, int] | tuple[()]:
    """The (width, height) in the first bytes of a base64 PNG; () when the text is none."""
    try:
        head = base64.b64decode(text, validate=True)[:24]
    except (binascii.Error, ValueError):
        return ()
    return struct.unpack(">II", head[16:24]) if head[:8] == b"\x89PNG\r\n\x1a\n" and len(head) == 24 else ()
