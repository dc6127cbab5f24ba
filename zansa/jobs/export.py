"""The verb `export`: one ONNX file, proven on real data; and what else is handed over: a file for another engine, a
page that classifies offline, a bundle."""

from pathlib import Path
from typing import Any

import numpy as np

from ..arch.use import Preprocess
from ..deploy.export import export
from ..deploy.handover import refuse_target, write_bundle, write_hash, write_target
from ..deploy.runtime import predictor, read_all
from ..deploy.web.page import refuse_page, write_page
from ..inputs.files import refuse_missing, survey_all
from ..nets.files import load as load_model
from ..runs import int8_file, model_file
from .door import PARITY_IMAGES, evenly

INT8 = "int8.onnx"  # in a bundle
GOLDEN = 8  # images inside a page, on which it tests itself
KEPT = ("model.safetensors", "report.html", "card.md", "metrics.json", "compress.html", "compress.json")


def export_model(
    model: str | Path,
    named: list[Path],
    out: str | Path,
    target: str | None = None,
    batch: int = 1,
    page: Path | None = None,
    bundle: Path | None = None,
    runtime: Path | None = None,
) -> dict[str, Any]:
    """Export a model file (.safetensors or a run's folder) to ONNX, proven on these image files or tables of series.

    target: also write the network for another engine, into a folder TARGET beside `out`.
    batch: samples that this network takes at once.
    page: also write one HTML file that classifies images offline, in int8 where the run is.
    runtime: the folder, or the .tgz, of onnxruntime-web, for the page.
    bundle: put all that was written, with manifest, report and card, into this folder or .zip.

    Where the run is in int8, its file in int8 comes into the bundle beside the one in float32. Returns what the check
    found; `left_out` are sentences on samples that could not be read.
    """
    for place in filter(None, (Path(out), page, bundle)):
        if not place.parent.is_dir():
            raise ValueError(f"there is no folder {place.parent}; make it, or choose another file to write")
    refuse_lost(model, Path(out))
    loaded = load_model(model_file(model))
    if target is not None:
        refuse_target(loaded, target, batch)
    if page is not None:
        refuse_page(loaded.preprocess, runtime)
    files, chosen, told = proof_samples(named, loaded.preprocess)
    parity = export(loaded, out, chosen) | {"left_out": told}
    write_hash(Path(out))
    if target is not None:
        parity["target"] = write_target(loaded, target, Path(out).parent / target, chosen, batch)
    if page is not None:
        golden = [files[i] for i in evenly(np.arange(len(files)), GOLDEN)]
        parity["page"] = write_page(page, predictor(int8_file(model) or out), golden, runtime)
    if (small := int8_file(model)) is not None:
        parity["int8"] = str(small)
    if bundle is not None:
        write_bundle(bundle, bundled(Path(model), Path(out), parity, page), parity, sorted(map(str, files)))
        parity["bundle"] = str(bundle)
    return parity


def proof_samples(named: list[Path], pre: Preprocess) -> tuple[list[Path], list[np.ndarray], list[str]]:
    """The files, the samples in them that prove an export, PARITY_IMAGES at most, and sentences on what was left out;
    ValueError where none can be read."""
    files, told = named, list[str]()
    if not pre.series:
        refuse_missing(named)
        surveyed = survey_all(named)
        told = surveyed.told()
        files = [surveyed.images[i] for i in evenly(np.arange(len(surveyed.images)), PARITY_IMAGES)]
    values, more = read_all(files, pre)
    told += more
    if not values:
        why = "".join(f"; {sentence}" for sentence in told)
        raise ValueError(f"none of the {pre.noun}s could be read to check the exported file by{why}")
    return files, [values[i] for i in evenly(np.arange(len(values)), PARITY_IMAGES)], told


def refuse_lost(model: str | Path, out: Path) -> None:
    """ValueError where the file in float32 would take the place of the run's own in int8, of which its figures are."""
    small = int8_file(model)
    if small is not None and out.resolve() == small.resolve():
        raise ValueError(f"{out} is the run's file in int8, and the export is in float32; choose another file to write")


def bundled(model: Path, out: Path, parity: dict[str, Any], page: Path | None) -> dict[str, bytes]:
    """The files of a bundle, by their names in it."""
    sha = out.with_name(out.name + ".sha256")
    found = {out.name: out.read_bytes(), sha.name: sha.read_bytes()}
    folder = model if model.is_dir() else model.parent
    for name in KEPT:
        if model.is_dir() and (folder / name).exists():
            found[name] = (folder / name).read_bytes()
    if "target" in parity:
        at = Path(parity["target"]["folder"])
        found |= {f"{at.name}/{name}": (at / name).read_bytes() for name in parity["target"]["files"]}
    if page is not None:
        found[page.name] = page.read_bytes()
    if "int8" in parity:
        found[INT8] = Path(parity["int8"]).read_bytes()
    return found
