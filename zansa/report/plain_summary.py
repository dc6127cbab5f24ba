"""The result in sentences for people who have never seen a confusion matrix, and a dot for every image."""

from ..phrases import language, say
from ..words import (
    IMAGE,
    count,
    counted,
    fine,
    outcome,
    per_thousand,
    percent,
    share_of,
    short,
    strong,
    sure,
    time_text,
)
from .facts import Facts, confused_pairs, epochs, have, judged, noun, time_for_one
from .page import Content, statement

MANY_DOTS = 1200  # more images than this become a bar


def summary(facts: Facts) -> Content:
    """The head of the page: {"sentences", "outlook", "panels" (of dots), "bars" (whether dots are too many)}."""
    if not have(facts, "metrics", "test") and not have(facts, "metrics", "validation"):
        return statement(_no_figures_yet(facts))
    split, figures = judged(facts)
    where = _where(facts, split)
    inspection = figures.get("inspection") or {}
    seen = [inspection[key] for key in ("detection", "false_alarms") if inspection.get(key)]
    told = _inspected(inspection, where) if seen else _named(figures, where)
    panels = _inspection_panels(inspection) if seen else [_named_panel(figures)]
    dots = sum(panel["total"] for panel in panels)
    rows = max(4, round((dots / 7) ** 0.5))
    return {
        "sentences": told,
        "outlook": [*(_outlook(inspection, noun(facts)) if _speaks_for_parts(facts, split) else []), *_speed(facts)],
        "panels": [panel | _dots(panel, rows) for panel in panels],
        "bars": dots > MANY_DOTS,
    }


def _where(facts: Facts, split: str) -> str:
    if have(facts, "data", "synthetic"):
        return say(
            " in the held-out synthetic test {image}s" if split == "test" else " in the synthetic validation {image}s"
        )
    return say(" in the held-out test {image}s" if split == "test" else " in the validation {image}s")


def _no_figures_yet(facts: Facts) -> str:
    run = epochs(facts)
    if not run:
        return say("This run has not been trained or evaluated yet.")
    best = max((event.get("val_accuracy") or 0.0 for event in run), default=0.0)
    so_far = say("; the best validation accuracy so far is {best}", best=strong(percent(best))) if best else ""
    text = "This run has trained {epochs} and has not been evaluated yet{so_far}."
    return say(text, epochs=strong(counted(len(run), "epoch")), so_far=so_far)


def _inspected(inspection: Content, where: str) -> list[str]:
    detection, alarms = inspection.get("detection"), inspection.get("false_alarms")
    told = []
    if detection:
        text = outcome(detection["count"], "defect", where, detection["hits"], "was found", "were found")
        told.append(_sentence(text, detection))
    if alarms:
        text = outcome(
            alarms["count"],
            "good part",
            "" if detection else where,
            alarms["hits"],
            "would be thrown away",
            "would be thrown away",
        )
        told.append(_sentence(text, alarms))
    return told


def _sentence(text: str, rate: Content) -> str:
    return text + fine(f" ({share_of(rate)}, {sure(rate)})") + say(".")


def _named(figures: Content, where: str) -> list[str]:
    right = figures["accuracy"]
    what = where.removeprefix(" in the ").removesuffix("s")
    if language() == "ja":
        what = IMAGE
    text = outcome(right["count"], what, "", right["hits"], "was named correctly", "were named correctly")
    told = [_sentence(text, right)]
    worst = confused_pairs(figures)[:1]
    return told + [
        say(
            "The most frequent confusion: “{true}” taken for “{told}” ({count} of {of}).",
            true=short(pair["true"]),
            told=short(pair["told"]),
            count=pair["count"],
            of=pair["of"],
        )
        for pair in worst
    ]


def _speaks_for_parts(facts: Facts, split: str) -> bool:
    return split == "test" and not have(facts, "data", "synthetic") and not have(facts, "data", "leaks")


def _outlook(inspection: Content, what: str) -> list[str]:
    detection, alarms = inspection.get("detection"), inspection.get("false_alarms")
    if not detection or not alarms:
        return []
    missed = per_thousand(1 - detection["high"], 1 - detection["low"])
    thrown = per_thousand(alarms["low"], alarms["high"])
    same = say(
        "parts, camera and light stay as they were" if what == "image" else "what is measured, and how, stays as it was"
    )
    text = (
        "In the long run, expect {missed} defects to slip through and {thrown} good parts to be thrown away, as long "
        "as {same} in these {image}s."
    )
    return [say(text, missed=missed, thrown=thrown, same=same)]


def _speed(facts: Facts) -> list[str]:
    best = time_for_one(facts)
    return [say("One {image} takes {time}.", time=time_text(best))] if best else []


def _inspection_panels(inspection: Content) -> list[Content]:
    detection, alarms = inspection.get("detection"), inspection.get("false_alarms")
    panels = []
    if detection:
        panels.append(
            {
                "title": say("Defects"),
                "total": detection["count"],
                "wrong": detection["count"] - detection["hits"],
                "right_word": say("found"),
                "wrong_word": say("missed"),
            }
        )
    if alarms:
        panels.append(
            {
                "title": say("Good parts"),
                "total": alarms["count"],
                "wrong": alarms["hits"],
                "right_word": say("passed"),
                "wrong_word": say("thrown away"),
            }
        )
    return panels


def _named_panel(figures: Content) -> Content:
    right = figures["accuracy"]
    return {
        "title": say("All {image}s"),
        "total": right["count"],
        "wrong": right["count"] - right["hits"],
        "right_word": say("named correctly"),
        "wrong_word": say("named wrongly"),
    }


def _dots(panel: Content, rows: int) -> Content:
    """A panel's dots as SVG paths of points, 10 units apart: they go column by column, and the wrong ones come last."""
    right = panel["total"] - panel["wrong"]
    places = [
        f"M{10 * (k // rows) + 5} {10 * (k % rows) + 5}h0"
        for k in range(panel["total"] if panel["total"] <= MANY_DOTS else 0)
    ]
    return {
        "right_path": "".join(places[:right]),
        "wrong_path": "".join(places[right:]),
        "width": 10 * -(-panel["total"] // rows),
        "height": 10 * min(rows, panel["total"]),
        "right_text": f"{count(right)} {panel['right_word']}",
        "wrong_text": f"{count(panel['wrong'])} {panel['wrong_word']}",
        "share": panel["wrong"] / panel["total"],
    }
