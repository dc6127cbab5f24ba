"""Predict from an exported file, images or rows of a table: onnxruntime, numpy and Pillow, never torch."""

import csv
import json
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from math import prod
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import onnxruntime

from ..arch.use import Calibration, OperatingPoint, Preprocess
from ..inputs.columns import Columns, columns, is_label, listed
from ..inputs.images import fitted, printable, read_like, taken
from ..inputs.series import as_signal, fit_note, prepare_series, samples_of, signals_of
from ..inputs.tables import ARCHIVED, TABLES, Table, open_npz, open_table
from ..proof.decide import DECISIONS, decision_maps, decisions, named
from .last_features import last_reads, with_output

FORMAT = "2"
READ = ("1", FORMAT)  # format 1 has no class maps
COLUMNS = ("image", "class", "probability", "decision", "score", "note", "error")
SERIES_COLUMNS = ("sample", *COLUMNS[1:])
BATCH = 32  # images in one run, at most
PROBED = 64  # levels a side, by which an image is compared with those that were learned from
# deviations of the training set, on average over an image or a series; those that were learned from have about 1
FAR = 6
OUTSIDE = "its numbers are far from all that were learned from (another camera setting, unit or scale?)"
PIXELS = 2**24  # pixels in one run, at most (unless one image has more): large photographs are not to fill the memory
Draw = Callable[[str, np.ndarray, np.ndarray], str]
Read = tuple[str, np.ndarray | None, str, str | None]  # name, image or series, note, error


@dataclass(frozen=True)
class Predictor:
    """An exported network, ready to run on the CPU.

    classes: their names, in the order of its answers.
    preprocess: how an image file or a row becomes its input.
    operating: where its lines are; None where no class is the good one.
    file: the file's content.
    session: the file, opened by onnxruntime.
    calibration: is in the graph already; None: the probabilities are not calibrated.
    cells: the size of its class maps; None: an older file, which has none.
    strongest: the value in a map of the decision that has the full colour.
    notes: facts of its making, as text.
    reads: the output that says what the last layer reads; None: it was not asked for.
    """

    classes: tuple[str, ...]
    preprocess: Preprocess
    operating: OperatingPoint | None
    file: bytes
    session: onnxruntime.InferenceSession
    calibration: Calibration | None = None
    cells: tuple[int, ...] | None = None
    strongest: float = 1.0
    notes: str = ""
    reads: str | None = None

    def probabilities(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Decoded images (H, W, C) of any sizes, or series as inputs.series.prepare_series gives them, -> (N, classes)
        float32.

        Images are fitted to the network's size here, not in the graph: the levels are the same, and it takes half the
        time for an image of a thousand pixels a side.
        """
        return self.outputs(self._fitted(images), ["probability"])[0]

    def with_maps(self, images: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities as `probabilities` gives them, and the maps of the decision, (N, *cells): what each place of
        the network's input adds to the log odds of a defect, or where no class is the good one, of the class that is
        named. ValueError for an older file, which has no maps."""
        p, maps = self.with_class_maps(images)
        good = self.classes.index(self.operating.good) if self.operating else None
        return p, decision_maps(p, maps, good, self.calibration)

    def with_class_maps(self, images: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities as `probabilities` gives them, and what each place adds to each class's calibrated logit,
        (N, classes, *cells)."""
        if self.cells is None:
            raise ValueError("this exported file has no class maps, as older ones have none; export its model again")
        p, maps = self.outputs(self._fitted(images), ["probability", "map"])
        return p, maps

    def outputs(self, images: Sequence[np.ndarray], names: Sequence[str]) -> list[np.ndarray]:
        """What the file itself gives under these names, with all work in the graph: `probability` (N, classes) and
        `map` (N, classes, *cells), what each place adds to each class's calibrated logit; or what the last layer reads.
        Images of equal size run together."""
        for image in images:
            _check(image, self.preprocess)
        if not len(images):
            shapes = {"probability": (), "map": self.cells or ()}
            return [np.empty((0, len(self.classes), *shapes.get(name, ())), np.float32) for name in names]
        batches = list(_batches(images))
        stacks = (np.stack([images[i] for i in batch]) for batch in batches)
        found = [self.session.run(list(names), {input_of(self.preprocess): stack}) for stack in stacks]
        order = np.argsort(np.concatenate(batches))
        return [np.concatenate(each)[order] for each in zip(*found, strict=True)]

    def answers(self, images: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray | None]:
        """The probabilities, and what the last layer reads, (N, D) float32; None where that was not asked for."""
        names = ["probability", *([self.reads] if self.reads else [])]
        found = self.outputs(self._fitted(images), names)
        return found[0], found[1] if self.reads else None

    def _fitted(self, images: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        for image in images:
            _check(image, self.preprocess)
        return images if self.preprocess.series else [fitted(image, self.preprocess) for image in images]


def predictor(source: str | Path | bytes, threads: int | None = None, reads: bool = False) -> Predictor:
    """The network of an exported file, or of its content, on `threads` threads (default: one per usable core). With
    `reads` it tells also what its last layer reads, where it has one.

    ValueError when the file is missing, foreign, damaged or too new for this version.
    """
    name = "this content" if isinstance(source, bytes) else str(source)
    file = source if isinstance(source, bytes) else _content(Path(source))
    session = session_of(file, threads or _cores(), name)
    header = session.get_modelmeta().custom_metadata_map
    if "zansa" not in header:
        raise ValueError(f"{name} is an ONNX file, but not one of zansa: export a trained model with 'zansa export'")
    if header["zansa"] not in READ:
        raise ValueError(
            f"{name} has format {header['zansa']}; this version of zansa reads formats {' and '.join(READ)}: "
            "update zansa"
        )
    try:
        made = _predictor(header, file, session)
    except (KeyError, ValueError, TypeError) as error:
        raise ValueError(f"{name} is damaged, export it again: {type(error).__name__}: {error}") from None
    last = last_reads(file) if reads else None
    if last is None:
        return made
    return replace(made, session=session_of(with_output(file, last), threads or _cores(), name), reads=last)


def predict(predictor: Predictor, files: Iterable[str | Path], draw: Draw | None = None) -> Iterator[dict[str, Any]]:
    """One row per image file, or image of an .npz, in the given order, with the keys COLUMNS; of a model of series one
    per row of the .csv, .tsv or .npz files, with the keys SERIES_COLUMNS. `note` says what of a sample was lost: pages
    behind the first, colours that became gray, what of a series was cut, interpolated or not understood, and what of
    the table is otherwise than in training.

    `class` is what the network names it, and `probability` the calibrated probability of that. `score` is 1 - p(good),
    and `decision` is "reject" when it reaches the threshold, "ask" (a person) when it reaches only the lower line of a
    model that has two, else "accept"; both are None in a model without operating point. An image or row that cannot be
    read, or is of another bit depth or number of channels than the model takes, has only its name
    and `error`; ValueError for a table that is none. `draw` gets the name, the levels and the map of the decision of
    each sample; what it returns is `map` of the row.
    """
    for chunk in _chunks(samples(files, predictor.preprocess)):
        read = [values for _, values, _, _ in chunk if values is not None]
        p, maps = predictor.with_maps(read) if draw else (predictor.probabilities(read), None)
        answers = iter(range(len(read)))
        for sample in chunk:
            k = None if sample[1] is None else next(answers)
            row = _row(sample, None if k is None else p[k], predictor)
            if draw:
                row["map"] = None if maps is None or k is None else draw(sample[0], read[k], maps[k])
            yield row


def judged(answer: np.ndarray, predictor: Predictor) -> dict[str, Any]:
    """`class` and `probability` of a sample's probabilities (classes,), and where the model has an operating point
    `score` and `decision`."""
    best = int(named(answer[None], predictor.calibration)[0])
    told: dict[str, Any] = {"class": predictor.classes[best], "probability": float(answer[best])}
    if point := predictor.operating:
        p_good = float(answer[predictor.classes.index(point.good)])
        told |= {"score": 1 - p_good, "decision": DECISIONS[int(decisions([p_good], point)[0])]}
    return told


def samples(files: Iterable[str | Path], preprocess: Preprocess) -> Iterator[Read]:
    """Each sample's name, its values as `probabilities` takes them or None, a note and an error or None: image files
    one by one, all rows of tables at once, so that a table that is none is told before anything is answered."""
    if preprocess.series:
        return iter([_noted(each, preprocess) for file in files for each in _series(Path(file), preprocess)])
    return (_noted(each, preprocess) for file in files for each in _images(Path(file), preprocess))


def read_all(files: Iterable[str | Path], preprocess: Preprocess) -> tuple[list[np.ndarray], list[str]]:
    """The values of all samples that can be read, and sentences on those that cannot and on what was lost, counted by
    reason, with the name of the first."""
    values: list[np.ndarray] = []
    first: dict[str, str] = {}
    counts = Counter[str]()
    for name, value, note, error in samples(files, preprocess):
        if value is not None:
            values.append(value)
        for reason in filter(None, ((error or "").rpartition(f"{name}: ")[2], note)):
            counts[reason] += 1
            first.setdefault(reason, name)
    return values, [f"{count} × {reason} (the first: {first[reason]})" for reason, count in counts.most_common()]


def write_csv(rows: Iterable[dict[str, Any]], out: TextIO) -> int:
    """Rows of `predict` as CSV with a header; None is an empty field. Open `out` with newline="". Returns how many
    samples were answered."""
    rows = iter(rows)
    first = list(islice(rows, 1))
    writer = csv.DictWriter(out, first[0] if first else COLUMNS, lineterminator="\n")
    writer.writeheader()
    rows = chain(first, rows)
    return sum(bool(writer.writerow(row)) and row["error"] is None for row in rows)


def write_jsonl(rows: Iterable[dict[str, Any]], out: TextIO) -> int:
    """Rows of `predict` as JSON, one object per line. Returns how many samples were answered."""
    return sum(bool(out.write(json.dumps(row, ensure_ascii=False) + "\n")) and row["error"] is None for row in rows)


def _content(path: Path) -> bytes:
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    return path.read_bytes()


def _cores() -> int:
    # not onnxruntime's own default: it pins its threads to cores that this process may not use (containers, taskset)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def session_of(file: bytes, threads: int, name: str) -> onnxruntime.InferenceSession:
    """The content of a file, opened by onnxruntime on so many threads; ValueError, which calls it `name`, where that
    cannot be."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # what matters comes as an exception
    try:
        return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no common class
        raise ValueError(
            f"{name} is no ONNX file, is damaged, or is too new for onnxruntime {onnxruntime.__version__}: {error}"
        ) from None


def _predictor(header: dict[str, str], file: bytes, session: onnxruntime.InferenceSession) -> Predictor:
    classes = tuple(json.loads(header["classes"]))
    preprocess = Preprocess.model_validate_json(header["preprocess"])
    operating = OperatingPoint.model_validate_json(header["operating"]) if header["operating"] else None
    given = header.get("calibration")
    calibration = Calibration.model_validate_json(given) if given else None
    outputs = {value.name: value.shape[1:] for value in session.get_outputs()}
    cells = outputs.pop("map", [len(classes)])
    if outputs != {"probability": [len(classes)]} or cells[0] != len(classes):
        raise ValueError(f"it names {len(classes)} classes, and its outputs are {outputs}, its class maps {cells}")
    if operating and operating.good not in classes:
        raise ValueError(f"its good class {operating.good!r} is not among {classes}")
    strongest = float(header.get("strongest", 1))
    places, notes = tuple(cells[1:]) or None, header.get("notes", "")
    return Predictor(classes, preprocess, operating, file, session, calibration, places, strongest, notes)


def input_of(preprocess: Preprocess) -> str:
    """What an exported file calls its input."""
    return "series" if preprocess.series else "image"


def _check(image: np.ndarray, preprocess: Preprocess) -> None:
    dtype, shape = np.dtype(preprocess.dtype), (*preprocess.size, preprocess.channels)
    if preprocess.series:
        if image.shape != shape or image.dtype != dtype:
            raise ValueError(
                f"a series is {image.dtype} {image.shape}; this model takes {dtype} {shape}: prepare it with "
                "zansa.inputs.series.prepare_series"
            )
        return
    if image.ndim != 3 or image.shape[2] != preprocess.channels or image.dtype != dtype or not image.size:
        raise ValueError(
            f"an image is {image.dtype} {image.shape}; this model takes {dtype} (height, width, "
            f"{preprocess.channels}): read files with "
            f"read_image(file, channels={preprocess.channels}, depth={preprocess.depth})"
        )


def _batches(images: Sequence[np.ndarray]) -> Iterator[list[int]]:
    """Indices of images of equal size, at most BATCH images and PIXELS pixels at once."""
    by_shape: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for i, image in enumerate(images):
        by_shape[image.shape].append(i)
    for shape, indices in by_shape.items():
        count = max(1, min(BATCH, PIXELS // prod(shape[:-1])))
        yield from (indices[i : i + count] for i in range(0, len(indices), count))


def _images(path: Path, preprocess: Preprocess) -> Iterator[Read]:
    """The image of a file, or all of an .npz; its labels, if it has any, are passed over."""
    name = printable(str(path))
    if path.suffix.lower() != ".npz":
        yield _read(name, partial(read_like, path, preprocess))
        return
    try:
        if not path.is_file():
            raise ValueError(f"cannot read {name}: No such file or directory")
        arrays = open_npz(path)
        if "images" not in arrays:
            raise ValueError(f"{name} has no array images (it has: {', '.join(arrays)})")
    except ValueError as error:
        yield name, None, "", str(error)
        return
    for i, image in enumerate(arrays["images"]):
        yield _read(f"{name} row {i}", partial(_as_image, image, preprocess))


def _noted(sample: Read, preprocess: Preprocess) -> Read:
    """The sample, with a note where its levels are so far from those that were learned from that no answer counts."""
    name, values, note, error = sample
    known = (preprocess.mean, preprocess.std) != ((0.0,), (1.0,))  # how a network is that was not trained
    if values is None or preprocess.alphabet or not known:
        return sample
    few = values[tuple(slice(None, None, max(1, side // PROBED)) for side in values.shape[:-1])]
    away = float(np.mean(np.abs(few.astype(np.float64) - preprocess.mean) / preprocess.std))
    return sample if away < FAR else (name, values, "; ".join(filter(None, (note, OUTSIDE))), error)


def _read(name: str, reading: Callable[[], tuple[np.ndarray, str]]) -> Read:
    try:
        return name, *reading(), None
    except ValueError as error:
        return name, None, "", str(error)


def _as_image(image: np.ndarray, preprocess: Preprocess) -> tuple[np.ndarray, str]:
    """One image of an array as the model takes it: (H, W) or (H, W, C), uint8 or uint16."""
    image = image[..., None] if image.ndim == 2 else image
    if image.dtype not in (np.uint8, np.uint16) or image.ndim != 3 or not image.size:
        raise ValueError(f"it is {image.dtype} {image.shape}; needed: (H, W) or (H, W, C), uint8 or uint16")
    return taken(image, preprocess)


def _series(path: Path, preprocess: Preprocess) -> Iterator[Read]:
    """The samples of a table or an .npz; its labels, if it has any, are passed over."""
    suffix, name = path.suffix.lower(), printable(str(path))
    if not path.is_file() or suffix not in (*TABLES, *ARCHIVED, ".npz"):
        reason = "a file of another kind" if path.is_file() else "a folder" if path.is_dir() else "not there"
        allowed = ", ".join((*TABLES, *ARCHIVED))
        raise ValueError(f"{name} is {reason}; a model of {preprocess.noun}s takes {allowed} and .npz files")
    if suffix == ".npz":
        arrays = open_npz(path)
        if "signals" not in arrays:
            raise ValueError(f"{name} has no array signals (it has: {', '.join(arrays)})")
        for i, signal in enumerate(signals_of(path, arrays)):
            yield _prepared(f"row {i}", signal, preprocess)
        return
    table = open_table(path)
    found = columns(table, preprocess.size[0], preprocess.columns, preprocess.by_moments)
    if (found.sequence is None) == bool(preprocess.alphabet):
        has = "no column sequence" if found.sequence is None else "sequences of letters"
        raise ValueError(f"{name} has {has}; this model takes {preprocess.noun}s")
    note = "; ".join(filter(None, (found.note, _passed_over(table, found))))
    for row in samples_of(table, replace(found, label=None, group=None, split=None)):
        if row.value is None:
            yield row.name, None, "", row.error
        else:
            yield _prepared(row.name, row.value, preprocess, note, row.note)


def _passed_over(table: Table, found: Columns) -> str:
    """Which columns are neither the model's nor known by their names, in a few words."""
    header = table.header or ()
    label = [found.label] if header and found.label is not None and not is_label(header[found.label]) else []
    places = sorted([*found.more, *label])
    return f"passed over: {listed([header[i] for i in places])}" if places else ""


def _prepared(name: str, value: np.ndarray | str, preprocess: Preprocess, *notes: str) -> Read:
    try:
        sample = as_signal(value) if not isinstance(value, str) else value
        values, lost = prepare_series(sample, preprocess)
        return name, values, "; ".join(filter(None, (*notes, fit_note(sample, preprocess), lost))), None
    except ValueError as error:
        return name, None, "", str(error)


def _chunks(items: Iterable[Read]) -> Iterator[list[Read]]:
    """As many decoded images as are held in memory at once."""
    chunk: list[Read] = []
    for item in items:
        chunk.append(item)
        if len(chunk) == BATCH or sum(image.size for _, image, _, _ in chunk if image is not None) > PIXELS:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _row(sample: Read, answer: np.ndarray | None, predictor: Predictor) -> dict[str, Any]:
    name, _, note, error = sample
    keys = SERIES_COLUMNS if predictor.preprocess.series else COLUMNS
    row: dict[str, Any] = {**dict.fromkeys(keys), keys[0]: name, "error": error}
    if note:
        row["note"] = note
    if answer is None:
        return row
    return row | judged(answer, predictor)
