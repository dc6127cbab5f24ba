"""The network drawn: one stave per stage, the stream as a line, every block as a box that leaves and rejoins it."""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import groupby
from math import log
from typing import Any

from ..arch.cost import cost, row_macs, row_params
from ..arch.lower import Table, lower
from ..arch.spec import Block, Net, Stage
from ..phrases import phrase, say
from ..words import amount, counted, percent, plain_percent, price_text, shape

MOST = 14  # boxes on a stave; longer stages show runs of equal blocks as one box
TALLEST, LOWEST = 44, 16  # boxes, in pixels
SHORTCUTS = {
    "identity": phrase("identity shortcut"),
    "pad": phrase("padded shortcut"),
    "project": phrase("projected shortcut"),
    "average": phrase("averaged shortcut"),
}
POOLS = {
    "average": phrase("global average pooling"),
    "max": phrase("global max pooling"),
    "both": phrase("global average and max pooling"),
}
Part = dict[str, Any]


def network(spec: Any) -> dict[str, Any]:
    """What the page shows of a spec.json: its totals, and its parts from stem to head; ValueError when it is no Net."""
    net = Net.from_dict(spec)
    table, price = lower(net), cost(net)
    macs, params = _work(table)
    parts = [_stem(net, table), *(_stage(net, i, table, macs) for i in range(len(net.stages))), _head(net)]
    for part in parts:
        part["share"] = macs[part["path"]] / max(price.macs, 1)
        part["share_text"] = percent(part["share"])
        part["macs"], part["params"] = amount(macs[part["path"]]), amount(params[part["path"]])
    return {
        "parts": parts,
        "blocks": counted(sum(len(stage.blocks) for stage in net.stages), "block"),
        "depth": price.depth,
        "macs": amount(price.macs),
        "params": amount(price.params),
    }


def by_share(drawn: dict[str, Any], shares: Mapping[str, float]) -> dict[str, Any]:
    """A network drawn, with the shares of its blocks, by their paths, in place of their widths and their work."""
    most = max(shares.values(), default=0.0) or 1.0
    parts = [part | {"boxes": list(_sharing(part, shares, most))} for part in drawn["parts"]]
    return drawn | {"parts": parts}


def _sharing(part: Part, shares: Mapping[str, float], most: float) -> Iterator[dict[str, Any]]:
    """The boxes of a stage; one that stands for several blocks has what these have together."""
    at = 0
    for box in part["boxes"]:
        own = [shares[f"{part['path']}.{j}"] for j in range(at, at + box["count"])]
        at += box["count"]
        yield box | {"text": plain_percent(sum(own), 2), "shade": round(max(own) / most, 3)}


def _work(table: Table) -> tuple[Counter[str], Counter[str]]:
    """Multiply-adds and parameters of every part of the paths: "stem", "stages.0", "stages.0.2", ..."""
    macs, params = Counter[str](), Counter[str]()
    for row in table.rows:
        names = row.path.split(".")
        for length in range(1, len(names)):
            macs[".".join(names[:length])] += row_macs(row, table)
            params[".".join(names[:length])] += row_params(row, table)
    return macs, params


def _size_after(table: Table, path: str) -> str:
    """The size of what a part of the network gives out."""
    return shape([row.size for row in table.rows if row.path.startswith(path + ".")][-1])


def _part(name: str, path: str, width: int, size: str, stride: int, layers: str) -> Part:
    return {
        "name": name,
        "path": path,
        "width": width,
        "size": size,
        "stride": stride,
        "layers": layers,
        "joins": "",
        "boxes": [],
        "enters": "",
    }


def _stem(net: Net, table: Table) -> Part:
    stem = net.stem
    kernel = shape((stem.kernel,) * len(net.input.size))
    contrast = [say("local contrast over {count} pixels", count=stem.contrast)] if stem.contrast else []
    layers = [*contrast, say("{kernel} convolution", kernel=kernel)]
    layers += [say("norm and activation")] * stem.act + [say("max pool")] * stem.pool
    stride = stem.stride * (2 if stem.pool else 1)
    return _part(say("Stem"), "stem", stem.width, _size_after(table, "stem"), stride, say(", ").join(layers)) | {
        "input": f"{net.input.channels} × {shape(net.input.size)}"
    }


def _head(net: Net) -> Part:
    head = net.head
    before = [say("norm and activation")] if head.act else []
    layers = [*before, say(POOLS[head.pool]), say("linear layer")]
    return _part(say("Head"), "head", head.classes, "", 1, say(", ").join(layers))


def _stage(net: Net, i: int, table: Table, macs: Counter[str]) -> Part:
    stage, path = net.stages[i], f"stages.{i}"
    layers = " + ".join(_block_text(block, number) for block, number in _runs(stage.blocks))
    text = "{kind} step with a learned scale" if stage.step.scale else "{kind} step"
    step = say(text, kind=stage.step.kind)
    return _part(say("Stage {k}", k=i), path, stage.width, _size_after(table, path), stage.stride, layers) | {
        "joins": say(", ").join((say(SHORTCUTS.get(stage.shortcut, f"{stage.shortcut} shortcut")), step)),
        "enters": {"identity": "", "project": "1×1"}.get(stage.shortcut, stage.shortcut),
        "boxes": _boxes(net, i, macs),
    }


def _runs(blocks: tuple[Block, ...]) -> list[tuple[Block, int]]:
    return [(block, len(list(run))) for block, run in groupby(blocks)]


def _block_text(block: Block, number: int) -> str:
    groups = say(", {count} groups", count=block.groups) if block.groups > 1 else ""
    return f"{number} × {block.kind.replace('_', ' ')} ({'·'.join(map(str, block.hidden))}{groups})"


def _boxes(net: Net, i: int, macs: Counter[str]) -> list[dict[str, Any]]:
    """The boxes of a stage, one for each block, or for each run of equal blocks in a long stage.

    The height of a box is its widest hidden axis, on a logarithmic scale from the narrowest to the widest block of the
    network. Its shade is its multiply-adds, compared with those of the heaviest block."""
    heaviest = max(macs[f"stages.{k}.{j}"] for k, stage in enumerate(net.stages) for j in range(len(stage.blocks)))
    boxes, at = [], 0
    for block, number in _shown(net.stages[i]):
        work = sum(macs[f"stages.{i}.{j}"] for j in range(at, at + number)) / number
        boxes.append(
            {
                "count": number,
                "text": "·".join(map(str, dict.fromkeys(block.hidden))),
                "height": _height(net, block),
                "shade": round(work / max(heaviest, 1), 3),
                "title": f"{_block_text(block, number)}: {price_text(work, 'macs')}"
                + (say(" each") if number > 1 else ""),
            }
        )
        at += number
    return boxes


def _height(net: Net, block: Block) -> float:
    widths = [max(each.hidden) for stage in net.stages for each in stage.blocks]
    room = log(max(widths) / min(widths))
    place = log(max(block.hidden) / min(widths)) / room if room else 0.5
    return round(LOWEST + (TALLEST - LOWEST) * place, 1)


def _shown(stage: Stage) -> list[tuple[Block, int]]:
    return _runs(stage.blocks) if len(stage.blocks) > MOST else [(block, 1) for block in stage.blocks]
