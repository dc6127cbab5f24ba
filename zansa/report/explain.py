"""The page of `zansa explain`: each sample with its map, how far the map can be relied on, what its blocks added, and
the known samples like it."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from ..phrases import phrase, retold, say, speaking
from ..words import SPACE, counted, percent, plain_percent, rate_text
from . import drawing, page
from .page import Content, Frame, Section

MAPS = {
    "relevance": phrase("layer-wise relevance: what each place added, followed back through every layer"),
    "stage": phrase("HiResCAM: what each place of a middle stage added"),
    "class": phrase("class map: what each place of the last stage added, exactly, and coarsely"),
    "occlusion": phrase("occlusion: by how much the answer falls where a patch is blurred"),
}
WORDS = {
    "rely": phrase("rely"),
    "with care": phrase("with care"),
    "do not rely": phrase("do not rely"),
    "refused": phrase("map not shown"),
    "nothing to mark": phrase("nothing to mark"),
}
CHECKS = (  # what a verdict asks, and the least that passes
    (phrase("complete: its places and what every {image} is given add up to the decision"), phrase("to 1 %")),
    (
        phrase("specific: the same network with shuffled weights draws other maps"),
        phrase("rank correlation at most 0.2"),
    ),
    (
        phrase("faithful: the region that is marked most matters more than that region elsewhere"),
        phrase("p at most 0.05, and the region alone brings back half of the decision"),
    ),
    (
        phrase("stable: it stays where the {image} is changed by what nobody sees"),
        phrase("rank correlation at least 0.7"),
    ),
    (
        phrase("neighbours: the known {image}s like it are defects too (or of the class that was named)"),
        phrase("4 of 5"),
    ),
)
MORE = phrase("{count} of {all} {noun}s; --most takes more")  # of the record, to be retold
TOP = 3  # blocks that are named
Record = Mapping[str, Any]


def html(record: Record, language: str = "en") -> str:
    """The page of a record of `jobs.explain` as HTML text."""
    with speaking(language):
        frame = Frame(
            name=say("Why {name} answers so", name=record["name"]),
            footer=say("A map says what counted for the network, not whether it was right."),
            date=record["date"],
            noun=record["noun"],
        )
        sections = {
            "images": Section(phrase("What was explained"), _images, "explain.html"),
            "verdict": Section(phrase("How far a map can be relied on"), _verdict),
            "blocks": Section(phrase("Which block decided"), _blocks, "explain_blocks.html"),
        }
        return page.html(frame, record, sections, page.statement(*sentences(record)))


def without_pictures(record: Record) -> dict[str, Any]:
    """The record as it is printed."""
    images = [
        {key: value for key, value in each.items() if key != "pictures"}
        | {"neighbours": [{k: v for k, v in one.items() if k != "picture"} for one in each["neighbours"]]}
        for each in record["images"]
    ]
    return dict(record) | {"images": images}


def sentences(record: Record) -> Iterator[str]:
    """What is explained, and how far it can be relied on."""
    count = counted(len(record["images"]), record["noun"])
    yield say("{count} explained by {map}.", count=count, map=say(MAPS[record["map"]]))
    yield (
        say("Red speaks for a defect, blue against it; the colours of all {image}s have one scale.")
        if record["good"]
        else say(
            "Red speaks for the class that was named, blue against it; the colours of all {image}s have one scale."
        )
    )
    found = Counter(each["verdict"]["word"] for each in record["images"])
    words = say(", ").join(f"{say(WORDS[word])} {found[word]}" for word in WORDS if found[word])
    yield say("Verdicts on the maps: {words}.", words=words)
    yield _likeness(record)
    if record["calibration"] is None:
        yield say("What these words are worth cannot be calibrated here: no masks of defects were given.")
    for text in record["left_out"]:
        yield say("Left out: {reason}", reason=retold(text))


def _likeness(record: Record) -> str:
    """Whether the maps are those of this network."""
    value = record["likeness"]
    if value is None:
        return say("Whether the maps are this network's own was not measured: that takes 8 {image}s, or --data.")
    if any(each["grades"].get("specific") == 0 for each in _verdicts(record)):
        return say(
            "No map of a rejected {image} is shown: with shuffled weights the network draws nearly the same ones "
            "(rank correlation {value}).",
            value=f"{value:.2f}",
        )
    return say("With shuffled weights the network draws other maps (rank correlation {value}).", value=f"{value:.2f}")


def _verdicts(record: Record) -> Iterator[Record]:
    return (each["verdict"] for each in record["images"])


def _images(record: Record) -> Content:
    """Each sample with its pictures and sentences."""
    return {
        "near": say("The known {image}s most like it, the nearest first, and the nearest of each class in question:"),
        "images": [
            dict(each) | {"verdict_text": say(WORDS[each["verdict"]["word"]]), "told": list(_of_image(each, record))}
            for each in record["images"]
        ],
    }


def _of_image(each: Record, record: Record) -> Iterator[str]:
    odds = f"{each['log_odds']:.2f}"
    if record["good"]:
        yield say("The network names {name}; the log-odds of a defect are {odds}.", name=each["class"], odds=odds)
    else:
        yield say("The network names {name}; the log-odds of it are {odds}.", name=each["class"], odds=odds)
    if each.get("note"):
        yield say("As it was read: {note}.", note=retold(each["note"]))
    if each["verdict"]["word"] != "refused":
        yield _place(each, record)
    yield from _reasons(each, record)
    if each["sums"] is not None:
        whole, places, offsets = (f"{value + 0.0:.2f}" for value in each["sums"])
        yield say(
            "With the shares of the classes held fixed, {whole} is explained: {places} by places, {offsets} by what "
            "the network adds to every {image}.",
            whole=whole,
            places=places,
            offsets=offsets,
        )
    top = sorted(each["blocks"].items(), key=lambda item: -abs(item[1]))[:TOP]
    yield say("Most was added by {blocks}.", blocks=", ".join(f"{name} ({value:+.2f})" for name, value in top))


def _place(each: Record, record: Record) -> str:
    """The strongest place of a map."""
    at = each["strongest"]
    if at is None:
        return say("No place speaks clearly for it.")
    if len(at) == 2:
        return say("The strongest place is at x {x}, y {y}.", x=at[0], y=at[1])
    if each["around"]:
        return say("The strongest place is letter {at} (… {letters} …).", at=at[0], letters=each["around"])
    return say("The strongest place is number {at}.", at=at[0])


def _reasons(each: Record, record: Record) -> Iterator[str]:
    """What the verdict on one map is worth, and why it is no better."""
    checks, grades, word = (each["verdict"][key] for key in ("checks", "grades", "word"))
    if not checks:
        yield say("The network accepts it, so no place is marked as a defect, and no verdict is given.")
        return
    known = (record["calibration"] or {}).get("words", {}).get(word)
    if known and word != "refused":
        yield say("In such cases the strongest place was the defect: {rate}.", rate=rate_text(known))
    if faults := [_fault(name, checks[name]) for name, grade in grades.items() if grade < 2]:
        yield say("Why not better: {faults}.", faults=say("; ").join(faults))
    p, restored = checks["faithful"]
    if word != "refused":
        yield say(
            "The region that is marked most: p = {p} against that region elsewhere; alone it brings back {share}; "
            "under small changes the map keeps a rank correlation of {kept}.",
            p=f"{p:.2f}",
            share=f"{100 * max(0.0, restored):.0f}{SPACE}%",
            kept=f"{1 - checks['stable'][0]:.2f}",
        )


def _fault(name: str, values: list[Any]) -> str:
    """What is weak or failed of a map."""
    value = values[0]
    if name == "complete":
        if value is None:
            return say("maps of this kind add up to nothing that could be checked")
        return say("its places miss {share} of the decision", share=percent(value))
    if name == "specific":
        if value is None:
            return say("whether it is this network's own was not measured")
        return say("a network with shuffled weights draws nearly the same map")
    if name == "faithful":
        if values[1] is not None and value <= 0.05:
            return say("the marked region alone brings back less than half of the decision")
        return say("the marked region matters no more than that region elsewhere")
    if name == "stable":
        return say("it changes where the {image} is changed by what nobody sees")
    return say("only {count} of 5 known {image}s like it are defects too (or of the class that was named)", count=value)


def _verdict(record: Record) -> Content:
    """What is asked of a map, and what the words were worth where masks showed the defect."""
    known = record["calibration"]
    lead = say(
        "The verdict on a map is the weakest of five checks. Where the first or the second fails, no map is shown."
    )
    if known is None:
        hints = [
            say(
                "What the words are worth cannot be calibrated here. With --masks FOLDER, masks of defects named like "
                "the run's images, it is counted on validation images."
            )
        ]
        return page.plain(lead, _checks(), hints)
    hints = [
        say(
            "Counted on {count} rejected validation images with a marked defect: how often the strongest place lay on "
            "it, or beside it by a twentieth of the longer side. A place drawn by lot would in {chance}. On a good "
            "part that is rejected, nothing that is marked is a defect.",
            count=known["count"],
            chance=percent(known["chance"]),
        )
    ]
    rates = [(say(WORDS[word]), (known["words"][word],)) for word in WORDS if word in known["words"]]
    return page.plain(lead, _checks(), hints, (say("the strongest place was the defect"),), rates)


def _checks() -> list[tuple[str, str]]:
    return [(say(what), say(least)) for what, least in CHECKS]


def _blocks(record: Record) -> Content:
    """The network drawn, with what each block added in the mean of the samples."""
    whole = sum(record["blocks"].values()) or 1.0
    shares = {name: value / whole for name, value in record["blocks"].items()}
    hint = (
        phrase("On every {image} the blocks add up to the change from a network without them, to 1 %.")
        if record["complete"]
        else phrase("On some {image}s the blocks do not add up to the change from a network without them, to 1 %.")
    )
    return drawing.by_share(drawing.network(record["spec"]), shares) | {
        "lead": say("The size of what each block added, in the mean of these {image}s. Strong colours: more."),
        "pairs": [(name, plain_percent(value)) for name, value in shares.items()],
        "hints": [say(hint)],
    }
