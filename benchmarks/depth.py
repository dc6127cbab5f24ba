"""What the view of depth as time is worth (zansa depth, --memory, --levels).

    python benchmarks/depth.py shorten OUT MODEL [DATA NET]  fewer blocks without training: each way, scores and lots
    python benchmarks/depth.py memory OUT          memory and time of a step, 128 blocks against 8 (plain, reversible)
    python benchmarks/depth.py levels OUT DATA...  multi-level against direct training (DATA also: cifar10, deeppcb)

`shorten` takes a run of `zansa train` on data that are still there, or weights of another author with data and the name
of their network; a rerun goes on. DATA is what `zansa train` reads. Each piece writes OUT/depth_PIECE.json and prints a
table.
"""

import argparse
import copy
import gc
import json
import sys
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

import numpy as np
import packs
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

sys.path.insert(0, str(Path(__file__).parent.parent))

from zansa.arch.cost import cost
from zansa.arch.spec import Block, Head, Input, Net, Stage, Stem, Step
from zansa.deploy.bench import measured as measured_ms
from zansa.deploy.export import export
from zansa.deploy.runtime import predictor
from zansa.jobs.depth import MENDED, read, samples_of
from zansa.jobs.door import door, evenly, originals
from zansa.jobs.request import TrainRequest
from zansa.jobs.trained_request import DepthRequest
from zansa.learn.defaults import recipe_of
from zansa.learn.depth.levels import at_level, coarse, refining
from zansa.learn.depth.shorten import Judge, blocks_of, shortening
from zansa.learn.predict import logits
from zansa.learn.train import training
from zansa.nets.build import build
from zansa.nets.files import Model
from zansa.nets.memory import Memory, gradient_error, passing

WAYS = ("delete", "average", "tie", "parallel")
DRAWS = 5
STOPS = (0.75, 0.63, 0.5)  # shares of the blocks, at which a network is told about
TOLD = 2000  # test samples
PACKS = {"cifar10": 20, "deeppcb": 10}  # packs on which levels are measured: one image in so many


class Peak(TorchDispatchMode):
    """Counts the bytes of all tensors that are alive, and the most there were, while it lasts; those of the tensors
    that are given do not count."""

    def __init__(self, given: Iterable[torch.Tensor]) -> None:
        super().__init__()
        self.alive, self.most = 0, 0
        self.known = {tensor.untyped_storage()._cdata: 0 for tensor in given}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor):
                self.count(leaf.untyped_storage())
        return out

    def count(self, storage: Any) -> None:
        """Count a storage that is new."""
        key = storage._cdata
        if key in self.known:
            return
        self.known[key] = storage.nbytes()
        self.alive += storage.nbytes()
        self.most = max(self.most, self.alive)
        weakref.finalize(storage, self.forget, key)

    def forget(self, key: int) -> None:
        """A storage has gone."""
        self.alive -= self.known.pop(key, 0)


# --- fewer blocks ----------------------------------------------------------------------------------------------------


def shorten(out: Path, request: DepthRequest, ways: Sequence[str]) -> None:
    """Accuracy and milliseconds against blocks for each way, the scores choosing and by lot."""
    opened = read(request, lambda event: print(event.get("text", ""), flush=True))
    data, parts = opened.data, opened.parts
    judge = Judge(
        samples_of(data, parts.train, MENDED)[0], *samples_of(data, parts.val, 8)
    )  # labels choose nothing here
    now = blocks_of(opened.module.net)
    stops = [round(now * share) for share in STOPS]
    cells = [(way, number) for number in range(-1, DRAWS) for way in ways]
    for way, number in [("none", -1), *cells]:
        chosen = "scores" if number < 0 else f"lot {number + 1}"
        if any((row["way"], row["chosen"]) == (way, chosen) for row in before(out, "shorten")):
            continue
        found = [(opened.module, now)] if way == "none" else made(opened.module, judge, way, number, stops[-1])
        rows = []
        for module, blocks in found:
            if way != "none" and blocks not in stops:
                continue
            module = module if way == "none" else judge.mended(copy.deepcopy(module))
            rows.append({"way": way, "chosen": chosen} | told(module, data, parts))
            print(rows[-1], flush=True)
            if number < 0:
                images = originals(data, evenly(parts.val, 16))
                export(Model(module.net, module, data.classes, data.preprocess), out / f"{way}-{blocks}.onnx", images)
        write(out, "shorten", [*before(out, "shorten"), *rows])
    timed(out, before(out, "shorten"))


def made(module: Any, judge: Judge, way: str, number: int, to: int) -> Iterator[tuple[Any, int]]:
    """The networks of one way, with the number of blocks of each. Where lots choose, the scores are of few samples and
    play no part."""
    few = Judge(judge.train[:8], judge.val, judge.labels)
    chance = None if number < 0 else np.random.default_rng(number)
    for shorter, taken in shortening(module, few if chance else judge, (way,), to, checks=1, chance=chance):
        yield shorter, taken.blocks


def told(module: Any, data: Any, parts: Any) -> dict[str, Any]:
    """A network's figures on test samples, which decide nothing, computed in bfloat16, which is twice as fast."""
    index = evenly(parts.test, TOLD)
    answers = logits(module, data, index, dtype=torch.bfloat16, layout=torch.channels_last)
    right = answers.argmax(1).numpy() == data.labels[index]
    price = cost(module.net)
    turns = sum(block.times for stage in module.net.stages for block in stage.blocks)
    figures = {"samples": len(index), "accuracy": float(right.mean()), "macs": price.macs, "params": price.params}
    return {"blocks": blocks_of(module.net), "in a row": turns, **figures}


def timed(out: Path, rows: list[dict[str, Any]]) -> None:
    """Milliseconds of the exported files, one image and one thread: all in turns, and the least of all runs, because
    other work on the machine only adds to it."""
    files = {(row["way"], row["blocks"]): out / f"{row['way']}-{row['blocks']}.onnx" for row in rows}
    predictors = {key: predictor(path) for key, path in files.items() if path.exists()}
    rounds = [{key: min(measured_ms(p, repeats=20)[1]) for key, p in predictors.items()} for _ in range(10)]
    for row in rows:
        if row["chosen"] == "scores" and (row["way"], row["blocks"]) in predictors:
            row["ms"] = min(each[row["way"], row["blocks"]] for each in rounds)
    write(out, "shorten", rows)
    for row in rows:
        if row["chosen"] == "scores":
            lots = [100 * other["accuracy"] for other in rows if other["chosen"] != "scores"
                    and (other["way"], other["blocks"]) == (row["way"], row["blocks"])]  # fmt: skip
            drawn = f"{mean(lots):.1f} ({min(lots):.1f}–{max(lots):.1f})" if lots else "–"
            print(f"| {row['way']} | {row['blocks']} | {row['in a row']} | {100 * row['accuracy']:.1f} | {drawn} | "
                  f"{row['ms']:.2f} | {row['macs'] / 1e6:.1f} | {row['params'] / 1e3:.0f} |")  # fmt: skip


# --- memory ----------------------------------------------------------------------------------------------------------


def deep_net(kind: str, blocks: int, branch: str = "preact_basic") -> Net:
    """A stage of blocks of one width, at one resolution."""
    branches = 2 if kind == "reversible" else 1
    step = Step(kind=kind, h=1 / blocks if kind == "plain" else 1.0)
    return Net(
        input=Input(channels=3, size=(16, 16)),
        stem=Stem(width=16, act=False),
        stages=(Stage(width=16, step=step, blocks=(Block(kind=branch, hidden=(16,) * branches),) * blocks),),
        head=Head(classes=10),
    )


def memory(out: Path, only: list[str]) -> None:
    """Peak memory and time of one training step."""
    rows = []
    for kind, modes in (
        ("plain", ("store", "checkpoint", "adjoint")),
        ("reversible", ("store", "checkpoint", "reversible")),
    ):
        if only and kind not in only:
            continue
        blocks_in = 64 if kind == "reversible" else 128  # a reversible block has two branches
        for mode in modes:
            few, many = (measured(deep_net(kind, n), mode) for n in (blocks_in // 16, blocks_in))  # type: ignore[arg-type]
            rows.append({"steps": kind, "memory": mode, "branches": "8 and 128", "peak_8": few["peak"],
                         "peak_128": many["peak"], "seconds_128": many["seconds"], "error": many["error"]})  # fmt: skip
            plain = next(row for row in rows if row["steps"] == kind)
            rows[-1] |= {"ratio": many["peak"] / few["peak"], "ratio to plain 8": many["peak"] / plain["peak_8"],
                         "time": many["seconds"] / plain["seconds_128"]}  # fmt: skip
            print(rows[-1], flush=True)
            write(out, f"memory_{kind}", rows)


def measured(net: Net, mode: Memory) -> dict[str, float]:
    """Bytes of activations at the worst moment of a step (weights and their gradients left out), its seconds, and the
    relative error of its gradients."""
    module = build(net).train()
    x = torch.randn(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    answer = passing(module, mode)
    step = lambda: answer(x).square().mean().backward()  # noqa: E731
    step()  # the gradients are there from now on
    seconds = []
    for _ in range(3):
        began = time.process_time()  # of one thread: the machine may be busy with other work
        step()
        seconds.append(time.process_time() - began)
    module.double()
    error = gradient_error(module, x.double(), mode) if mode != "store" else 0.0
    module.float()
    gc.collect()
    given = [*module.state_dict().values(), *(p.grad for p in module.parameters()), x]
    return {"peak": peak(step, given), "seconds": median(seconds), "error": error}


def peak(work: Callable[[], None], given: Iterable[torch.Tensor]) -> int:
    """The most bytes that are alive at once, of those tensors that this work makes."""
    with Peak(given) as counted:
        work()
    return counted.most


# --- levels ----------------------------------------------------------------------------------------------------------


def levels(out: Path, sources: list[str], seeds: list[int], epochs: int) -> None:
    """Test accuracy and compute of multi-level training against direct training, for as many epochs and for as much
    compute. `sources` are what `zansa train` reads, or names of PACKS."""
    for source in sources:
        for seed in seeds:
            data, parts = door(TrainRequest(source=prepared(source, out), seed=seed, race="none"), lambda event: None)
            net = three_stages(data)
            each = work_of(net, 3) / work_of(net, 1)
            for name, levels_, length in (
                ("direct", 1, epochs),
                ("3 levels", 3, epochs),
                ("direct, compute of 3 levels", 1, max(1, round(epochs * each))),
            ):
                key = {"data": Path(source).name, "name": name, "seed": seed, "epochs": length}
                if any(key.items() <= row.items() for row in before(out, "levels")):
                    continue
                row = key | trained(net, data, parts, seed, levels_, length)
                row["compute"] = work_of(net, levels_) * length / (work_of(net, 1) * epochs)
                print(row, flush=True)
                write(out, "levels", [*before(out, "levels"), row])
    for name in dict.fromkeys((row["data"], row["name"]) for row in before(out, "levels")):
        own = [row for row in before(out, "levels") if (row["data"], row["name"]) == name]
        found = (f"{100 * mean(each):.1f} ± {100 * stdev(each):.1f}" if len(each) > 1 else f"{100 * each[0]:.1f}"
                 for each in ([row[figure] for row in own] for figure in ("accuracy", "balanced")))  # fmt: skip
        seconds = mean(row["seconds"] for row in own)
        cells = [*name, len(own), own[0]["epochs"], *found, f"{own[0]['compute']:.2f}", f"{seconds:.0f}"]
        print(f"| {' | '.join(map(str, cells))} |")


def prepared(source: str, out: Path) -> str:
    """What `zansa train` reads of a source; of a pack one image in so many, in a folder of their own."""
    if source not in PACKS:
        return source
    folder = out / "data" / source
    made = [file for file in (folder / "manifest.csv", folder / f"{source}.npz") if file.exists()]
    return str(made[0] if made else packs.prepare(source, folder, packs.shared_data(), every=PACKS[source]))


def three_stages(data: Any) -> Net:
    """A network of 4 + 1 + 4 + 1 + 4 pre-activated blocks, as Chang et al. grow them, on maps of 16x16 and less."""
    block = lambda width: (Block(kind="preact_basic", hidden=(width,)),)  # noqa: E731
    stages = tuple(
        Stage(width=w, stride=s, shortcut="identity" if s == 1 else "project", blocks=block(w) * (4 if s == 1 else 5))
        for w, s in ((16, 1), (32, 2), (64, 2))
    )
    pre = data.preprocess
    stride = max(1, pre.size[0] // 16)
    return Net(
        input=Input(channels=pre.channels, size=pre.size),
        stem=Stem(width=16, kernel=min(7, 2 * stride - 1 if stride > 1 else 3), stride=stride, act=False),
        stages=stages,
        head=Head(classes=len(data.classes), act=True),
    )


def work_of(net: Net, count: int) -> float:
    """Multiply-adds of a sample, averaged over the levels of a training."""
    return mean(cost(at_level(net, k) if k else net).macs for k in range(count))


def trained(net: Net, data: Any, parts: Any, seed: int, count: int, epochs: int) -> dict[str, Any]:
    """One training; its test accuracy and the processor's seconds."""
    asked = {"epochs": epochs, "levels": count, "precision": "float32", "layout": "channels_first"}
    recipe = recipe_of(data, parts, seed, asked)
    first = coarse(net, count) if count > 1 else net
    module = build(first, torch.Generator().manual_seed(seed))
    policy = refining(net, count) if count > 1 else None
    began = time.process_time()  # the machine may be busy with other work
    for _ in training(module, data, parts, recipe, policy=policy):
        pass
    seconds = time.process_time() - began
    labels = data.labels[parts.test]
    right = logits(module, data, parts.test).argmax(1).numpy() == labels
    balanced = mean(float(right[labels == label].mean()) for label in np.unique(labels))
    return {"train": len(parts.train), "test": len(labels), "accuracy": float(right.mean()), "balanced": balanced,
            "seconds": round(seconds, 1)}  # fmt: skip


def before(out: Path, piece: str) -> list[dict[str, Any]]:
    """The rows that are written; another process may have added some."""
    path = out / f"depth_{piece}.json"
    return json.loads(path.read_text()) if path.exists() else []


def write(out: Path, piece: str, rows: list[dict[str, Any]]) -> None:
    """Write what there is so far."""
    out.mkdir(parents=True, exist_ok=True)
    (out / f"depth_{piece}.json").write_text(json.dumps(rows, indent=1))


def main() -> None:
    """Measure one piece."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("piece", choices=("shorten", "memory", "levels"))
    parser.add_argument("out", type=Path)
    parser.add_argument("sources", nargs="*", help="the data; the run, or the weights, their data and network")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=9)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.piece == "memory":
        memory(given.out, given.sources)
    elif given.piece == "shorten":
        names = ("model", "source", "net")
        given.out.mkdir(parents=True, exist_ok=True)
        shorten(given.out, DepthRequest(**dict(zip(names, given.sources, strict=False))), given.ways)
    else:
        levels(given.out, given.sources, given.seeds, given.epochs)


if __name__ == "__main__":
    main()
