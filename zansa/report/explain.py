"""The page of `zansa explain`: each image with its map, what its blocks added, and the known images like it."""

from collections.abc import Iterator, Mapping
from typing import Any

from ..phrases import phrase, say, speaking
from ..words import plain_percent
from . import page
from .page import Content, Frame, Section

MAPS = {
    "relevance": phrase("layer-wise relevance: what each place added, followed back through every layer"),
    "stage": phrase("HiResCAM: what each place of a middle stage added"),
    "class": phrase("class map: what each place of the last stage added, exactly, and coarsely"),
    "occlusion": phrase("occlusion: by how much the answer falls where a patch is blurred"),
}
TOP = 3  # blocks that are named
Record = Mapping[str, Any]


def html(record: Record, language: str = "en") -> str:
    """The page of a record of `jobs.explain` as HTML text."""
    with speaking(language):
        frame = Frame(
            name=say("Why {name} answers so", name=record["name"]),
            footer=say("A map says what counted for the network, not whether it was right."),
            date=record["date"],
        )
        sections = {
            "images": Section(phrase("Images"), _images, "explain.html"),
            "blocks": Section(phrase("Which block decided"), _blocks),
        }
        return page.html(frame, record, sections, page.statement(*sentences(record)))


def sentences(record: Record) -> Iterator[str]:
    """What is explained, and how far it can be relied on."""
    yield say("{count} images are explained by {map}.", count=len(record["images"]), map=say(MAPS[record["map"]]))
    yield (
        say("Red speaks for a defect, blue against it; the colours of all images have one scale.")
        if record["good"]
        else say("Red speaks for the class that was named, blue against it; the colours of all images have one scale.")
    )
    yield say("No verdict is given on whether a map can be relied on: that was not calibrated for this model.")
    for text in record["left_out"]:
        yield say("Left out: {reason}", reason=text)


def _images(record: Record) -> Content:
    """Each image with its pictures and sentences."""
    return {"images": [dict(each) | {"told": list(_of_image(each, record))} for each in record["images"]]}


def _of_image(each: Record, record: Record) -> Iterator[str]:
    odds = f"{each['log_odds']:.2f}"
    if record["good"]:
        yield say("The network names {name}; the log-odds of a defect are {odds}.", name=each["class"], odds=odds)
    else:
        yield say("The network names {name}; the log-odds of it are {odds}.", name=each["class"], odds=odds)
    if each["strongest"] is None:
        yield say("No place speaks clearly for it.")
    else:
        x, y = each["strongest"]
        yield say("The strongest place is at x {x}, y {y}.", x=x, y=y)
    if record["map"] == "relevance":
        whole, places, offsets = (f"{value + 0.0:.2f}" for value in each["sums"])
        yield say(
            "With the shares of the classes held fixed, {whole} is explained: {places} by places, {offsets} by what "
            "the network adds to every image.",
            whole=whole,
            places=places,
            offsets=offsets,
        )
    top = sorted(each["blocks"].items(), key=lambda item: -abs(item[1]))[:TOP]
    yield say("Most was added by {blocks}.", blocks=", ".join(f"{name} ({value:+.2f})" for name, value in top))


def _blocks(record: Record) -> Content:
    whole = sum(record["blocks"].values()) or 1.0
    hint = (
        phrase("On every image the blocks add up to the change from a network without them, to 1 %.")
        if record["complete"]
        else phrase("On some images the blocks do not add up to the change from a network without them, to 1 %.")
    )
    return page.plain(
        lead=say("The size of what each block added, in the mean of these images."),
        pairs=[(name, plain_percent(value / whole)) for name, value in record["blocks"].items()],
        hints=[say(hint)],
    )
