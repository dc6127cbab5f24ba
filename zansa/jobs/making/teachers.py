"""Who teaches a training, and what was said: `train --teacher` and `finetune --teacher`."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import torch

from ...arch.zoo import READY
from ...deploy.runtime import read_all
from ...events import Event, event
from ...inputs.files import refuse_missing, survey_all
from ...inputs.images import fitted
from ...learn.data.dataset import Dataset
from ...learn.data.splits import Parts
from ...learn.distil import Lessons
from ...learn.linear import best_head, set_head, sharpened
from ...learn.predict import normalised
from ...learn.pretrained import as_taken, batches_for, features_for, pretrained_model
from ...nets.files import Model
from ...nets.files import load as load_model
from ...record import Run, write_atomic
from ...runs import model_file
from ..request import Tell, teacher_named
from .job import Job

KEPT = "checkpoint_lessons.npz"  # in the run's folder, until it is finished
CHUNK = 64  # files that are read together
Said = dict[str, np.ndarray]


def lessons_for(job: Job, run: Run, tell: Tell) -> Lessons | None:
    """What the teacher that was named says of the training images and of those without labels, each asked once; None
    where none was named."""
    if teacher_named(job.request) is None:
        return None
    file = run.path / KEPT
    if not file.exists():

        def told_and_kept(line: Event) -> None:
            if line["event"] in ("warning", "note"):
                run.append("events.jsonl", line)
            tell(line)

        said, out = teacher_answers(job, told_and_kept), BytesIO()
        np.savez(out, **said)  # type: ignore[arg-type]
        write_atomic(file, out.getvalue())
    with np.load(file, allow_pickle=False) as kept:
        told, more, images = (kept[name] for name in ("told", "more", "images"))
    if not len(images):
        return Lessons(torch.from_numpy(told))
    unlabelled = normalised(images, job.data.preprocess, torch.device("cpu"), torch.contiguous_format)
    return Lessons(torch.from_numpy(told), unlabelled, torch.from_numpy(more), job.recipe.augment)


def teacher_answers(job: Job, tell: Tell) -> Said:
    """What the teacher says: "told" (samples, K) and "more" (n, K) are log probabilities, of the training samples by
    their place and of the "images" (n, *size, C) without labels."""
    data, parts, name = job.data, job.parts, teacher_named(job.request)
    assert name is not None
    tell(event("stage", text=f"{name} is asked about {len(parts.train)} training images"))
    model, told = ready_teacher(name, data, parts, job.recipe.balance != "none") if name in READY else of_run(name, job)
    kinds = len(data.classes)
    said = {"told": np.zeros((len(data), kinds), np.float32)}
    said["told"][parts.train] = told
    found = [(images, answers(model, seen)) for images, seen in without_labels(job, model, tell)]
    shape = (0, *data.preprocess.size, data.preprocess.channels)
    said["images"] = np.concatenate([np.zeros(shape, data.images.dtype), *(images for images, _ in found)])
    said["more"] = np.concatenate([np.zeros((0, kinds), np.float32), *(told for _, told in found)])
    if found:
        named = ", ".join(f"{c} {n}" for c, n in zip(data.classes, _named(said["more"], kinds), strict=True))
        tell(event("note", text=f"{name} has looked at {len(said['more'])} images without labels: {named}"))
    return said


def ready_teacher(name: str, data: Dataset, parts: Parts, even: bool) -> tuple[Model, np.ndarray]:
    """An installed network with the best linear head on its features, and what it says of the training samples."""
    model = pretrained_model(name, data)
    seen, held = (features_for(model, data, index) for index in (parts.train, parts.val))
    learned, truth = data.labels[parts.train], data.labels[parts.val]
    head = sharpened(best_head(seen, learned, held, truth, len(data.classes), even), held, truth)
    logits = torch.from_numpy(seen @ head.weight.T + head.bias)
    set_head(model.module, head.weight, head.bias)
    return model, logits.log_softmax(1).float().numpy()


def of_run(name: str, job: Job) -> tuple[Model, np.ndarray]:
    """A trained network as sure as it is right, and what it says of the training samples."""
    model = load_model(model_file(name))
    if found := model.calibration:
        weight, bias = (each.detach().numpy() for each in model.module.head.get_submodule("linear").parameters())
        set_head(model.module, found.scale * weight, found.scale * bias + np.asarray(found.shift))
    with torch.inference_mode():
        logits = torch.cat([model.module(x).float() for x in batches_for(model, job.data, job.parts.train)])
    return model, logits.log_softmax(1).numpy()


def answers(model: Model, images: np.ndarray) -> np.ndarray:
    """Log probabilities (n, K) of images as the network takes them."""
    with torch.inference_mode():
        return np.asarray(model.module(as_taken(model, images)).float().log_softmax(1).numpy())


def without_labels(job: Job, teacher: Model, tell: Tell) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The images of the folder that was named, in batches: as the student takes them, and as the teacher does. What
    cannot be read is told; an image of the validation or test part is left out and counted."""
    folder = getattr(job.request, "unlabelled", None)
    if folder is None:
        return
    refuse_missing([Path(folder).expanduser()])
    surveyed, pre = survey_all([Path(folder).expanduser()]), job.data.preprocess
    for text in surveyed.told():
        tell(event("warning", text=text))
    held = {job.data.images[i].tobytes() for part in (job.parts.val, job.parts.test) for i in part}
    count = left = 0
    for at in range(0, len(surveyed.images), CHUNK):
        values, told = read_all(surveyed.images[at : at + CHUNK], pre)
        for text in told:
            tell(event("warning", text=text))
        both = [(small, value) for value in values if (small := fitted(value, pre)).tobytes() not in held]
        count, left = count + len(both), left + len(values) - len(both)
        tell(event("read", done=min(at + CHUNK, len(surveyed.images)), total=len(surveyed.images)))
        if both:
            yield np.stack([small for small, _ in both]), np.stack([fitted(v, teacher.preprocess) for _, v in both])
    if left:
        tell(event("warning", text=f"{left} images without labels were left out: they are validation or test images"))
    if not count:
        raise ValueError(f"no image without a label could be read in {folder}; name another folder")


def _named(said: np.ndarray, kinds: int) -> np.ndarray:
    """How many samples of each class there are by their answers (n, K)."""
    return np.bincount(said.argmax(1), minlength=kinds)
