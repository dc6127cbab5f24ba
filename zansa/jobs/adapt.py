"""The verb `adapt`: a model made ready for another camera or light, from unlabelled images."""

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..arch.use import Preprocess
from ..deploy.runtime import read_all
from ..inputs.files import refuse_missing, survey_all
from ..inputs.images import fit_image
from ..learn.adapt import align, batches_of, renormalise
from ..learn.predict import normalised
from ..nets.files import load as load_model
from ..nets.files import save as save_model
from ..runs import model_file


def adapt(model: str | Path, images: list[Path], out: str | Path, source: list[Path] | None = None) -> dict[str, Any]:
    """Write the model as it should be under another camera or light, learned from unlabelled samples of the new place.

    Its norms get the statistics of the new samples. With `source`, samples of the old place, its features get back the
    moments that they had there. `images` and `source` are files or folders of images, or tables of series. Returns how
    many samples were read and how many answers stayed.
    """
    if not Path(out).parent.is_dir():
        raise ValueError(f"there is no folder {Path(out).parent}; make it, or choose another file to write")
    loaded = load_model(model_file(model))
    new, told = unlabelled(images, loaded.preprocess)
    network = copy.deepcopy(loaded.module)
    if loaded.net.norm == "batch" or not source:
        renormalise(network, batches_of(new))
    if source:
        old, more = unlabelled(source, loaded.preprocess)
        told += more
        align(network, batches_of(old), batches_of(new), loaded.module)
    with torch.inference_mode():
        before, after = (torch.cat([m(x).argmax(1) for x in batches_of(new)]) for m in (loaded.module, network))
    facts = {"images": len(new), "aligned": bool(source), "same_answer": int((before == after).sum())}
    notes = json.dumps((json.loads(loaded.notes) if loaded.notes else {}) | {"adapted": facts})
    save_model(out, replace(loaded, module=network, notes=notes))
    return facts | {"noun": loaded.preprocess.noun, "left_out": told}


def unlabelled(files: list[Path], pre: Preprocess) -> tuple[Tensor, list[str]]:
    """The samples of image files, folders or tables, as a network takes them: (N, C, *size), at least two; and
    sentences on those that could not be read, and on what was passed over."""
    refuse_missing(files)
    surveyed = None if pre.series else survey_all(files)
    values, told = read_all(files if surveyed is None else surveyed.images, pre)
    told = told if surveyed is None else [*surveyed.told(), *told]
    if len(values) < 2:
        why = "".join(f"; {sentence}" for sentence in told)
        raise ValueError(f"{len(values)} {pre.noun}(s) could be read; at least 2 are needed, better 50 or more{why}")
    if not pre.series:
        height, width = pre.size
        values = [fit_image(value, (height, width), pre.fit, pre.fill) for value in values]
    return normalised(np.stack(values), pre, torch.device("cpu"), torch.contiguous_format), told
