"""Images sorted into folders: one folder per class, or train, val and test folders of them."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from ...inputs.files import EXTENSIONS, Found, is_hidden, printable, survey, walk
from ...inputs.tables import TABLES
from ...proof.good import good_class, speaks_of_inspection
from .foreign import refuse_boxes, told_boxes
from .masks import FOLDER, KEPT, Pairs, told_kept, told_masks, way_by_masks, without_masks
from .sources import (
    DOUBTFUL,
    MANIFESTS,
    SPLIT_WORDS,
    Listing,
    is_no_class,
    part_of,
    says_nothing,
    shortened,
    stands_beside,
    way_out,
)
from .spelling import key

Tops = dict[str, list[Path]]  # of each folder with images: the images' paths inside it
Rows = list[tuple[Path, str, str | None]]  # an image, its class and its part

_MADE = re.compile(r"(.+)[ _-](aug(mented)?|flip(ped)?|rot(ated)?)[ _-]?\d*")
_NUMBERED = re.compile(r"(.*?[^\W\d_])(?:[\W_]*+\d++)++")  # crazing_12, OK-0003, cast_def_0_17
MOST_WORDS = 50
_FOLDS = re.compile(r"(k?[ _-]?fold|cv|split)s?[ _-]?\d+")
# what is counted and is no kind of thing: folders that are called so and numbered are hardly classes
_PIECES = re.compile(
    r"(group|kos|lot|batch|run|patient|subject|session|recording|sequence|scene|video|board|panel|wafer|specimen)s?"
)
_COPY = re.compile(r"(.+?)(?: ?\(\d+\)| - (?:Copy|Kopie|コピー)(?: \(\d+\))?| copy(?: \d+)?)")  # of file managers


def list_folder(root: Path) -> Listing:
    """A folder per class, or train, val and test folders of them (train_images, test_set and the like too).

    Subfolders of a class belong to it. What is passed over (masks, files that are no images, loose images, folders of
    the operating system, folders that cannot be read) is told in `problems`. ValueError when no class has an image, and
    where folders can be read as classes or as parts alike.
    """
    found = survey(root)
    if any(text.startswith(".:") for text in found.locked):
        raise ValueError(f"cannot read the folder {printable(str(root))}: {found.locked[0].partition(': ')[2]}")
    images, called = without_masks(root, found.images)
    try:
        listing = _list(root, replace(found, images=images), called.masks)
    except ValueError as error:
        raise ValueError(f"{error}{way_by_masks(root, called.masks, str(error))}") from None
    files = {*listing.files}
    kept = {mask: image for mask, image in called.kept.items() if mask.absolute() in files}
    told = [] if any(KEPT in text for text in listing.problems) else told_kept(root, kept)
    return replace(listing, problems=(*listing.problems, *told, *_told_lists(root, found, listing)))


def _list(root: Path, found: Found, masks: Pairs) -> Listing:
    tops = _tops(path.relative_to(root) for path in found.images)
    if wrapped := _wrapped(root, tops):
        outside = {mask: image for mask, image in masks.items() if root / wrapped not in mask.parents}
        return _unwrapped_listing(root, wrapped, found, tops[wrapped], told_masks(root, outside))
    loose = tops.pop("", [])
    beside = _beside_parts(tops)
    parts = _parts([*tops])
    problems = [
        *_loose(len(loose), "the folder itself"),
        *beside,
        *told_masks(root, masks),
        *found.told(),
        *told_boxes(root, found),
    ]
    if _is_split(root, tops, parts):
        rows, left_out = _split_rows(root, tops, parts, found)
        return _listing(root, rows, problems + left_out, _doubtful_parts(parts))
    if not tops:
        refuse_boxes(root)
        raise ValueError(_no_classes(root, found, loose))
    _refuse_joined(root, tops)
    _refuse_sets(root, tops)
    _refuse_pieces(root, tops, bool(masks))
    if len(tops) > 1 and any(map(is_no_class, tops)) and all(is_no_class(name) or parts[name] for name in tops):
        raise ValueError(
            f"the folders {shortened([*map(printable, tops)])} of {printable(str(root))} are no classes by their "
            "names; needed: one folder per class, or a manifest with the label of each image"
        )
    rows = [(Path(name, path), name, None) for name in tops for path in tops[name]]
    return _listing(root, rows, problems + _empty(root, root, tops, found) + _doubtful(root, tops, parts))


def _unwrapped_listing(root: Path, wrapped: str, found: Found, paths: list[Path], masks: list[str]) -> Listing:
    """The listing of the one folder that holds all images; what lies beside it is told."""
    try:
        inner = list_folder(root / wrapped)
    except ValueError:
        if not _named_alike(paths):
            refuse_boxes(root)  # which stand in a folder beside the images
        raise
    told = f"the classes were looked for in the folder {printable(wrapped)}, which holds all images"
    outside = Counter(found.others) - Counter(survey(root / wrapped).others)
    beside = Found(others=tuple(outside.elements())).told()
    return replace(inner, problems=(*inner.problems, *masks, *beside), remarks=(told, *inner.remarks))


def _tops(paths: Iterable[Path]) -> Tops:
    """Paths by their first folder, "" for those in none; natural order is given to classes later."""
    tops: Tops = defaultdict(list)
    for path in paths:
        top = path.parts[0] if len(path.parts) > 1 else ""
        tops[top].append(path.relative_to(top) if top else path)
    return dict(sorted(tops.items()))


def _wrapped(root: Path, tops: Tops) -> str | None:
    """The one folder with images where its name says nothing of them (images, or the name of the folder it is in) and
    several folders with images stand in it, or images alone; None without one."""
    if len(tops) != 1 or "" in tops:
        return None
    ((name, paths),) = tops.items()
    inside = _tops(paths)
    alone = says_nothing(name) or name.casefold() == root.name.casefold() or part_of(name)
    unsorted = says_nothing(name) and [*inside] == [""]
    return name if unsorted or (alone and len(inside) > 1 and "" not in inside) else None


def _listing(root: Path, rows: Rows, problems: list[str], remarks: Sequence[str] = ()) -> Listing:
    files, labels, splits = zip(*rows, strict=True)
    if len(set(labels)) == 1:
        refuse_boxes(root)
    return Listing(
        files=tuple((root / file).absolute() for file in files),
        names=tuple(printable(file.as_posix()) for file in files),
        labels=tuple(printable(label) for label in labels),
        split=splits if splits[0] is not None else None,
        problems=tuple(problems),
        remarks=tuple(remarks),
    )


# --- parts ---------------------------------------------------------------------------------------------------------


def _parts(names: list[str]) -> dict[str, str | None]:
    """The part each folder is called after, also where several have the same other words (seg_train, seg_test)."""
    parts = {name: part_of(name) for name in names}
    words = {name: _words(name) for name in names}
    said = {name: found for name in names if len(found := [word for word in words[name] if word in SPLIT_WORDS]) == 1}
    others = {tuple(word for word in words[name] if word not in SPLIT_WORDS) for name in said}
    worded = {name: SPLIT_WORDS[found] for name, (found,) in said.items()}
    sure = len(said) == len(names) or {"train", "test"} <= {*worded.values()}  # beside them stands seg_pred
    if sure and len(others) == 1 and not any(parts.values()):
        parts |= worded
    if "test" in [part for name, part in parts.items() if not _is_doubtful(name)] and "val" not in parts.values():
        parts |= {name: "val" for name, part in parts.items() if part and _is_doubtful(name)}
    return parts


def _is_doubtful(name: str) -> bool:
    return not DOUBTFUL.isdisjoint(_words(name))


def _doubtful_parts(parts: dict[str, str | None]) -> list[str]:
    """What folders were taken for whose names are used for two parts."""
    what = {"val": "is for validation, because there is a test part too", "test": "is the test part"}
    return [f"the folder {printable(name)} {what[part]}" for name, part in parts.items() if part and _is_doubtful(name)]


def _beside_parts(tops: Tops) -> list[str]:
    """Take out the folders that stand beside a train folder and are no part by their names, such as ground_truth, and
    tell it."""
    if "train" not in map(part_of, tops):
        return []
    return [
        f"the folder {printable(name)} beside the parts was left out, because its name is none of a part: "
        f"{len(tops.pop(name))} images"
        for name in [*filter(stands_beside, tops)]
    ]


def _words(name: str) -> list[str]:
    return [word for word in re.split(r"[\W_]+", name.casefold()) if word]


def _is_split(root: Path, tops: Tops, parts: dict[str, str | None]) -> bool:
    """Whether the folders are parts, each with its classes; ValueError where they are neither this nor classes."""
    named = [name for name, part in parts.items() if part == "train"]
    strangers = [printable(name) for name, part in parts.items() if part is None]
    classes_in = {name: len(set(_unwrapped(name, tops[name], parts[name])) - {""}) for name in tops}
    if not named:
        if tops and not strangers and all(classes_in.values()):
            raise ValueError(
                f"{printable(str(root))} holds {shortened([*tops])} and no train folder; needed: one folder per class, "
                "or train, val and test folders with one folder per class inside"
            )
        return False
    if strangers and not any(classes_in[name] for name in named):
        return False  # train is a class: its images stand in it as those of the others do
    if strangers:
        raise ValueError(
            f"{printable(str(root))} holds a folder {printable(named[0])!r} beside {shortened(strangers)}; allowed: "
            "either one folder per class, or only train, val and test folders with one folder per class inside. If "
            f"{printable(named[0])} is a class, give it another name (class_train) or list the images in a manifest; "
            f"if it is the training part, move {shortened(strangers)} away"
        )
    if not any(classes_in.values()):
        refuse_boxes(root)
        raise ValueError(
            f"the train, val and test folders of {printable(str(root))} hold no folder per class. Where train and "
            "test are classes, give them other names (class_train) or list the images in a manifest"
            + _named_alike([path for name in named for path in tops[name]])
        )
    return True


def _split_rows(root: Path, tops: Tops, parts: dict[str, str | None], found: Found) -> tuple[Rows, list[str]]:
    rows: Rows = []
    problems = []
    learned = {label for name, part in parts.items() if part == "train" for label in _unwrapped(name, tops[name], part)}
    for name, part in parts.items():
        prefix, classes = Path(name, *_inner(name, tops[name], part)), _unwrapped(name, tops[name], part)
        problems += _loose(len(classes.pop("", ())), prefix.as_posix())
        unsorted = [label for label in classes if says_nothing(label) and label not in learned]
        problems += [text for label in unsorted for text in _loose(len(classes[label]), f"{prefix.as_posix()}/{label}")]
        known = {label: paths for label, paths in classes.items() if label not in unsorted}
        rows += [(prefix / label / path, label, part) for label, paths in known.items() for path in paths]
        problems += _empty(root, root / prefix, classes, found)
    return rows, problems


def _unwrapped(outer: str, paths: list[Path], part: str | None) -> Tops:
    """The classes inside a part, behind folders that only repeat its name (training_set/training_set/cats)."""
    inner = _inner(outer, paths, part)
    return _tops(path.relative_to(Path(*inner)) for path in paths)


def _inner(outer: str, paths: list[Path], part: str | None) -> list[str]:
    """The folders that only repeat the name of the part they are in, or are called images, from the outermost."""
    inner: list[str] = []
    while part is not None:
        tops = _tops(path.relative_to(Path(*inner)) for path in paths)
        name, below = next(iter(tops.items()))
        wraps = says_nothing(name) and all(len(path.parts) > 1 for path in below)
        if len(tops) != 1 or not (part_of(name) == part or name == outer or wraps):
            break
        inner.append(name)
    return inner


# --- sets, folds and pieces that are no classes ----------------------------------------------------------------------


def _refuse_sets(root: Path, tops: Tops) -> None:
    """ValueError where folders are sets of their own: they hold parts, a folder that repeats their name, or the
    folders that stand beside them."""
    inside = {name: _tops(paths) for name, paths in tops.items()}
    repeated = [name for name, inner in inside.items() if [*inner] == [name]]
    parted = [name for name, inner in inside.items() if {"train", "test"} <= {*map(part_of, inner)}]
    wraps = [name for name, inner in inside.items() if says_nothing(name) and len(inner) > 1 and "" not in inner]
    wraps = [name for name in wraps if not any(map(str.isdigit, name))]  # label_1 may be a class
    copies = [name for name, inner in inside.items() if len(inner) > 1 and inner.keys() < tops.keys()]
    own = repeated or parted or wraps or copies
    if len(tops) < 2 or not own:
        return
    held = shortened(sorted(map(printable, inside[own[0]])))
    parts = (
        f"; where {shortened([*map(printable, tops)])} are the classes, needed: the parts outside and one folder per "
        "class in each (train/cats, test/cats), or a manifest with a column split"
    )
    raise ValueError(
        f"the folders {shortened([*map(printable, tops)])} of {printable(str(root))} are hardly classes: "
        f"{shortened([*map(printable, own)])} hold the {'parts' if parted else 'folders'} {held}. Name the one "
        f"that is a set of its own, for example {printable(str(root / own[0]))}{parts if parted else ''}"
    )


def _refuse_pieces(root: Path, tops: Tops, masked: bool) -> None:
    """ValueError for folders that are folds by their names, or numbered pieces of which masks say what is wrong."""
    shown = shortened([*map(printable, tops)])
    if len(tops) > 1 and all(_FOLDS.fullmatch(name.casefold()) for name in tops):
        raise ValueError(
            f"the folders {shown} of {printable(str(root))} are folds by their names, and no classes; needed: one "
            f"folder per class with the images of all folds (--folds {len(tops)} draws folds anew), or a manifest "
            "with a column split"
        )
    if masked and _numbered_word(tops) is not None:
        raise ValueError(
            f"the folders {shown} of {printable(str(root))} differ by a number alone, so they are hardly classes; "
            "needed: one folder per class, or a manifest"
        )


def _numbered_word(names: Iterable[str]) -> str | None:
    """The word that all names are, with a number behind it; None where they are none such."""
    found = [_NUMBERED.fullmatch(name) for name in names]
    words = {one[1].casefold() for one in found if one}
    return words.pop() if len(words) == 1 and all(found) and len(found) > 1 else None


# --- doubts --------------------------------------------------------------------------------------------------------


def _refuse_joined(root: Path, tops: Tops) -> None:
    """ValueError for folders train_cats, test_cats: a part and a class in one name."""
    joined = [[word for word in _words(name) if word in SPLIT_WORDS] for name in tops]
    parts = {SPLIT_WORDS[words[0]] for words in joined if words}
    whole = any(part_of(name) for name in tops)
    if not whole and all(len(words) == 1 for words in joined) and len(parts) > 1 and "train" in parts:
        raise ValueError(
            f"the folders {shortened([*map(printable, tops)])} of {printable(str(root))} name a part and a class each; "
            "needed: train, val and test folders with one folder per class inside (train/cats, test/cats)"
        )


def _doubtful(root: Path, tops: Tops, parts: dict[str, str | None]) -> list[str]:
    """What was decided though it might have been meant otherwise; ValueError where it most probably was."""
    sentences = [
        f"the folder {printable(name)} was taken for a class: it holds images and no folders of classes"
        for name, part in parts.items()
        if part == "train"
    ]
    sentences += [
        f"the folder {printable(name)} was taken for a class of its own, and looks like a copy of {printable(found[1])}"
        for name in tops
        if (found := _COPY.fullmatch(name)) and found[1] in tops
    ]
    sentences += [
        f"the folder {printable(name)} was taken for a class, and is none by its name: move it away if its images show "
        "no class of their own"
        for name in tops
        if is_no_class(name)
    ]
    sentences += [text for name, paths in tops.items() if (text := _made_of_others(name, paths))]
    if _PIECES.fullmatch(_numbered_word(tops) or ""):
        sentences.append(
            f"the classes {shortened([*map(printable, tops)])} differ by a number alone, as parts, lots or recordings "
            "do: where they are such, list the images in a manifest (path, label, and the folder as group)"
        )
    names, shared = _inside(tops)
    if _of_inspection(tops) or not (shared or _of_inspection(names)):
        return sentences
    outer, inner = shortened([*map(printable, tops)]), shortened(sorted(map(printable, names)))
    way_out = (
        f"if {inner} are the classes, make them the folders of {printable(root.name)}, or list the images in a "
        "manifest (path, label, and the outer folder as group)"
    )
    if _of_inspection(names):
        raise ValueError(
            f"the folders {outer} of {printable(str(root))} hold the folders {inner}, so what is a class is not clear: "
            f"{way_out}; if {outer} are, give the inner folders other names"
        )
    return [*sentences, f"the classes are {outer}, and they hold the folders {inner}: {way_out}"]


def _made_of_others(name: str, paths: list[Path]) -> str:
    """What to say of images that were made of others by their names: turned or mirrored copies."""
    stems = {path.with_suffix(""): path for path in paths}
    found = [(path, made[1]) for stem, path in stems.items() if (made := _MADE.fullmatch(stem.name.casefold()))]
    folded = {stem.parent / stem.name.casefold(): path for stem, path in stems.items()}
    pairs = [(path, folded[path.parent / of]) for path, of in found if path.parent / of in folded]
    if not pairs:
        return ""
    one, other = (printable(path.name) for path in pairs[0])
    return (
        f"{len(pairs)} images of {printable(name)} are called like changed copies of others ({one} beside "
        f"{other}); they were taken for images of their own: move them away if they are none"
    )


def _inside(tops: Tops) -> tuple[list[str], bool]:
    """The names of folders inside classes, one for each spelling, and whether classes share most of them, or all hold
    several of several names (D/CD, D/UD, W/CW, W/UW); ([], False) where some class has images beside its folders, or
    where there is one name. Folders that are called images or data are looked through."""
    inside = [{key(name): name for name in _unwrapped("/", paths, "")} for paths in tops.values()]
    names = {form: name for found in inside for form, name in found.items()}
    if len(inside) < 2 or len(names) < 2 or "" in names:
        return [], False
    words = all(len(found) > 1 for found in inside) and not any(name.isdecimal() for name in names)
    return list(names.values()), words or 2 * sum(map(len, inside)) >= 3 * len(names)


def _of_inspection(names: Iterable[str]) -> bool:
    classes = sorted(names)
    return good_class(classes) is not None or speaks_of_inspection(classes)


# --- what was left out ---------------------------------------------------------------------------------------------


def _loose(count: int, where: str) -> list[str]:
    return [f"{count} images in {printable(where)} stand in no class folder, left out"] if count else []


def _empty(root: Path, folder: Path, classes: Tops, found: Found) -> list[str]:
    """Sentences on folders that might have been meant as classes and hold no image."""
    names = [path.name for path in folder.iterdir() if path.is_dir() and not is_hidden(path.name)]
    inside = {name: printable((folder / name).relative_to(root).as_posix()) for name in sorted(names)}
    locked = {text.partition(": ")[0] for text in found.locked}
    return [
        f"{path}: no image in this folder, left out"
        for name, path in inside.items()
        if name not in classes and path not in locked and not FOLDER.fullmatch(name.casefold())
    ]


def _told_lists(root: Path, found: Found, listing: Listing) -> list[str]:
    """A sentence on files that probably say which images are for training and which for test, where no parts are known:
    train.txt, test1.txt, train_test_split.txt."""
    told = any("column split to keep" in text for text in listing.problems)
    if listing.split is not None or told or not {".txt", ".json", ".csv", ".mat"} & {*found.others}:
        return []
    files = [path for path in walk(root) if path.suffix.lower() in (".txt", ".json", ".csv", ".mat")]
    named = {path.stem for path in found.images}  # beside these stand boxes
    names = [path.name for path in files if ("split" in path.stem or part_of(path.stem)) and path.stem not in named]
    return [
        f"{shortened([*map(printable, names)])} may say which images are for training and which for test, and are not "
        "read: parts are drawn anew. List the images in a manifest with a column split to keep the given ones"
    ] * bool(names)


def _no_classes(root: Path, found: Found, loose: list[Path]) -> str:
    seen = [f"{len(loose)} images in no folder"] * bool(loose) + found.told() + told_boxes(root, found)
    return (
        f"no class folder with images in {printable(str(root))} (found: {'; '.join(seen) or 'no files at all'}); "
        f"needed: one folder per class with {', '.join(sorted(EXTENSIONS))} files in it, or a manifest "
        f"({', '.join(MANIFESTS)}); for series, a {' or '.join(TABLES)} table with one row a sample and a column label"
        f"{_named_alike(loose)}{way_out(found.others)}"
    )


def _named_alike(loose: list[Path]) -> str:
    """What to say of images in no folder whose names are a few words with numbers behind them; "" of others."""
    words = Counter(found[1] for path in loose if (found := _NUMBERED.fullmatch(path.stem)))
    if not 2 <= len(words) <= MOST_WORDS or min(words.values()) < 2 or words.total() < len(loose):
        return ""
    shown = shortened([f"{printable(word)} {count}" for word, count in words.most_common()])
    return (
        f". The names of all images begin with one of {len(words)} words ({shown}): where these are the classes, move "
        "the images into folders of these names"
    )
