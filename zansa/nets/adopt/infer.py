"""The network that a state dict of a known author is the weights of."""

import re

from torch import Tensor

from ...arch.spec import Block, Head, Input, Net, Shortcut, Stage, Stem
from .layers import NORM, Layer, layers_of
from .names import our_paths, pooled_shortcuts

Shapes = dict[str, tuple[int, ...]]


def net_from(
    state: dict[str, Tensor], size: tuple[int, ...], classes: int | None = None, channels: int | None = None
) -> Net:
    """The network whose weights these are, told by their names and shapes, for images of `size` = (height, width).

    It knows torchvision's and timm's ResNet, Wide ResNet, ResNeXt, SE-ResNet and pre-activation ResNet, and nets that
    go by their names. `classes` and `channels` may be others than the author's, for adopt(..., head="fresh") and gray
    images. What shapes do not tell is as these authors have it: ReLU, and stride 2 from the second stage on; a deep or
    7-wide stem has stride 2 and a max pool. ValueError when the names are others, or the structure cannot be expressed.
    """
    theirs = layers_of(state)
    paths = our_paths(theirs)
    if paths is None:
        raise ValueError(
            "the names in the state dict are neither torchvision's nor timm's, and do not tell the structure; "
            f"describe the network, then adopt(state, net) reads it by order and shape; first names: {list(state)[:4]}"
        )
    shapes = {path: layer.shape for path, layer in zip(paths, theirs, strict=True)}
    _have_batch_norms(theirs)
    stem, stages = _stem(shapes), _stages(shapes, pooled_shortcuts(theirs))
    first = _shape(shapes, "stem.conv0" if stem.deep else "stem.conv")
    if classes is None:
        classes = _shape(shapes, "head.linear")[0]
    head = Head(classes=classes, act="head.norm" in shapes)
    return Net(input=Input(channels=channels or first[1], size=size), stem=stem, stages=stages, head=head)


def _shape(shapes: Shapes, path: str) -> tuple[int, ...]:
    if path not in shapes:
        raise ValueError(f"the state dict holds no {path}, so it is no residual network of a kind that zansa knows")
    return shapes[path]


def _have_batch_norms(theirs: list[Layer]) -> None:
    odd = [layer for layer in theirs if layer.is_norm and set(layer.names) - {"num_batches_tracked"} != NORM]
    if odd:
        raise ValueError(f"{odd[0].path} is no batch norm: it has {', '.join(odd[0].names)}; group sizes are not told")


def _stem(shapes: Shapes) -> Stem:
    deep = tuple(_shape(shapes, f"stem.conv{k}")[0] for k in range(2)) if "stem.conv0" in shapes else ()
    width, _, kernel, *_ = _shape(shapes, "stem.conv")
    large = bool(deep) or kernel == 7
    return Stem.model_validate(
        {
            "width": width,
            "kernel": kernel,
            "deep": deep,
            "act": "stem.norm" in shapes,
            "stride": 2 if large else 1,
            "pool": large,
        }
    )


def _stages(shapes: Shapes, pooled: dict[int, bool]) -> tuple[Stage, ...]:
    counts: dict[int, int] = {}
    for i, j in (map(int, m.groups()) for path in shapes if (m := re.match(r"stages\.(\d+)\.(\d+)\.", path))):
        counts[i] = max(counts.get(i, 0), j + 1)
    preact = any(
        shape[0] != _shape(shapes, path.replace("norm1", "conv1"))[0]
        for path, shape in shapes.items()
        if path.endswith(".branch.norm1")
    )
    stages: list[Stage] = []
    for i in range(max(counts, default=-1) + 1):
        before = stages[-1].width if stages else _shape(shapes, "stem.conv")[0]
        blocks = tuple(_block(shapes, f"stages.{i}.{j}", preact) for j in range(counts.get(i, 0)))
        last = "conv3" if f"stages.{i}.0.branch.conv3" in shapes else "conv2"
        width = _shape(shapes, f"stages.{i}.0.branch.{last}")[0]
        shortcut = _shortcut(shapes, i, before == width, pooled.get(i, False))
        stages.append(
            Stage(width=width, stride=2 if i and shortcut != "identity" else 1, shortcut=shortcut, blocks=blocks)
        )
    return tuple(stages)


def _block(shapes: Shapes, path: str, preact: bool) -> Block:
    inner, outer = _shape(shapes, f"{path}.branch.conv1")[0], _shape(shapes, f"{path}.branch.conv2")
    deep, gated = f"{path}.branch.conv3" in shapes, f"{path}.branch.se.down" in shapes
    gate = _shape(shapes, f"{path}.branch.se.down")[:1] if gated else ()
    hidden = (inner, outer[0], *gate) if deep else (inner, *gate)
    kind = ("preact_" if preact else "") + ("se_" if gated else "") + ("bottleneck" if deep else "basic")
    return Block(kind=kind, hidden=hidden, groups=inner // outer[1])


def _shortcut(shapes: Shapes, i: int, same: bool, pooled: bool) -> Shortcut:
    path = f"stages.{i}.0.shortcut"
    if f"{path}.conv" not in shapes:
        return "identity" if same else "pad"
    if f"{path}.norm" not in shapes:
        if pooled:
            raise ValueError(f"stage {i}: a shortcut that averages and convolves without a norm is not expressible")
        return "conv"
    return "average" if pooled else "project"
