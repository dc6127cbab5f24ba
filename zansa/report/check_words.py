"""Every sentence of `zansa check`: of each finding its title, why it matters and what to do. The Japanese stands in
phrases/japanese/check.py.

{images} is the number of images concerned with its noun; the other names in braces are facts of the finding.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..phrases import phrase, say
from ..words import counted


class Sentences(NamedTuple):
    """The sentences of a kind: title, why, do."""

    title: str
    why: str
    do: str


FINDINGS: dict[str, Sentences] = {
    "unreadable": Sentences(
        phrase("Cannot be read: {images}"),
        phrase("Nothing can be learnt from a file that is no image; the first is {first}."),
        phrase("Save the files again from their source, or leave them out."),
    ),
    "truncated": Sentences(
        phrase("Cut short: {images}"),
        phrase("The end of the file is missing, as after an interrupted copy; the first is {first}."),
        phrase("Copy the files again from their source."),
    ),
    "lost": Sentences(
        phrase("Read in part: {images}"),
        phrase("Of these files something is lost in reading: {what}."),
        phrase("Save what you need as a plain image, if it matters."),
    ),
    "tiny": Sentences(
        phrase("Tiny: {images}"),
        phrase("Their shorter side is below {side} pixels."),
        phrase("Look whether they are thumbnails or cut wrongly."),
    ),
    "blank": Sentences(
        phrase("Nothing to be seen: {images}"),
        phrase("All their points have nearly the same level."),
        phrase("Look whether the camera or the light was off, and leave them out."),
    ),
    "dark": Sentences(
        phrase("Very dark: {images}"),
        phrase("All but 1 % of their points have a level below {level} of 255, and most other images do not."),
        phrase("Take them again with more light, or keep them only if such parts come in production."),
    ),
    "bright": Sentences(
        phrase("Washed out: {images}"),
        phrase("All but 1 % of their points have a level above {level} of 255."),
        phrase("Take them again with a shorter exposure."),
    ),
    "blurred": Sentences(
        phrase("Blurred: {images}"),
        phrase("For their contrast they have less than a quarter of the usual fine detail."),
        phrase("Look whether they are out of focus; small defects cannot be seen in them."),
    ),
    "odd_size": Sentences(
        phrase("Of an odd size: {images}"),
        phrase(
            "Most images are about {usual} pixels; these have other proportions, or are four times as large or small."
        ),
        phrase("Cut all images alike; otherwise the size itself may tell the class."),
    ),
    "odd_channels": Sentences(
        phrase("Another number of colours: {images}"),
        phrase("Most images have {usual} channels (channels and images: {others})."),
        phrase("Save all images as gray or all as colour."),
    ),
    "odd_depth": Sentences(
        phrase("Another bit depth: {images}"),
        phrase("Most images have {usual} bits (bits and images: {others}); training leaves the others out."),
        phrase("Take all images with one camera setting, or convert them."),
    ),
    "copies_labels": Sentences(
        phrase("The same picture with different labels: {images}"),
        phrase("All pixels are equal, so at least one label of each set is wrong (sets: {sets})."),
        phrase("Decide which label holds."),
    ),
    "copies_parts": Sentences(
        phrase("The same picture in two parts of the data: {images}"),
        phrase("What is learnt by heart in one part is tested in the other (sets of equal pictures: {sets})."),
        phrase("Keep each picture in one part; --fix keeps that of the test part."),
    ),
    "copies_same": Sentences(
        phrase("Exact copies within a class: {images}"),
        phrase("They are equal in every pixel (sets: {sets}; copies that are equal in every byte: {equal_files})."),
        phrase("Keep one of each, or they count twice and may end up in training and test."),
    ),
    "near_labels": Sentences(
        phrase("Nearly the same picture with different labels: {images}"),
        phrase(
            "Laid on each other, they agree more than any two different images do here (sets: {sets}; line "
            "{line}; false accusations expected: {expected})."
        ),
        phrase("Look at the pictures and decide which label holds."),
    ),
    "near_parts": Sentences(
        phrase("A near copy in another part of the data: {images}"),
        phrase(
            "Laid on each other, they agree more than any two different images do here (sets: {sets}; line "
            "{line}; false accusations expected: {expected}), so what is learnt by heart is tested."
        ),
        phrase("Give the images of a set one group and one part; --fix does both."),
    ),
    "near_same": Sentences(
        phrase("A near copy: {images}"),
        phrase(
            "Laid on each other, they agree more than any two different images do here (sets: {sets}; line "
            "{line}; false accusations expected: {expected})."
        ),
        phrase("Give the images of a set one group, so that they are never split; --fix writes it."),
    ),
    "near_reach": Sentences(
        phrase("How well near copies would be found here"),
        phrase(
            "Of {planted} copies made for a test (saved anew, lighter, half the size, cut, shifted, turned) "
            "{found} would be found; {proved} pairs were laid on each other, and the line is {line}."
        ),
        phrase("Nothing need be done."),
    ),
    "near_chance": Sentences(
        phrase("Near copies cannot be told from images that are alike"),
        phrase(
            "Above the line that is needed here ({line}), chance alone would take {expected} images for near copies of "
            "others. Nobody is accused; exact copies were looked for all the same."
        ),
        phrase("Name the part of each image in a column group, since pictures cannot tell."),
    ),
    "alike": Sentences(
        phrase("The images are too alike to judge near copies"),
        phrase(
            "Of {planted} copies made for a test only {found} would be told from different images. Nobody is "
            "accused; exact copies were looked for all the same."
        ),
        phrase("Name the part of each image in a column group, since pictures cannot tell."),
    ),
    "leak": Sentences(
        phrase("Several images show one part, and no groups are given"),
        phrase(
            "With a random split a mere look-up of the most similar image is right in {random} of cases; with "
            "whole groups held out in {held_out} (classes weighed equally). {order}"
        ),
        phrase(
            'Use groups: --group "{rule}" makes {groups} of them from the names ({inside} of the proven pairs lie '
            "inside); with --fix OUT.csv they are written."
        ),
    ),
    "leak_unnamed": Sentences(
        phrase("Many images are siblings, and no rule of their names tells which"),
        phrase("{siblings} of the images have a proven near copy. {order}"),
        phrase("Name the part of each image in a column group; --group alike takes the proven pairs alone."),
    ),
    "leak_order": Sentences(
        phrase("Many images are siblings, and no rule of their names tells which"),
        phrase("{order}"),
        phrase("Name the part of each image in a column group, since pictures cannot tell."),
    ),
    "no_leak": Sentences(
        phrase("No leak between images is seen"),
        phrase(
            "The most similar image is no nearer in the order of names than by chance ({share} within six "
            "places), and no grouping by name or time makes the look-up worse by five points."
        ),
        phrase("Nothing need be done."),
    ),
    "torn": Sentences(
        phrase("Groups in two parts of the data: {torn}"),
        phrase("Images of one part of production are learnt from and tested on: {groups}."),
        phrase("Give each group one part; --fix does."),
    ),
    "few_groups": Sentences(
        phrase("A class comes from one group only"),
        phrase("Class {classes} cannot be learnt from one part and tested on another."),
        phrase("Take images of more parts of this class."),
    ),
    "one_class": Sentences(
        phrase("There is one class only"),
        phrase("Only {classes} is there; telling apart needs two."),
        phrase("Add images of another class, or name the folder above."),
    ),
    "few": Sentences(
        phrase("Classes have fewer than {least} images"),
        phrase("So few images can hardly be learnt from, and prove nothing: {classes}."),
        phrase("Take more images of these classes; `zansa plan` says how many."),
    ),
    "imbalance": Sentences(
        phrase("The classes are uneven"),
        phrase("The largest class has {times} times as many images as the smallest: {classes}."),
        phrase("Training makes rare classes count more; judge by the rates of each class."),
    ),
    "missing": Sentences(
        phrase("Classes are missing in the part {part}"),
        phrase("There is no image of {classes} in it."),
        phrase("Move some whole groups of these classes there, or leave the split to zansa."),
    ),
    "shortcut": Sentences(
        phrase("A class can be told from {property} alone"),
        phrase(
            "Of the {m} images with the {tail} {property}, {n} are {label}, where {chance} would be usual (p "
            "{p}). If this is set by camera or cutting, the network may learn it in place of the defect."
        ),
        phrase("Is it so? If yes, take or cut all images alike; if no, nothing need be done."),
    ),
    "shortcut_effect": Sentences(
        phrase("With few groups, shortcuts cannot be tested"),
        phrase(
            "There are {groups} groups; a test needs {least}. The strongest sign is {property}: of the {m} images "
            "with the {tail} values {n} are {label}."
        ),
        phrase("Look at it; more parts would tell."),
    ),
    "suspects": Sentences(
        phrase("The label may be wrong: {images}"),
        phrase(
            "{how}. Of {flipped} labels changed on purpose for a test, {recalled} were found so; of the others "
            "{accused} is accused."
        ),
        phrase("Look at each picture; borderline ones belong to limit samples. --fix marks them in a column suspect."),
    ),
    "labels_fine": Sentences(
        phrase("No wrong label is suspected"),
        phrase(
            "Of {flipped} labels changed on purpose for a test, {recalled} were found; of the others none is accused."
        ),
        phrase("Nothing need be done."),
    ),
    "unchecked": Sentences(
        phrase("This data cannot be checked for wrong labels yet"),
        phrase(
            "Of {flipped} labels changed on purpose for a test, only {recalled} were found where 2 % of the "
            "others are accused. Nobody is accused."
        ),
        phrase("Have a second person label a hundred images anew; more images make it possible."),
    ),
    "most_only": Sentences(
        phrase("Of so many images some checks saw a part"),
        phrase("{what} looked at {seen} of {all} images."),
        phrase("Nothing need be done."),
    ),
}
ORDER_TOLD = phrase(
    "Of the images {share} have their nearest neighbour within six places of {order}, {shuffled} when shuffled."
)
ORDER_BY_STATISTICS = phrase(
    "Compared by plain statistics ({statistics}), {share} of the images have their nearest neighbour within six places "
    "of {order}, {shuffled} when shuffled."
)
HOW = {
    "siblings": phrase("None of their five nearest neighbours has their label"),
    "margins": phrase("A small network that learnt them for a while held another label for more likely throughout"),
}
CHECKS = {
    "labels": phrase("The check of labels"),
    "near": phrase("The search"),
}
ORDERS = (phrase("the order of names"), phrase("the order of number {k}"))
STATISTICS = {  # proof.traits.TRAITS in words
    "mean": phrase("mean level"),
    "sd": phrase("spread of levels"),
    "darkest": phrase("darkest point"),
    "1 %": phrase("1 % quantile of levels"),
    "25 %": phrase("25 % quantile of levels"),
    "median": phrase("median level"),
    "75 %": phrase("75 % quantile of levels"),
    "99 %": phrase("99 % quantile of levels"),
    "brightest": phrase("brightest point"),
    "step across": phrase("mean gradient across"),
    "step down": phrase("mean gradient down"),
    "99 % step": phrase("99 % quantile of gradients"),
    "largest step": phrase("largest gradient"),
    "grain": phrase("graininess"),
    "block sd": phrase("spread of coarse blocks"),
    "block range": phrase("range of coarse blocks"),
    "darkest block": phrase("darkest coarse block"),
    "brightest block": phrase("brightest coarse block"),
    "block step across": phrase("coarse gradient across"),
    "block step down": phrase("coarse gradient down"),
    "middle - border": phrase("middle less border"),
    "left - right": phrase("left less right"),
    "top - bottom": phrase("top less bottom"),
    "colour": phrase("mean saturation"),
    "most colour": phrase("highest saturation"),
}
SHARE_OF_MEAN = phrase("{what} as a share of the mean")
TAILS = {
    "low": phrase("lowest"),
    "high": phrase("highest"),
}
PROPERTIES = {
    "width": phrase("image width"),
    "height": phrase("image height"),
    "aspect": phrase("proportions (width to height)"),
    "area": phrase("image size"),
    "weight": phrase("bytes per pixel"),
    "format": phrase("file format"),
    "channels": phrase("number of colours"),
    "depth": phrase("bit depth"),
    "quality": phrase("JPEG compression"),
    "taken": phrase("time of exposure"),
    "hour": phrase("hour of exposure"),
    "changed": phrase("time of the file"),
    "mean": phrase("brightness"),
    "spread": phrase("contrast"),
    "low": phrase("darkest points"),
    "high": phrase("brightest points"),
    "grain": phrase("fine grain"),
    "step": phrase("mean gradient"),
    "border": phrase("brightness of the border"),
    "border_spread": phrase("contrast of the border"),
    "border_step": phrase("border less middle brightness"),
    "corner_0": phrase("upper left corner's brightness"),
    "corner_1": phrase("upper right corner's brightness"),
    "corner_2": phrase("lower left corner's brightness"),
    "corner_3": phrase("lower right corner's brightness"),
}


def worded(kind: str, images: int, facts: Mapping[str, Any]) -> dict[str, str]:
    """Title, why and do of a finding in the language that is spoken."""
    filled = {**_in_words(facts), "images": counted(images, "image")}
    return {name: say(text, **filled) for name, text in FINDINGS[kind]._asdict().items()}


def _in_words(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Facts as they are said: what is a key of the tables above by its words, shares of agreement in two digits."""
    words: dict[str, Any] = dict(facts)
    tables = {"property": PROPERTIES, "tail": TAILS, "how": HOW, "what": CHECKS}
    for name, table in tables.items():
        if facts.get(name) in table:
            words[name] = say(table[facts[name]])
    for name, form in (("line", ".2f"), ("expected", ".1f" if facts.get("expected", 0) < 10 else ".0f")):
        if name in facts:
            words[name] = format(facts[name], form)
    if isinstance(facts.get("order"), Mapping):
        told = facts["order"]
        order = say(ORDERS[told["field"] > 0], k=told["field"])
        statistics = ", ".join(map(_statistic, told.get("statistics", ())))
        text = ORDER_BY_STATISTICS if statistics else ORDER_TOLD
        words["order"] = say(text, **{**told, "order": order, "statistics": statistics})
    return words


def _statistic(name: str) -> str:
    """A statistic that the audit names "left - right / mean", in words."""
    what, _, share = name.partition(" / ")
    told = say(STATISTICS[what])
    return say(SHARE_OF_MEAN, what=told) if share else told
