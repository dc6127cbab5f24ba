"""What a reader must know before trusting a figure."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..words import IMAGE, count, counted, percent, rate_text, share_of, short
from .facts import Facts, both, epochs, have, judged, trained

Caution = dict[str, Any]
FEW_TRAINING, FEW_VALIDATION, FEW_TEST = 20, 10, 10  # images of a class
FEW_PARTS = 2  # of a class
WIDE, UNSURE = 0.10, 0.10  # width of an interval; error of the stated certainty
ENDING, POINTS = 0.125, 4  # share of a training that is its end, and epochs of it at least
SURE, WORTH = 2.0, 0.1  # standard errors of a fall, and its share of the loss, from which it counts
SHOWN = 20  # entries of a warning

SYNTHETIC = (
    "These images were drawn by a program, not taken by a camera. The figures show how the tool works; they say "
    "nothing about real parts."
)
ON_VALIDATION = (
    f"All figures come from the validation {IMAGE}s, on which the threshold and the stopping were chosen. Expect new "
    f"{IMAGE}s to do worse."
)
LEAKS = (
    f"of identical {IMAGE}s stand in two of training, validation and test, so the figures look better than they are."
)
KINDS_OF_PARTS = ("surface", "signal", "sequence")  # of which several can be of one thing
UNGROUPED = (
    f"No groups were given. If several {IMAGE}s are of the same part, person or machine, they may stand in training "
    "and test, and the figures look better than they are."
)
LEARNED = (
    f"What the weights of {{file}} had seen is not known. If {IMAGE}s of the test part were among it, the figures look "
    "better than they are."
)
SAME_SOURCE = (
    f"The weights of {{file}} were learned from the same source, split in another way perhaps: they may have seen "
    f"{IMAGE}s of the test part, and then the figures prove nothing."
)
TOO_FEW = f"With so few {IMAGE}s the true rates can lie anywhere in these ranges. More test {IMAGE}s narrow them."
IMPROVING = (
    "The validation loss was still falling when the training ended (by {share} over the last {epochs} epochs). A "
    "longer training may do better: name a larger --epochs."
)
DECIDES = (
    "They tell what was learned from chance. They cannot tell which of two good epochs, thresholds or networks is "
    f"better: one {IMAGE} more or less is worth ten points and more of its class. --folds 5 holds every {IMAGE} out "
    "once."
)
BY_FOLDS = (
    f"Every {IMAGE} was judged by one of {{folds}} networks that had not seen it or its group. The network handed over "
    "is another one, which learned from all of them in the same way; it had more to learn from, so it should not be "
    "worse."
)
ONE_OR_TWO = (
    f"All {IMAGE}s of these classes come from one or two parts. What is learned and what is proven is what these parts "
    "look like, however many pictures there are of them."
)
WORSE = (
    f"The difference is larger than chance explains: the validation {IMAGE}s were too few or too like the training "
    f"{IMAGE}s, or the test {IMAGE}s differ."
)


def warnings(facts: Facts) -> list[Caution]:
    """The warnings of a run, the grave ones first.

    Each is {"title", "text", "grave", "more" (at most SHOWN lines), "entries" (how many lines there are)}."""
    every = [*_about_run(facts), *_about_data(facts), *_about_figures(facts), *_about_export(facts)]
    return sorted(every, key=lambda warning: not warning["grave"])


def _warning(title: str, text: str, more: Iterable[str] = (), grave: bool = False) -> Caution:
    lines = list(more)
    rest = [f"… and {count(len(lines) - SHOWN)} more"] if len(lines) > SHOWN else []
    return {"title": title, "text": text, "more": lines[:SHOWN] + rest, "entries": len(lines), "grave": grave}


def _about_run(facts: Facts) -> Iterable[Caution]:
    if have(facts, "data", "synthetic"):
        yield _warning("Synthetic images", SYNTHETIC, grave=True)
    if not trained(facts):
        text = "Sections without data are left out, and the figures here can still change."
        yield _warning("This run is not finished", f"{_so_far(facts)}{text}", grave=True)
    if have(facts, "metrics", "validation") and not have(facts, "metrics", "test"):
        yield _warning("No test figures", ON_VALIDATION, grave=True)
    losses = [each["val_loss"] for each in epochs(facts) if each.get("val_loss") is not None]
    if trained(facts) and (text := still_improving(losses)):
        yield _warning("Still improving at the end", text)
    told = [event for event in facts["events"] if event.get("event") == "warning"]
    for each in told:
        if each.get("nothing"):
            yield _warning("Nothing was learned", f"{str(each['text']).capitalize()}.", grave=True)
    if told := [str(each.get("text")) for each in told if not each.get("nothing")]:
        yield _warning("Told while it learned", " ".join(told))
    for name, reason in facts["unreadable"].items():
        yield _warning(f"{name} cannot be read", reason)


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
    return IMPROVING.format(share=percent(fall / float(end[0])), epochs=count)


def _so_far(facts: Facts) -> str:
    run = epochs(facts)
    if not run:
        return ""
    planned = run[-1].get("epochs")
    return f"It has trained {f'{len(run)} of {planned} epochs' if planned else counted(len(run), 'epoch')}. "


def _about_data(facts: Facts) -> Iterable[Caution]:
    data = have(facts, "data") or {}
    if leaks := data.get("leaks"):
        lines = [f"{one} = {other}" for one, other in leaks]
        text = f"{counted(len(leaks), 'pair')} {LEAKS}"
        yield _warning(f"Identical {IMAGE}s in two parts of the data", text, lines, grave=True)
    if problems := data.get("problems"):
        yield _warning(f"Remarks from reading the {IMAGE}s", _left_out(data), problems)
    if thin := _thin(data, "train", FEW_TRAINING):
        text = f"Fewer than {FEW_TRAINING} {IMAGE}s to learn from in {_classes(thin)}."
        yield _warning(f"Few training {IMAGE}s", text, thin)
    if thin := _thin(data, "val", FEW_VALIDATION):
        text = f"Fewer than {FEW_VALIDATION} validation {IMAGE}s in {_classes(thin)}. {DECIDES}"
        yield _warning(f"Few validation {IMAGE}s", text, thin)
    if few := _few_parts(data):
        yield _warning("Classes of one or two parts", ONE_OR_TWO, few)
    if thin := _thin(data, "test", FEW_TEST):
        text = f"Fewer than {FEW_TEST} test {IMAGE}s in {_classes(thin)}: their own figures say little."
        yield _warning(f"Few test {IMAGE}s", text, thin)
    if folds := data.get("folds"):
        yield _warning("Proven by folds", BY_FOLDS.format(folds=folds))
    if weights := data.get("weights"):
        told = SAME_SOURCE if weights["same_source"] else LEARNED
        yield _warning("Learned weights", told.format(file=weights["file"]), grave=weights["same_source"])
    if data.get("kind") in KINDS_OF_PARTS and data.get("split") == "random" and data.get("groups") is None:
        yield _warning(f"Split {IMAGE} by {IMAGE}", UNGROUPED)


def _left_out(data: dict[str, Any]) -> str:
    """What became of the samples with remarks: images are left out, and series are read as far as they go."""
    return (
        "Files with these problems were left out."
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
        yield _warning("Wide intervals", TOO_FEW, wide)
    if guess := _guess(figures):
        yield _warning("No better than guessing", guess, grave=True)
    if (gap := figures.get("calibration_error") or 0) > UNSURE:
        text = f"What the network calls its certainty is off by {percent(gap)} on average."
        text += " Rank by it, but do not read it as a probability."
        yield _warning("Certainty not to be taken literally", text)
    if never := list(_never_named(figures)):
        text = f"Not one {IMAGE} was named correctly in {_classes(never)}."
        yield _warning("Classes never recognised", text, never)
    if worse := list(_worse(facts)):
        yield _warning("Worse on test than on validation", WORSE, worse)


def _wide(figures: dict[str, Any]) -> Iterable[str]:
    inspection = figures.get("inspection") or {}
    heads = {
        "defects found": inspection.get("detection"),
        "good parts thrown away": inspection.get("false_alarms"),
        f"{IMAGE}s named correctly": figures["accuracy"],
    }
    return (f"{name}: {rate_text(it)}" for name, it in heads.items() if it and it["high"] - it["low"] > WIDE)


def _guess(figures: dict[str, Any]) -> str:
    """Why the answers are worth no more than those of a coin or of a constant; "" when they are worth more."""
    inspection = figures.get("inspection") or {}
    detection, thrown = inspection.get("detection"), inspection.get("false_alarms")
    if detection and thrown:
        said = f"Defects ({rate_text(detection)}) are not clearly rejected more often than good parts"
        return f"{said} ({rate_text(thrown)})." if detection["low"] <= thrown["high"] else ""
    right = figures["accuracy"]
    commonest = max((each["count"] for each in figures["per_class"]), default=0) / max(figures["count"], 1)
    always = f"Always answering with the most frequent class would be right for {percent(commonest)}"
    return (
        f"{always} of the {IMAGE}s; this network is right for {share_of(right)}." if right["value"] <= commonest else ""
    )


def _never_named(figures: dict[str, Any]) -> Iterable[str]:
    return (short(it["class"]) for it in figures["per_class"] if it["recall"] and not it["recall"]["hits"])


def _worse(facts: Facts) -> Iterable[str]:
    """The figures whose test interval lies wholly on the bad side of the validation interval; chance is seldom why."""
    for name, before, after, sign in both(facts):
        if before and after and (after["high"] < before["low"] if sign > 0 else after["low"] > before["high"]):
            yield f"{name}: {rate_text(before)} on validation, {rate_text(after)} on test"


def _about_export(facts: Facts) -> Iterable[Caution]:
    export = have(facts, "metrics", "export") or {}
    same, images = export.get("same_class"), export.get("images")
    if same is not None and same != images:
        text = f"It names {same} of {images} {IMAGE}s as the trained network does."
        yield _warning("The exported file answers differently", text, grave=True)
