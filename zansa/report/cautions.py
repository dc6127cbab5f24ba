"""What a reader must know before trusting a figure."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..phrases import phrase, retold, say
from ..words import IMAGE, count, counted, percent, rate_text, share_of, short
from .facts import Facts, both, epochs, have, judged, trained

Caution = dict[str, Any]
FEW_TRAINING, FEW_VALIDATION, FEW_TEST = 20, 10, 10  # images of a class
FEW_PARTS = 2  # of a class
WIDE, UNSURE = 0.10, 0.10  # width of an interval; error of the stated certainty
ENDING, POINTS = 0.125, 4  # share of a training that is its end, and epochs of it at least
SURE, WORTH = 2.0, 0.1  # standard errors of a fall, and its share of the loss, from which it counts
SHOWN = 20  # entries of a warning

SYNTHETIC = phrase(
    "These images were drawn by a program, not taken by a camera. The figures show how the tool works; they say "
    "nothing about real parts."
)
ON_VALIDATION = phrase(
    "All figures come from the validation {image}s, on which the threshold and the stopping were chosen. Expect new "
    "{image}s to do worse."
)
LEAKS = phrase(
    "{pairs} of identical {image}s stand in two of training, validation and test, so the figures look better than they "
    "are."
)
KINDS_OF_PARTS = ("surface", "signal", "sequence")  # of which several can be of one thing
UNGROUPED = phrase(
    "No groups were given. If several {image}s are of the same part, person or machine, they may stand in training "
    "and test, and the figures look better than they are."
)
LEARNED = phrase(
    "What the weights of {file} had seen is not known. If {image}s of the test part were among it, the figures look "
    "better than they are."
)
SAME_SOURCE = phrase(
    "The weights of {file} were learned from the same source, split in another way perhaps: they may have seen "
    "{image}s of the test part, and then the figures prove nothing."
)
SEEN = phrase(
    "The weights of {file} were learned from {count} of the test part, which is split in another way: the figures on "
    "them prove nothing."
)
SAME_TEACHER = phrase(
    "The teacher {file} learned from {image}s of the test part, so the figures look better than they are."
)
TOO_FEW = phrase(
    "With so few {image}s the true rates can lie anywhere in these ranges. More test {image}s narrow them."
)
IMPROVING = phrase(
    "The validation loss was still falling when the training ended (by {share} over the last {epochs} epochs). A "
    "longer training may do better: name a larger --epochs."
)
DECIDES = phrase(
    "They are enough to tell learning from chance, and too few to tell which of two good epochs, thresholds or "
    "networks is better: one {image} more or less changes the share of its class by ten points or more."
)
FOLDS_HELP = phrase("--folds 5 holds every {image} out once.")
BY_FOLDS = phrase(
    "Every {image} was judged by one of {folds} networks that had not seen it or its group. The network handed over is "
    "another one, which learned from all of them in the same way; it had more to learn from, so it should not be worse."
)
ONE_OR_TWO = phrase(
    "All {image}s of these classes come from one or two parts. What is learned and what is proven is what these parts "
    "look like, however many pictures there are of them."
)
WORSE = phrase(
    "The difference is larger than chance explains: the validation {image}s were too few or too like the training "
    "{image}s, or the test {image}s differ."
)


def warnings(facts: Facts) -> list[Caution]:
    """The warnings of a run, the grave ones first.

    Each is {"title", "text", "grave", "more" (at most SHOWN lines), "entries" (how many lines there are)}."""
    every = [*_about_run(facts), *_about_data(facts), *_about_figures(facts), *_about_export(facts)]
    return sorted(every, key=lambda warning: not warning["grave"])


def _warning(title: str, text: str, more: Iterable[str] = (), grave: bool = False) -> Caution:
    lines = list(more)
    rest = [say("… and {count} more", count=count(len(lines) - SHOWN))] if len(lines) > SHOWN else []
    return {"title": say(title), "text": text, "more": lines[:SHOWN] + rest, "entries": len(lines), "grave": grave}


def _about_run(facts: Facts) -> Iterable[Caution]:
    if have(facts, "data", "synthetic"):
        yield _warning(phrase("Synthetic images"), say(SYNTHETIC), grave=True)
    if not trained(facts):
        text = say("Sections without data are left out, and the figures here can still change.")
        yield _warning(phrase("This run is not finished"), f"{_so_far(facts)}{text}", grave=True)
    if have(facts, "metrics", "validation") and not have(facts, "metrics", "test"):
        yield _warning(phrase("No test figures"), say(ON_VALIDATION), grave=True)
    losses = [each["val_loss"] for each in epochs(facts) if each.get("val_loss") is not None]
    if trained(facts) and (text := still_improving(losses)):
        yield _warning(phrase("Still improving at the end"), text)
    told = [event for event in facts["events"] if event.get("event") == "warning"]
    for each in told:
        if each.get("nothing"):
            yield _warning(phrase("Nothing was learned"), f"{retold(str(each['text'])).capitalize()}.", grave=True)
    for text in dict.fromkeys(str(each.get("text")) for each in told if not each.get("nothing")):
        yield _warning(phrase("Told while it learned"), retold(text))
    for name, reason in facts["unreadable"].items():
        yield _warning(say("{name} cannot be read", name=name), reason)


def still_improving(losses: Sequence[float]) -> str:
    """What to say of a training whose validation losses, one an epoch, still fell at its end; "" where they did not.

    They fell where the best is the last, and a straight line through those of the end falls by more than SURE standard
    errors of its slope and by more than the share WORTH of the last loss.
    """
    count = max(POINTS, round(ENDING * len(losses)))
    if len(losses) <= count or losses[-1] > min(losses):
        return ""
    end, at = np.asarray(losses[-count:]), np.arange(count) - (count - 1) / 2
    slope = float(at @ end / (at @ at))
    error = float((((end - end.mean() - slope * at) ** 2).sum() / (count - 2) / (at @ at)) ** 0.5)
    fall = -slope * (count - 1)
    if -slope <= SURE * error or fall <= WORTH * end[-1]:
        return ""
    return say(IMPROVING, share=percent(fall / float(end[0])), epochs=count)


def _so_far(facts: Facts) -> str:
    run = epochs(facts)
    if not run:
        return ""
    planned = run[-1].get("epochs")
    if planned:
        return say("It has trained {done} of {planned} epochs. ", done=len(run), planned=planned)
    return say("It has trained {epochs}. ", epochs=counted(len(run), "epoch"))


def _about_data(facts: Facts) -> Iterable[Caution]:
    data = have(facts, "data") or {}
    if leaks := data.get("leaks"):
        lines = [f"{one} = {other}" for one, other in leaks]
        text = say(LEAKS, pairs=counted(len(leaks), "pair"))
        yield _warning(phrase("Identical {image}s in two parts of the data"), text, lines, grave=True)
    if problems := data.get("problems"):
        yield _warning(phrase("Remarks from reading the {image}s"), _left_out(data), map(retold, problems))
    if thin := _thin(data, "train", FEW_TRAINING):
        text = say("Fewer than {few} {image}s to learn from in {classes}.", few=FEW_TRAINING, classes=_classes(thin))
        more = say("`zansa plan` tells what more {image}s would bring.")
        yield _warning(phrase("Few training {image}s"), f"{text} {more}", thin)
    if thin := _thin(data, "val", FEW_VALIDATION):
        text = "Fewer than {few} validation {image}s in {classes}."
        text = say(text, few=FEW_VALIDATION, classes=_classes(thin))
        more = "" if data.get("folds") else f" {say(FOLDS_HELP)}"
        yield _warning(phrase("Few validation {image}s"), f"{text} {say(DECIDES)}{more}", thin)
    if few := _few_parts(data):
        yield _warning(phrase("Classes of one or two parts"), say(ONE_OR_TWO), few)
    if thin := _thin(data, "test", FEW_TEST):
        text = "Fewer than {few} test {image}s in {classes}: their own figures say little."
        text = say(text, few=FEW_TEST, classes=_classes(thin))
        yield _warning(phrase("Few test {image}s"), text, thin)
    if folds := data.get("folds"):
        yield _warning(phrase("Proven by folds"), say(BY_FOLDS, folds=folds))
    if (weights := data.get("weights")) and weights.get("seen") != 0:
        seen, noun = weights.get("seen"), data.get("noun", "image")
        told = SEEN if seen else SAME_SOURCE if weights["same_source"] else LEARNED
        text = say(told, file=weights["file"], count=counted(seen or 0, noun))
        yield _warning(phrase("Learned weights"), text, grave=weights["same_source"])
    if (teacher := data.get("teacher")) and teacher.get("seen"):
        yield _warning(phrase("A teacher that knows the answers"), say(SAME_TEACHER, file=teacher["file"]), grave=True)
    if data.get("kind") in KINDS_OF_PARTS and data.get("split") == "random" and data.get("groups") is None:
        yield _warning(phrase("Split {image} by {image}"), say(UNGROUPED))


def _left_out(data: dict[str, Any]) -> str:
    """What became of the samples with remarks: images are left out, and series are read as far as they go."""
    return say(
        "Each line says what was left out, read in part or converted, and why."
        if data.get("noun", "image") == "image"
        else "They were used as told."
    )


def _thin(data: dict[str, Any], split: str, enough: int) -> list[str]:
    counts = (data.get("counts") or {}).get(split) or {}
    return [f"{short(name)}: {number}" for name, number in counts.items() if number < enough]


def _few_parts(data: dict[str, Any]) -> list[str]:
    """The classes whose images come from one or two parts, with both numbers."""
    counts, units = data.get("counts") or {}, data.get("units") or {}
    total = {name: sum(counts[part].get(name, 0) for part in counts) for name in units}
    return [
        f"{short(name)}: {counted(total[name], IMAGE)}, {counted(number, 'part')}"
        for name, number in units.items()
        if number <= FEW_PARTS
    ]


def _classes(names: list[str]) -> str:
    return counted(len(names), "class", "classes")


def _about_figures(facts: Facts) -> Iterable[Caution]:
    if not (have(facts, "metrics", "test") or have(facts, "metrics", "validation")):
        return
    figures = judged(facts)[1]
    if wide := list(_wide(figures)):
        yield _warning(phrase("Wide intervals"), say(TOO_FEW), wide)
    if guess := _guess(figures):
        yield _warning(phrase("Not clearly better than guessing"), guess, grave=True)
    if off := _off(figures):
        yield _warning(phrase("Certainty not to be taken literally"), off)
    if never := list(_never_named(figures)):
        text = say("Not one {image} was named correctly in {classes}.", classes=_classes(never))
        yield _warning(phrase("Classes never recognised"), text, never)
    if worse := list(_worse(facts)):
        yield _warning(phrase("Worse on test than on validation"), say(WORSE), worse)


def _off(figures: dict[str, Any]) -> str:
    """What to say of certainties that are further off than chance explains; "" where they are not."""
    told = figures.get("calibration")
    gap = told["error"] if told else figures.get("calibration_error") or 0
    if gap <= UNSURE or (told and not told["beyond_chance"]):
        return ""
    text = (
        "What the network calls its certainty is off by {gap} on average. Rank by it, but do not read it as a "
        "probability."
    )
    return say(text, gap=percent(gap))


def _wide(figures: dict[str, Any]) -> Iterable[str]:
    inspection = figures.get("inspection") or {}
    heads = {
        say("defects found"): inspection.get("detection"),
        say("good parts thrown away"): inspection.get("false_alarms"),
        say("{image}s named correctly"): figures["accuracy"],
    }
    return (f"{name}: {rate_text(it)}" for name, it in heads.items() if it and it["high"] - it["low"] > WIDE)


def _guess(figures: dict[str, Any]) -> str:
    """Why the answers are worth no more than those of a coin or of a constant; "" when they are worth more."""
    inspection = figures.get("inspection") or {}
    detection, thrown = inspection.get("detection"), inspection.get("false_alarms")
    if detection and thrown:
        text = "Defects ({found}) are not clearly rejected more often than good parts ({thrown})."
        said = say(text, found=rate_text(detection), thrown=rate_text(thrown))
        return said if detection["low"] <= thrown["high"] else ""
    right = figures["accuracy"]
    commonest = max((each["count"] for each in figures["per_class"]), default=0) / max(figures["count"], 1)
    text = (
        "Always answering with the most frequent class would be right for {share} of the {image}s; this network is "
        "right for {right}."
    )
    said = say(text, share=percent(commonest), right=share_of(right))
    return said if right["value"] <= commonest else ""


def _never_named(figures: dict[str, Any]) -> Iterable[str]:
    return (short(it["class"]) for it in figures["per_class"] if it["recall"] and not it["recall"]["hits"])


def _worse(facts: Facts) -> Iterable[str]:
    """The figures whose test interval lies wholly on the bad side of the validation interval; chance is seldom why."""
    for name, before, after, sign in both(facts):
        if before and after and (after["high"] < before["low"] if sign > 0 else after["low"] > before["high"]):
            text = "{name}: {before} on validation, {after} on test"
            yield say(text, name=say(name), before=rate_text(before), after=rate_text(after))


def _about_export(facts: Facts) -> Iterable[Caution]:
    export = have(facts, "metrics", "export") or {}
    same, images = export.get("same_class"), export.get("images")
    if same is not None and same != images:
        text = say("It names {same} of {count} {image}s as the trained network does.", same=same, count=images)
        yield _warning(phrase("The exported file answers differently"), text, grave=not export.get("int8"))
