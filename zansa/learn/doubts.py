"""Where a data set speaks against a default: in seconds, by plain rules on training samples, before any training.

Two defaults cost most where they are wrong. Mirroring or turning in training makes classes alike that are each other's
mirrored or turned image (signs that point left and right). A stem that compares with the neighbourhood takes away the
level, which can be what tells the classes. A default is changed only where the evidence is clear; otherwise it stands.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.ndimage import uniform_filter
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, StratifiedKFold

from ..arch.spec import Net
from ..inputs.images import fit_image, image_header, read_like
from ..proof.exact import lower_limit, upper_limit
from ..proof.traits import thumbnails, traits
from .data.dataset import Dataset
from .recipe import Augment, Recipe

LOOKED_AT = 2000  # training images that tell of mirror images, at most
MEASURED = 600  # training images that tell of the level, at most
DETAILED = 300  # training images that are read anew to tell of fine detail, at most
HEADERS = 20  # of them tell how large the files are
SHRUNK = 1.5  # times smaller than its file an image must be
LARGEST = 512  # pixels of a side to compare with
FOLDS = 3
LEAST = 5  # images of a class, below which it tells nothing
HALF = 0.5  # of the turned images of both classes must look like the other one
CLEAR = 3.0  # standard errors by which one kind of statistics must be better than the other
BETTER = 0.8  # and its loss at most this share of the other's
Images = np.ndarray  # (N, H, W, C)
Folds = list[tuple[np.ndarray, np.ndarray]]


class Turn(NamedTuple):
    """A way in which training changes images that could change their class.

    needs: the switches of the augmentation that together do it.
    off: the switch that is set to False against it.
    verb: what training does not do, in words.
    changed: what such images are called.
    turn, back: the change, and the one that undoes it.
    """

    needs: tuple[str, ...]
    off: str
    verb: str
    changed: str
    turn: Callable[[Images], Images]
    back: Callable[[Images], Images]


def _left(images: Images) -> Images:
    return np.rot90(images, 1, (1, 2))


def _right(images: Images) -> Images:
    return np.rot90(images, -1, (1, 2))


def _half(images: Images) -> Images:
    return np.flip(images, (1, 2))


def _across(images: Images) -> Images:
    return np.flip(images, 2)


def _down(images: Images) -> Images:
    return np.flip(images, 1)


TURNS = (
    Turn(("flip_x",), "flip_x", "mirror left and right", "mirrored", _across, _across),
    Turn(("flip_y",), "flip_y", "mirror top and bottom", "mirrored", _down, _down),
    Turn(("flip_x", "flip_y"), "flip_y", "mirror top and bottom", "upside-down", _half, _half),
    Turn(("quarter_turns",), "quarter_turns", "turn by quarters", "turned", _left, _right),
    Turn(("quarter_turns",), "quarter_turns", "turn by quarters", "upside-down", _half, _half),
)
SWITCHES = tuple(dict.fromkeys(turn.off for turn in TURNS))


@dataclass(frozen=True)
class Doubt:
    """A default that the data speak against.

    default: the switch of the augmentation ("flip_x", "flip_y", "quarter_turns"), "contrast" for the stem, or "size".
    told: one sentence for people: what is changed, why, and how to change it back.
    stays: whether it is only told: because it was asked for, or because only people know whether its price is worth it.
    larger: the size of images that is advised, (height, width); None for other defaults.
    """

    default: str
    told: str
    stays: bool = False
    larger: tuple[int, int] | None = None


def doubts(
    data: Dataset, train: np.ndarray, augment: Augment, contrast: int, asked: Mapping[str, Any] | None = None
) -> list[Doubt]:
    """The defaults that the training images speak against; [] for series.

    data: the data set.
    train: indices of its training part.
    augment: what training would do.
    contrast: the window of the contrast stem in pixels that the network would have, 0 for none or where it was named.
    asked: the switches of the augmentation that were asked for.
    """
    if data.preprocess.series:
        return []
    level = level_doubt(data, train, contrast) if contrast else None
    detail = detail_doubt(data, train)
    return [*turn_doubts(data, train, augment, asked), *(doubt for doubt in (level, detail) if doubt)]


def undoubted(recipe: Recipe, raised: Sequence[Doubt]) -> Recipe:
    """The recipe without the changes of images that the data speak against."""
    off = {doubt.default: False for doubt in raised if doubt.default in SWITCHES and not doubt.stays}
    return recipe.model_copy(update={"augment": recipe.augment.model_copy(update=off)})


def levelled(net: Net, raised: Sequence[Doubt]) -> Net:
    """The network without the contrast stem, where the data speak against it."""
    doubted = any(doubt.default == "contrast" for doubt in raised)
    return net.but({"stem": net.stem.but({"contrast": 0})}) if doubted else net


def turn_doubts(
    data: Dataset, train: np.ndarray, augment: Augment, asked: Mapping[str, Any] | None = None
) -> list[Doubt]:
    """A doubt for each switch that makes two classes alike: of which at least half of the turned images of each look
    like the other one to a linear rule that tells the images themselves apart."""
    on = {name for name in SWITCHES if getattr(augment, name)}
    if not on:
        return []
    index = some_of(train, LOOKED_AT)
    images, labels = data.images[index], data.labels[index]
    plain = thumbnails(images)
    rules: list[tuple[LogisticRegression, np.ndarray]] = []
    for learn, judge in held_out_folds(data, index):
        rules.append((fitted_rule(LogisticRegression(C=100, max_iter=200), plain[learn], labels[learn]), judge))

    def told_of(changed: Images) -> np.ndarray:
        values, seen = thumbnails(changed), np.zeros((len(data.classes),) * 2, np.int64)  # class, answer
        for rule, judge in rules:
            np.add.at(seen, (labels[judge], rule.predict(values[judge])), 1)
        return seen

    as_they_are = told_of(images)
    found: dict[str, Doubt] = {}
    for turn in TURNS:
        if turn.off in found or not on >= set(turn.needs):
            continue
        turned = told_of(turn.turn(images))
        back = turned if turn.back is turn.turn else told_of(turn.back(images))
        pair = _each_other(as_they_are, turned, back)
        if pair is not None:
            found[turn.off] = _turn_doubt(turn, data.classes, turned, pair, bool((asked or {}).get(turn.off)))
            on.discard(turn.off)
    return list(found.values())


def _turn_doubt(turn: Turn, classes: tuple[str, ...], turned: np.ndarray, pair: tuple[int, int], asked: bool) -> Doubt:
    one, other = (classes[k] for k in pair)
    why = (
        f"{turned[pair]} of {turned[pair[0]].sum()} {turn.changed} images of {one!r} look like {other!r} to a plain "
        "rule, and the reverse"
    )
    if asked:
        return Doubt(turn.off, f"{turn.off} was asked, although {why}: training makes these classes alike", stays=True)
    return Doubt(turn.off, f"training does not {turn.verb}, because {why} (--race none does it all the same)")


def _each_other(plain: np.ndarray, turned: np.ndarray, back: np.ndarray) -> tuple[int, int] | None:
    """The pair of classes of which the first looks most like the second when it is turned, and the second like the
    first when it is turned back, where that is clear."""
    total = plain.sum(1)
    told = np.flatnonzero((total >= LEAST) & (np.diag(plain) >= HALF * total))
    best, found = 0.0, None
    for a in told:
        for b in told[told != a]:
            like = min(turned[a, b] / total[a], back[b, a] / total[b])
            sure = all(
                lower_limit(seen[x, y], total[x], 0.975) > upper_limit(plain[x, y], total[x], 0.975)
                for seen, x, y in ((turned, a, b), (back, b, a))
            )
            if like >= HALF and sure and like > best:
                best, found = like, (int(a), int(b))
    return found


def level_doubt(data: Dataset, train: np.ndarray, window: int) -> Doubt | None:
    """Whether plain statistics of the images as they are tell the classes clearly better than those of images that were
    compared with their neighbourhood, as the contrast stem does it."""
    index = some_of(train, MEASURED)
    images, labels = data.images[index].astype(np.float32), data.labels[index]
    found = _better(images, _compared(images, window), labels, held_out_folds(data, index))
    if not found:
        return None
    return Doubt(
        "contrast",
        "the network sees levels as they are, because plain statistics tell the classes better by them than after a "
        f"comparison with the neighbourhood ({found}; --race none compares all the same)",
    )


def detail_doubt(data: Dataset, train: np.ndarray) -> Doubt | None:
    """Whether plain statistics of larger images tell the classes clearly better than those of images of the network's
    size; None where files are hardly larger than that, or not there."""
    pre = data.preprocess
    index = some_of(train, DETAILED)
    larger = _larger(data, index)
    if larger is None:
        return None
    images = np.stack([fit_image(read_like(data.files[i], pre)[0], larger, pre.fit) for i in index])
    found = _better(images, data.images[index], data.labels[index], held_out_folds(data, index))
    if not found:
        return None
    times = larger[0] * larger[1] / (pre.size[0] * pre.size[1])
    return Doubt(
        "size",
        f"plain statistics tell the classes better on images of {larger[0]} x {larger[1]} pixels than of {pre.size[0]} "
        f"x {pre.size[1]} ({found}), so fine detail is lost: try --size {larger[0]}x{larger[1]}, which costs about "
        f"{times:.0f} times as much",
        stays=True,
        larger=larger,
    )


def _larger(data: Dataset, index: np.ndarray) -> tuple[int, int] | None:
    """A size (height, width) that shows more detail than the network's, where the files have it."""
    if not data.files:
        return None
    height, width = data.preprocess.size
    factor = min(file_side(data, index), LARGEST) / max(height, width)
    return (round(height * factor), round(width * factor)) if factor >= SHRUNK else None


def file_side(data: Dataset, index: np.ndarray) -> float:
    """The usual longer side of the files of these images, in pixels, by some of them."""
    return float(np.median([max(image_header(data.files[i])[:2]) for i in some_of(index, HEADERS)]))


def _better(images: Images, others: Images, labels: np.ndarray, folds: Folds) -> str:
    """The two losses in words where plain statistics of the first images tell the classes clearly better than those of
    the others, "" where they do not."""
    one, other = (_losses(traits(each), labels, folds) for each in (images, others))
    error = (other - one).std() / len(one) ** 0.5
    if (other - one).mean() <= CLEAR * error or one.mean() >= BETTER * other.mean():
        return ""
    return f"held-out loss {one.mean():.2f} against {other.mean():.2f} ± {error:.2f}"


def _losses(values: np.ndarray, labels: np.ndarray, folds: Folds) -> np.ndarray:
    """Every sample's loss (N,) in nats by a linear rule that was taught on other folds."""
    found = np.zeros(len(labels))
    for learn, judge in folds:
        mean, spread = values[learn].mean(0), values[learn].std(0) + 1e-9
        scaled = np.clip((values - mean) / spread, -5, 5)
        rule = fitted_rule(LogisticRegression(max_iter=300), scaled[learn], labels[learn])
        p = np.full((len(judge), labels.max() + 1), 1e-3)
        p[:, rule.classes_] = rule.predict_proba(scaled[judge])
        found[judge] = -np.log(np.maximum(p[np.arange(len(judge)), labels[judge]], 1e-3))
    return found


def fitted_rule(rule: LogisticRegression, values: np.ndarray, labels: np.ndarray) -> LogisticRegression:
    """The rule, fitted in place to values (N, F) and their classes (N,); it need not be polished."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        rule.fit(values, labels)
    return rule


def _compared(images: np.ndarray, window: int) -> np.ndarray:
    """Images (N, H, W, C) less their neighbourhood's mean, over its deviation (see nets.build.Contrast)."""
    grey = images.mean(axis=3)
    centred = grey - uniform_filter(grey, (0, window, window))
    variance = uniform_filter(centred**2, (0, 2 * window, 2 * window))
    return (centred / np.sqrt(variance + (0.05 * grey.std()) ** 2))[..., None]


def held_out_folds(data: Dataset, index: np.ndarray) -> Folds:
    """Which of these samples teach and which judge, FOLDS times, by their places in the index; groups stay whole."""
    labels = data.labels[index]
    if data.groups is not None and len(set(data.groups[index])) >= FOLDS:
        return list(GroupKFold(FOLDS).split(labels, labels, data.groups[index]))
    return list(StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(labels, labels))


def some_of(index: np.ndarray, most: int) -> np.ndarray:
    """At most so many entries of an index, evenly."""
    return index[np.linspace(0, len(index) - 1, min(most, len(index))).astype(int)]
