"""Here the data come in: they are read, split and normalised, and the caller is told what is wrong with them."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ..arch.zoo import READY
from ..events import Event, event
from ..inputs.images import read_image
from ..learn.class_sampling import more_often
from ..learn.data import load
from ..learn.data.audit import contradictions, leaks
from ..learn.data.dataset import Dataset, normalised_for
from ..learn.data.public import SETS as PUBLIC_SETS
from ..learn.data.splits import Parts, all_but_validation, folds, split
from ..learn.data.synthetic import NAMES as BUILTIN
from ..learn.data.synthetic import builtin
from ..learn.recipe import Recipe
from ..proof.good import good_class, speaks_of_inspection, unknown_good
from ..words import counted, plain_percent, typed
from .request import Request, Tell, folds_of, learned_weights

DIGEST_OF = "pixels"  # by what images are known again when a run goes on
PARITY_IMAGES = 64  # validation samples that the exported file must answer as the network does
FEW_TO_DECIDE = 10  # validation samples of a class
FEW_UNITS = 2  # groups of a class

NO_GROUPS = {
    False: "no groups are given: when several pictures show one part, name it in a manifest's group column",
    True: "no groups are given: when several rows come from one person or machine, name it in a column group",
}


def door(request: Request, tell: Tell) -> tuple[Dataset, Parts]:
    """The data set, normalised on its training part or as the weights of a package are used to, and its parts. `tell`
    hears what is wrong with them."""
    ready = READY.get(learned_weights(request) or "")
    if request.source in BUILTIN:
        data = builtin(request.seed, name=request.source)
    else:
        data = load(
            request.source,
            size=request.size or (ready.size if ready else None),
            fit=request.fit,
            channels=request.channels,
            kind=request.kind,
            root=Path(request.root) if request.root else None,
            download=request.download,
            progress=lambda done, total: tell(event("read", done=done, total=total)),
        )
    for problem in data.problems:  # before anything is refused: they may be why
        tell(event("warning", text=problem))
    parts = all_parts(data, request)
    for fault, pairs in (("stands in two parts", leaks(data, parts)), ("has two labels", contradictions(data))):
        if pairs:
            shown = "; ".join(f"{one} and {other}" for one, other in pairs[:3])
            more = f"; and {len(pairs) - 3} more pairs" if len(pairs) > 3 else ""
            tell(event("warning", text=f"the same {data.preprocess.noun} {fault}: {shown}{more}"))
    return normalised_for(data, ready.mean, ready.std) if ready else data.normalised(parts.train), parts


def all_parts(data: Dataset, request: Request) -> Parts:
    """The parts of the data. By folds every sample is held out once, by other networks, and this one has no test
    part."""
    if folds_of(request) is None:
        return split(data, request.seed, request.val, request.test)
    folds(data, folds_of(request) or 0, request.seed, request.val)  # refuses what cannot be held out
    return all_but_validation(data, request.seed, request.val)


def remarks(data: Dataset, parts: Parts, recipe: Recipe) -> list[str]:
    """What was decided from the data alone, with its reason."""
    counts = np.bincount(data.labels[parts.train], minlength=len(data.classes))
    few, many, noun = int(counts.argmin()), int(counts.argmax()), data.preprocess.noun
    proof = f"{len(parts.test)} to prove it" if len(parts.test) else "and every one to prove it, held out once"
    sizes = f"{len(parts.train)} {noun}s to learn from, {len(parts.val)} to decide by, {proof}"
    texts = [*data.remarks, sizes]
    if recipe.balance != "none" and counts[many] > 2 * counts[few]:
        texts.append(
            f"the classes are uneven ({data.classes[few]} {counts[few]}, {data.classes[many]} {counts[many]} {noun}s): "
            f"rare ones are made to count in training (balance {recipe.balance}; --balance none switches it off)"
        )
    if shown := more_often(data.labels[parts.train], data.classes, recipe.repeat):
        rare = ", ".join(f"{name} × {times:.2g}" for name, times in shown.items())
        texts.append(f"rare classes are shown more often in training (repeat {recipe.repeat:g}): {rare}")
    texts += [text for text in (apart(data), few_to_decide(data, parts), few_units(data), copied(data)) if text]
    if data.groups is None and data.split is None:
        texts.append(NO_GROUPS[data.preprocess.series])
    return texts


def apart(data: Dataset) -> str:
    """That samples are judged by themselves in spite of their groups; "" where they are not."""
    noun, share = data.preprocess.noun, plain_percent(data.in_mixed_groups)
    told = (
        f"{share} of the {noun}s stand in groups of several classes: groups are kept whole in the split, and each "
        f"{noun} is judged by itself"
    )
    return told if data.judged_apart else ""


def few_to_decide(data: Dataset, parts: Parts) -> str:
    """What a validation part can decide that has too few samples of a class; "" where it has enough."""
    counts = np.bincount(data.labels[parts.val], minlength=len(data.classes))
    rarest = int(counts.argmin())
    if counts[rarest] >= FEW_TO_DECIDE:
        return ""
    if not counts[rarest]:
        return f"class {data.classes[rarest]} has no validation {data.preprocess.noun}: nothing about it can be decided"
    named = counted(int(counts[rarest]), f"validation {data.preprocess.noun}")
    return typed(
        f"class {data.classes[rarest]} has {named}: that is enough to tell what was learned from chance, but not which "
        f"of two good epochs or networks is better, nor a share of mistakes below 1 in {int(counts[rarest]) + 1}"
        + ("; `zansa train --folds 5` holds every sample out once" if len(parts.test) else "")
    )


def copied(data: Dataset) -> str:
    """How many samples are copies of others, which figures count as if each were new; "" where none is."""
    first: dict[str, str] = {}
    copies = [
        (name, kept)
        for name, key in zip(data.names, data.digests, strict=True)
        if (kept := first.setdefault(key, name)) != name
    ]
    if not copies:
        return ""
    (one, other), noun = copies[0], data.preprocess.noun
    many = f"{len(copies)} of {len(data)} {noun}s are copies of others ({one} of {other})"
    return f"{many}, and each counts in the figures: `zansa check` lists them"


def few_units(data: Dataset) -> str:
    """The classes whose samples all come from one or two groups; "" where there are none."""
    found = units(data) or {}
    counts = dict(zip(data.classes, np.bincount(data.labels, minlength=len(data.classes)), strict=True))
    noun = data.preprocess.noun
    told = [f"{name} {counts[name]} {noun}s of {n} part{'s' * (n > 1)}" for name, n in found.items() if n <= FEW_UNITS]
    return f"what is learned of these classes is what one or two parts look like ({', '.join(told)})" if told else ""


def units(data: Dataset) -> dict[str, int] | None:
    """How many groups the samples of each class come from; None where no groups are known."""
    if data.groups is None:
        return None
    return {name: len(set(data.groups[data.labels == k].tolist())) for k, name in enumerate(data.classes)}


def no_line(data: Dataset) -> Event | None:
    """What to tell where no class is known as the good one: a warning where the classes look like inspection."""
    text = unknown_good(data.classes, data.preprocess.noun)
    if text is None:
        return None
    inspected = len(data.classes) == 2 or speaks_of_inspection(data.classes)
    return event("warning" if inspected else "note", text=text)


def data_digest(data: Dataset, parts: Parts, of: str = DIGEST_OF) -> str:
    """One SHA-256 over samples, labels and parts. `of` is "pixels", or "files" in runs of older versions, which knew
    images by the bytes of their files."""
    digests: Iterable[str] = data.digests
    if of == "files" and data.files:
        digests = (hashlib.sha256(file.read_bytes()).hexdigest() for file in data.files)
    digest = hashlib.sha256("".join(digests).encode())
    for values in (data.labels, parts.train, parts.val, parts.test):
        digest.update(values.tobytes())
    return digest.hexdigest()


def refuse_blind_line(good: str | None, data: Dataset, parts: Parts) -> None:
    """ValueError when the line between good and defect could not be drawn after the training."""
    if good is not None and not (data.labels[parts.val] == data.classes.index(good)).any():
        raise ValueError(
            f"the validation part has no {data.preprocess.noun} of {good!r} to draw the line by; add some, or give a "
            "split"
        )


def good_of(asked: str | None, data: Dataset) -> str | None:
    """The class without a defect: as it was asked for, or told by its name; None where no name tells."""
    if asked is not None and asked not in data.classes:
        raise ValueError(f"no class is called {asked!r}; the classes: {', '.join(data.classes)}")
    return asked or good_class(data.classes)


def evenly(index: np.ndarray, count: int) -> np.ndarray:
    """At most `count` entries of an index, spread over the whole of it, because samples are in the order of their
    classes."""
    return index[np.linspace(0, len(index) - 1, min(count, len(index))).astype(int)]


def originals(data: Dataset, index: np.ndarray) -> list[np.ndarray]:
    """Images as they came, before they were brought to the network's size; series at the network's length."""
    pre = data.preprocess
    if not data.files:
        return list(data.images[index])
    return [read_image(data.files[i], pre.channels, pre.depth) for i in index]


def absolute(source: str) -> str:
    """The source as a path that stays true from any folder; names of built-in and public sets stay as they are."""
    if not source.strip():
        raise ValueError("no data was named; name a folder, a table, an .npz or a public set ('.' is this folder)")
    if source in BUILTIN and Path(source).exists():
        raise ValueError(f"{source!r} means the built-in set, and a folder of that name is here too: write ./{source}")
    return source if source in {*BUILTIN, *PUBLIC_SETS} else str(Path(source).expanduser().absolute())


def stem_of(source: str) -> str:
    """A run's name from its data."""
    path = Path(source)
    return path.stem if path.suffix else path.resolve().name
