"""Names that authors give to the layers of residual networks, and ours."""

import re

from .layers import Layer, listed

_BLOCK = r"layer(\d+)\.(\d+)\."
_HEAD = (r"(?:fc|linear|classifier|head)(?:\.(?:fc|\d))?", "head.linear")

# torchvision/models/resnet.py, timm/models/resnet.py; `shortcut`, `linear`: kuangliu/pytorch-cifar and its relatives
_RESNET = (
    (r"conv1(?:\.6)?", "stem.conv"),
    (r"bn1", "stem.norm"),
    (r"conv1\.0", "stem.conv0"),
    (r"conv1\.1", "stem.norm0"),
    (r"conv1\.3", "stem.conv1"),
    (r"conv1\.4", "stem.norm1"),
    (_BLOCK + r"conv(\d)", r"stages.\1.\2.branch.conv\3"),
    (_BLOCK + r"bn(\d)", r"stages.\1.\2.branch.norm\3"),
    (_BLOCK + r"se\.fc1", r"stages.\1.\2.branch.se.down"),
    (_BLOCK + r"se\.fc2", r"stages.\1.\2.branch.se.up"),
    (_BLOCK + r"(?:downsample|shortcut)\.\d", r"stages.\1.\2.shortcut.KIND"),
    _HEAD,
)
# timm/models/resnetv2.py
_RESNETV2 = (
    (r"stem\.conv3?", "stem.conv"),
    (r"stem\.norm3?", "stem.norm"),
    (r"stem\.conv1", "stem.conv0"),
    (r"stem\.norm1", "stem.norm0"),
    (r"stem\.conv2", "stem.conv1"),
    (r"stem\.norm2", "stem.norm1"),
    (r"stages\.(\d+)\.blocks\.(\d+)\.((?:conv|norm)\d)", r"stages.\1.\2.branch.\3"),
    (r"stages\.(\d+)\.blocks\.(\d+)\.downsample\.(conv|norm)", r"stages.\1.\2.shortcut.\3"),
    (r"norm", "head.norm"),
    _HEAD,
)


def our_paths(theirs: list[Layer]) -> list[str] | None:
    """Our path of every layer; None when the names are of no known author. Layers that read the stream after a shared
    norm stand under `branch` here; `fit_shared` moves them."""
    for table in (_RESNET, _RESNETV2):
        paths = [_our_path(layer, table) for layer in theirs]
        if all(paths) and len(set(paths)) == len(paths):
            return [_from_zero(path) for path in paths] if table is _RESNET else paths
    return None


def _from_zero(path: str) -> str:
    """torchvision counts its layers from 1, we count stages from 0."""
    return re.sub(r"^stages\.(\d+)", lambda match: f"stages.{int(match[1]) - 1}", path)


def _our_path(layer: Layer, table: tuple[tuple[str, str], ...]) -> str:
    for pattern, ours in table:
        if match := re.fullmatch(pattern, layer.path):
            return match.expand(ours).replace("KIND", "norm" if layer.is_norm else "conv")
    return ""


def pooled_shortcuts(theirs: list[Layer]) -> dict[int, bool]:
    """For each stage whose shortcut has a convolution: whether, by the author's names, an average pool stands before
    it."""
    deep = any(layer.path == "stem.conv1" for layer in theirs)  # timm's resnetv2 has both or neither
    pooled = {}
    for layer in theirs:
        if match := re.fullmatch(_BLOCK + r"(?:downsample|shortcut)\.(\d)", layer.path):
            if not layer.is_norm:  # timm's resnet has the pool as layer 0, torchvision has none
                pooled[int(match[1]) - 1] = match[3] == "1"
        elif match := re.fullmatch(r"stages\.(\d+)\.blocks\.0\.downsample\.conv", layer.path):
            pooled[int(match[1])] = deep
    return pooled


def by_name(theirs: list[Layer], ours: list[Layer]) -> dict[str, Layer] | None:
    """Their layers by the paths of ours, where the names are known: ours, or an author's."""
    known = {layer.path for layer in ours}
    if {layer.path for layer in theirs} <= known:
        return {layer.path: layer for layer in theirs}
    paths = our_paths(theirs)
    if paths is None:
        return None
    shared = {path: path.replace(".branch.", ".shared.") for path in paths}
    return {
        shared[path] if path not in known and shared[path] in known else path: layer
        for path, layer in zip(paths, theirs, strict=True)
    }


def unfit(named: dict[str, Layer], ours: list[Layer], wrong: list[Layer]) -> str:
    """What does not fit by name: layers that one side lacks, and those of another shape."""
    faults = [f"{layer.path}: expected {layer.shape}, found nothing" for layer in ours if layer.path not in named]
    faults += [f"{layer.path}: expected {layer.shape}, found {named[layer.path]}" for layer in wrong]
    known = {layer.path for layer in ours}
    faults += [f"{path}: expected nothing, found {layer}" for path, layer in named.items() if path not in known]
    return listed(faults)
