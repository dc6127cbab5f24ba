"""All that waits for a GPU, in one command of at most nine minutes, the most telling first.

    python benchmarks/gpu.py OUT [--device cuda] [--shared FOLDER] [--only PART ...]
    python benchmarks/gpu.py OUT --device cpu --short        (a trial without a GPU, at most four minutes)

Every part runs in a process of its own and may take so many seconds (PARTS). A part that fails or takes longer is
recorded as such, with the rows that it had by then, and the next one begins. OUT/parts.jsonl gets a line after each
part and OUT/table.md is written anew, so that nothing is lost where the machine is taken away. A rerun into the same
folder repeats only parts that are not done.

zansa need not be installed: the clone this file lies in is used. FOLDER holds cifar10/cifar10.tar (see packs.py).
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
NEEDED = (
    "torch",
    "torchvision",
    "numpy",
    "scipy",
    "sklearn",
    "PIL",
    "pydantic",
    "typer",
    "rich",
    "safetensors",
    "jinja2",
    "matplotlib",
    "onnx",
    "onnxscript",
    "onnxruntime",
    "pyarrow",
    "yaml",
    "pytest",
    "hypothesis",
)
if absent := [name for name in NEEDED if find_spec(name) is None]:
    sys.exit(f"Python packages are missing: {' '.join(absent)}; install them, or name their folder in PYTHONPATH")

import few_images  # noqa: E402
import numpy as np  # noqa: E402
import packs  # noqa: E402
import torch  # noqa: E402
from torch import nn  # noqa: E402

from zansa.arch.spec import Net  # noqa: E402
from zansa.arch.zoo import cifar_resnet  # noqa: E402
from zansa.beginnings import making  # noqa: E402
from zansa.beginnings.weights import DRAWN  # noqa: E402
from zansa.learn.data.augment import defaults  # noqa: E402
from zansa.learn.data.dataset import Dataset, from_arrays  # noqa: E402
from zansa.learn.data.splits import Parts, split  # noqa: E402
from zansa.learn.data.synthetic import surfaces, write  # noqa: E402
from zansa.learn.defaults import default_net  # noqa: E402
from zansa.learn.recipe import Recipe  # noqa: E402
from zansa.learn.train import training  # noqa: E402
from zansa.nets.build import build  # noqa: E402
from zansa.record import Run, environment  # noqa: E402

LIMIT, SHORT_LIMIT = 540, 240  # seconds for all parts together
STEADY = ("--precision", "float32", "--layout", "channels_first")  # nothing is left to the stopwatch
BATCH, FIRST = 128, 5  # of the loops that are timed: images at a time, and steps before the clock starts
Row = dict[str, Any]


@dataclass(frozen=True)
class Settings:
    """What was asked for."""

    device: str  # "cuda" or "cpu"
    short: bool  # a trial: every part runs, and its figures say nothing
    shared: str | None  # the folder of the data packs


@dataclass(frozen=True)
class Part:
    """One part of the benchmark."""

    run: Callable[[Path, Settings], Iterator[Row]]  # yields rows of figures; may write into the folder
    seconds: int  # that it may take
    what: str  # what its rows tell


# ---- tests ------------------------------------------------------------------------------------------------------


def gpu_tests(out: Path, settings: Settings) -> Iterator[Row]:
    """pytest on the files that have tests marked `gpu`."""
    files = sorted(str(path) for path in (ROOT / "tests").glob("test_*.py") if "mark.gpu" in path.read_text())
    words = ["-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", "-o", "filterwarnings=default", *files]
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    yield {"files": len(files), "exit code": done.returncode, "told": done.stdout.strip().splitlines()[-1]}
    assert done.returncode == 0, done.stdout


# ---- training and growth against the CPU ------------------------------------------------------------------------


def trainings(out: Path, settings: Settings) -> Iterator[Row]:
    """The same training on the device and on the CPU; twice on the device; and there stopped halfway and resumed."""
    count, size, epochs = (100, 24, 2) if settings.short else (2000, 64, 6)
    made = surfaces(count, seed=0, size=size)
    data = from_arrays(made.images, made.labels, classes=made.classes, groups=made.groups, kind="surface")
    parts = split(data, seed=0)
    data = data.normalised(parts.train)
    for strict in (False, True):
        torch.use_deterministic_algorithms(strict, warn_only=True)
        whole, losses, figures = trained(data, parts, settings.device, epochs)
        again, _, _ = trained(data, parts, settings.device, epochs)
        resumed, _, _ = trained(data, parts, settings.device, epochs, out / f"checkpoint-{strict}.pt")
        yield {"compared": f"two on {settings.device}", "deterministic": strict, "bits equal": same(whole, again)}
        yield {"compared": "whole and resumed", "deterministic": strict, "bits equal": same(whole, resumed)}
    _, others, there = trained(data, parts, "cpu", epochs)
    first = max(abs(a / b - 1) for a, b in zip(losses[:5], others[:5], strict=True))
    yield {
        "compared": f"{settings.device} and cpu",
        "first five losses differ by": f"{first:.1e}",
        "validation accuracy": f"{figures['val_accuracy']:.4f}; {there['val_accuracy']:.4f}",
        "validation loss": f"{figures['val_loss']:.4f}; {there['val_loss']:.4f}",
    }
    assert first < 0.02, f"the losses of the first steps differ by {first:.2%}"


def trained(
    data: Dataset, parts: Parts, device: str, epochs: int, stopped: Path | None = None
) -> tuple[nn.Module, list[float], Row]:
    """The module, the running loss of each step and the figures of the last epoch. With a file for its state, the
    training is stopped halfway, and another one goes on from the file."""
    recipe = Recipe(
        epochs=epochs,
        batch=32,
        precision="float32",
        layout="channels_first",
        device=device,
        checkpoint=0,
        keep="last",
        augment=defaults("surface"),
    )
    net = default_net(data.preprocess.size, data.preprocess.channels, len(data.classes), data.kind)
    losses: list[float] = []
    figures: Row = {}
    if stopped is not None:
        stopped.unlink(missing_ok=True)  # of an earlier try
    for go in (1,) if stopped is None else (0, 1):
        module = build(net, torch.Generator().manual_seed(0))
        with closing(training(module, data, parts, recipe, stopped)) as events:
            for event in events:
                if event["event"] == "step":
                    losses.append(event["loss"])
                    if go == 0 and event["step"] == event["steps"] // 2:
                        break
                if event["event"] == "epoch":
                    figures = event
    return module, losses, figures


def same(one: nn.Module, other: nn.Module) -> bool:
    """Whether all numbers of two modules are equal to the last bit."""
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def growth(out: Path, settings: Settings) -> Iterator[Row]:
    """`zansa grow` on the device, once in one go and once interrupted and resumed; and on the CPU."""
    count, length = (100, ["--size", "24", "--epochs", "2"]) if settings.short else (2000, ["--epochs", "10"])
    data = out / "data" / "manifest.csv"
    if not data.exists():
        write(data.parent, 0, count)
    runs = out / "runs"
    shutil.rmtree(runs, ignore_errors=True)  # of an earlier try
    words = ["grow", str(data), "--budget", "macs=1M", *length, *STEADY, "--out", str(runs), "--name"]
    device = ["--device", settings.device]
    assert zansa(*words, "whole", *device).wait() == 0
    yield told_of(runs / "whole", settings.device)
    process = zansa(*words, "broken", *device)
    while epochs_of(runs / "broken") < (1 if settings.short else 8) and process.poll() is None:
        time.sleep(0.05)
    process.terminate()
    stopped = process.wait() == 130
    assert not stopped or zansa("resume", str(runs / "broken")).wait() == 0
    files = [(runs / name / "model.safetensors").read_bytes() for name in ("whole", "broken")]
    yield told_of(runs / "broken", settings.device) | {"stopped": stopped, "bytes equal": files[0] == files[1]}
    assert stopped, "the growth ended before it could be interrupted"
    if settings.device != "cpu":
        assert zansa(*words, "cpu", "--device", "cpu").wait() == 0
        yield told_of(runs / "cpu", "cpu")


def zansa(*words: str) -> subprocess.Popen[bytes]:
    """The command line in a process of its own."""
    return subprocess.Popen([sys.executable, "-m", "zansa", *words], cwd=ROOT, stdout=subprocess.DEVNULL)


def epochs_of(run: Path) -> int:
    """How many epochs a run has behind it, those of its beginning left out."""
    events = run / "events.jsonl"
    return events.read_text().count('"event": "epoch"') if events.exists() else 0


def told_of(run: Path, device: str) -> Row:
    """What a run says of itself."""
    metrics = json.loads((run / "metrics.json").read_text())
    return {
        "run": run.name,
        "device": device,
        "multiply-adds": metrics["cost"]["macs"],
        "balanced accuracy": f"{metrics['test']['balanced_accuracy']['value']:.4f}",
        "seconds": metrics["training"]["seconds"],
    }


# ---- speed ------------------------------------------------------------------------------------------------------


def speeds(out: Path, settings: Settings) -> Iterator[Row]:
    """Images per second of zansa's loop, of a plain loop whose images lie on the device ready to use, and of both with
    torch.compile; in turns, the best of three (compiled: one)."""
    steps, rounds = (2, 1) if settings.short else (100, 3)
    count = (FIRST + steps + 2) * BATCH
    rng = np.random.default_rng(0)
    data = from_arrays(rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8), np.arange(count) % 10, kind="natural")
    data = data.normalised(np.arange(count))
    nets = {"ResNet-20": cifar_resnet(20), "default": default_net((32, 32), 3, 10, "natural")}
    nets = {"ResNet-8": cifar_resnet(8)} if settings.short else nets
    for compiled in (False, True):
        for name, net in nets.items():
            loops = rivals(net, data, settings, compiled)
            rates: dict[str, list[float]] = {loop: [] for loop in loops}
            for _ in range(1 if compiled else rounds):  # to compile takes long
                for loop, make in loops.items():
                    if compiled:
                        torch.compiler.reset()
                    rates[loop].append(rate(make(), steps, settings.device))
            for loop, found in rates.items():
                yield {"network": name, "loop": loop, "compiled": compiled, "images per second": round(max(found))}


def rivals(net: Net, data: Dataset, settings: Settings, compiled: bool) -> dict[str, Callable[[], Generator[object]]]:
    """The loops that are compared, by name."""
    loops = {
        "plain, float32": partial(plain, net, settings.device, False, compiled),
        "plain, bfloat16": partial(plain, net, settings.device, True, compiled),
        "zansa": partial(ours, net, data, settings.device, compiled),
    }
    if compiled:
        del loops["plain, float32"]
    if compiled and settings.short:
        del loops["zansa"]
    return loops


def plain(net: Net, device: str, bfloat16: bool, compiled: bool) -> Generator[object]:
    """A loop as short as can be: no augmentation, no averages, and no waiting for the loss."""
    layout = torch.channels_last if bfloat16 else torch.contiguous_format
    module = build(net).to(device).to(memory_format=layout).train()
    answer = torch.compile(module) if compiled else module
    optimizer = torch.optim.SGD(module.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=5e-4)
    images = torch.randn(BATCH, 3, 32, 32, device=device).to(memory_format=layout)
    labels = torch.arange(BATCH, device=device) % 10
    while True:
        optimizer.zero_grad()
        with torch.autocast(device, torch.bfloat16) if bfloat16 else nullcontext():
            found = answer(images)
        nn.functional.cross_entropy(found.float(), labels).backward()
        optimizer.step()
        yield None


def ours(net: Net, data: Dataset, device: str, compiled: bool) -> Generator[object]:
    """zansa's loop with all that it does at a step; precision and layout are what it chooses."""
    parts = Parts(train=np.arange(len(data)), val=np.arange(BATCH), test=np.arange(BATCH))
    recipe = Recipe(epochs=1, batch=BATCH, augment=defaults("natural"), device=device, compile=compiled)
    return (event for event in training(build(net), data, parts, recipe) if event["event"] == "step")


def rate(loop: Generator[object], steps: int, device: str) -> float:
    """Images per second of so many steps, after the first ones."""
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    with closing(loop):
        for _ in range(FIRST):
            next(loop)
        wait()
        began = time.perf_counter()
        for _ in range(steps):
            next(loop)
        wait()
        return steps * BATCH / (time.perf_counter() - began)


# ---- the benchmarks that a CPU takes too long for ----------------------------------------------------------------


def frontier(out: Path, settings: Settings) -> Iterator[Row]:
    """grow.py on CIFAR-10: `zansa grow` against ResNet-20 of the same price and compute."""
    budget, length = ("macs=2M", "1") if settings.short else ("macs=30M,60M", "4")
    images, data = "100" if settings.short else "20000", f"cifar10={cifar(out, settings)}"
    yield from script(
        "grow.py",
        out,
        settings,
        "--data",
        data,
        "--budget",
        budget,
        "--images",
        images,
        "--epochs",
        length,
        "--methods",
        "zansa",
        "uniform",
        "--seeds",
        "0",
    )


def kin(out: Path, settings: Settings) -> Iterator[Row]:
    """families.py on CIFAR-10: ResNet, DILNet and DMRNet of as many parameters, as long as the README's CPU did."""
    length = ("--epochs", "1", "--images", "100") if settings.short else ("--epochs", "8", "--images", "10000")
    yield from script("families.py", out, settings, "--data", str(cifar(out, settings)), "--seeds", "1", *length)


def flow(out: Path, settings: Settings) -> Iterator[Row]:
    """experiments/ode_limit/images.py on CIFAR-10: blocks that begin alike or independently, with GELU and ReLU."""
    blocks, images, epochs = ("4", "100", "1") if settings.short else ("256", "5000", "2")
    length = ("--blocks", blocks, "--images", images, "--epochs", epochs)
    name, data = "../experiments/ode_limit/images.py", str(cifar(out, settings))
    yield from script(name, out, settings, "--data", data, *length, cells="images.jsonl")


CELL = (
    *("limit", "method", "family", "half", "macs", "accuracy", "error", "epochs", "images", "seconds"),
    *("activation", "start", "blocks", "train", "test", "weights_mean", "weights_largest"),
)


def script(name: str, out: Path, settings: Settings, *words: str, cells: str = "cells.jsonl") -> Iterator[Row]:
    """The cells of another benchmark, each as soon as it is there."""
    process = subprocess.Popen(
        [sys.executable, f"{ROOT}/benchmarks/{name}", str(out), *words, "--device", settings.device],
        stdout=subprocess.DEVNULL,
    )
    told, ended = 0, False
    while not ended:
        ended = process.poll() is not None
        lines = Run(out).lines(cells)
        for cell in lines[told:]:
            yield {key: cell[key] for key in CELL if key in cell}
        told = len(lines)
        time.sleep(0.2)
    assert process.returncode == 0, f"{name} ended with exit code {process.returncode}"


def cifar(out: Path, settings: Settings) -> Path:
    """CIFAR-10 of the packs as one file, or a hundredth of it."""
    place = out.parent / "cifar10"
    if not (place / "cifar10.npz").exists():
        shared = Path(settings.shared) if settings.shared else packs.shared_data()
        packs.prepare("cifar10", place, shared, every=100 if settings.short else 1)
    return place / "cifar10.npz"


# ---- weights from drawn pictures ----------------------------------------------------------------------------------


def beginnings(out: Path, settings: Settings) -> Iterator[Row]:
    """Weights from as many drawn pictures as some 90 seconds pay, in batches four times as large as those of the
    package's weights: what they name of kept-back pictures, and what a linear head on them is worth with ten images a
    class of the built-in set, judged on validation images. The file stays in OUT/beginnings for further trials."""
    spare = max(0, (os.cpu_count() or 1) - 2)
    sizes = {"batch": 16, "fresh": 2, "shelf": 64} if settings.short else {"batch": 256, "fresh": 48, "shelf": 8192}
    large = making.Course(device=settings.device, **sizes)
    trial = replace(large, shelf=large.batch, examined=8)
    seconds = {"usual 48": 45, "usual 64": 30, "small 32": 15}
    lessons = []
    for lesson in large.lessons:
        one = replace(trial, lessons=(replace(lesson, steps=2 * making.EVERY),))
        lines = list(making.make(out / f"trial {lesson.name} {lesson.side}", one, spare))
        pace = (lines[-1]["seconds"] - lines[0]["seconds"]) / (lines[-1]["step"] - lines[0]["step"])
        wanted = seconds[f"{lesson.name} {lesson.side}"] / (20 if settings.short else 1)
        lessons.append(replace(lesson, steps=max(making.EVERY, int(wanted / pace)), rate=2 * lesson.rate))
    for line in making.make(out / "made", replace(large, lessons=tuple(lessons)), spare):
        if line["step"] == line["steps"]:
            yield line
    seeds = (0,) if settings.short else (0, 1, 2)
    for weights in (DRAWN, out / "made" / DRAWN.name):
        asked = argparse.Namespace(out=out, weights=weights, validation=True)
        cells = [few_images.cell("builtin", 10, seed, "drawn, linear head", asked) for seed in seeds]
        right = [100 * found["balanced_accuracy"] for found in cells]
        yield {"weights": "package" if weights == DRAWN else "candidate", "linear head, %": np.round(right, 1).tolist()}


# name: function, seconds allowed, what it tells. The most telling come first.
PARTS = {
    "tests": Part(gpu_tests, 45, "tests marked gpu"),
    "training": Part(trainings, 60, "figures against the CPU; bits of a training that was resumed"),
    "growth": Part(growth, 90, "figures against the CPU; bytes of a growth that was resumed"),
    "speed": Part(speeds, 40, "images per second, batches of 128 at 32x32"),
    "beginnings": Part(beginnings, 150, "a candidate of the weights from drawn pictures, beside those in the package"),
    "frontier": Part(frontier, 70, "CIFAR-10 at 30 M and 60 M multiply-adds, short"),
    "families": Part(kin, 50, "CIFAR-10, networks of as many parameters, short"),
    "flow": Part(flow, 35, "CIFAR-10, 256 blocks that begin alike or independently, short"),
}


# ---- running them -----------------------------------------------------------------------------------------------


def watched(name: str, out: Path, settings: Settings, seconds: float) -> Row:
    """Run a part in a process of its own, for so many seconds at most; what became of it."""
    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rows.jsonl").unlink(missing_ok=True)
    command = [sys.executable, __file__, str(out), "--inside", name, "--settings", json.dumps(asdict(settings))]
    path = os.pathsep.join([str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
    settled = os.environ | {"PYTHONPATH": path, "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}  # cuBLAS then repeats its bits
    began = time.monotonic()
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=settled, start_new_session=True)
        try:
            state = "failed" if process.wait(seconds) else "done"
        except subprocess.TimeoutExpired:
            state = "over time"
        finally:
            stop(process)
    said = (folder / "log.txt").read_text().strip().splitlines()
    return {
        "part": name,
        "state": state,
        "seconds": round(time.monotonic() - began, 1),
        "allowed": round(seconds),
        "rows": Run(folder).lines("rows.jsonl"),
        "said": said[-1:] if state != "done" else [],
        "settings": asdict(settings),
    }


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a part's process with all that it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()


def table(lines: list[Row]) -> str:
    """Markdown: a section for each part, in the order in which they ran."""
    texts = []
    for line in lines:
        about = PARTS[line["part"]].what
        texts.append(f"## {line['part']}: {about}\n\n{line['state']} after {line['seconds']} of {line['allowed']} s")
        texts += [f"`{text}`" for text in line["said"]]
        heads = list(dict.fromkeys(key for row in line["rows"] for key in row))
        rows = [heads, ["---"] * len(heads), *([row.get(key, "") for key in heads] for row in line["rows"])]
        texts.append("\n".join(f"| {' | '.join(map(str, row))} |" for row in rows) if heads else "no figures")
    return "\n\n".join(texts) + "\n"


def benchmark(out: Path, settings: Settings, names: list[str], limit: float) -> list[Row]:
    """Run the parts that are not done, one after the other. `limit` is in seconds, for all of them; where it is not
    LIMIT, the seconds of every part change with it."""
    out.mkdir(parents=True, exist_ok=True)
    record, ends = Run(out), time.monotonic() + limit
    record.write_json("environment.json", environment() | {"gpu": gpu()})
    found = {line["part"]: line for line in record.lines("parts.jsonl")}
    for name in names:
        if name in found and (found[name]["state"], found[name]["settings"]) == ("done", asdict(settings)):
            continue
        seconds = min(PARTS[name].seconds * limit / LIMIT, ends - time.monotonic())
        nothing = {
            "part": name,
            "state": "no time left",
            "seconds": 0,
            "allowed": 0,
            "rows": [],
            "said": [],
            "settings": asdict(settings),
        }
        found[name] = watched(name, out, settings, seconds) if seconds > 5 else nothing
        record.append("parts.jsonl", found[name])
        record.write_bytes("table.md", table(list(found.values())).encode())
        print(table([found[name]]), flush=True)
    return list(found.values())


def gpu() -> str | None:
    """The name of the GPU."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for the results; a rerun goes on there")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--short", action="store_true", help="a trial of every part, whose figures say nothing")
    parser.add_argument("--shared", help="folder of the data packs")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART")
    parser.add_argument("--limit", type=float, help=f"seconds for all parts (default: {LIMIT}, short {SHORT_LIMIT})")
    parser.add_argument("--inside", choices=PARTS, help=argparse.SUPPRESS)  # the process of one part
    parser.add_argument("--settings", help=argparse.SUPPRESS)
    given = parser.parse_args()
    out = given.out.resolve()
    if given.inside:
        for row in PARTS[given.inside].run(out / given.inside, Settings(**json.loads(given.settings))):
            Run(out / given.inside).append("rows.jsonl", row)
        return
    if given.device == "cuda" and not torch.cuda.is_available():
        parser.error("there is no GPU here; a trial without one: --device cpu --short")
    limit = given.limit or (SHORT_LIMIT if given.short else LIMIT)
    lines = benchmark(out, Settings(given.device, given.short, given.shared), given.only, limit)
    sys.exit(any(line["state"] != "done" for line in lines if line["part"] in given.only))


if __name__ == "__main__":
    main()
