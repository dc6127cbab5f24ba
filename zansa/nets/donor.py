"""A network with weights that were learned elsewhere, made ready for other samples and other classes."""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ..arch.spec import Input, Net
from ..arch.zoo import READY
from ..runs import model_file
from .adopt import adopt, net_from, read_checkpoint
from .build import Network
from .files import load, read
from .installed_weights import ready_file, ready_net


@dataclass(frozen=True)
class Donor:
    """Weights that were learned elsewhere.

    path: the file that they are from.
    state: the tensors by their names.
    net: the network that they are of; None where only the names can tell.
    classes: the classes that it knows, where the file says so.
    """

    path: Path
    state: dict[str, Tensor]
    net: Net | None
    classes: tuple[str, ...] = ()

    def network(self, size: tuple[int, ...], channels: int, classes: int, net: Net | None = None) -> Network:
        """The network for samples of this size and these channels, with the learned weights and a fresh classifier.

        `net` is the network that the weights are of, where the file does not tell. ValueError when they do not fit.
        """
        try:
            if self.net is not None and net is not None:
                raise ValueError("the file tells what its weights are of; leave the network out")
            original = self.net or net or net_from(self.state, size, classes, channels)
            head = original.head.but({"classes": classes})
            fitted = original.but({"input": Input(channels=channels, size=size), "head": head})
            return adopt(self.state, fitted, head="fresh")
        except ValueError as error:
            raise ValueError(f"{self.path}: {error}") from None


def read_donor(path: str | Path) -> Donor:
    """The weights of a file: of zansa (a model or a run's folder), of torchvision, timm or any author (.pt, .pth, .tar,
    .safetensors, .onnx), or those of an installed package by the network's name (zoo.READY). ValueError when they
    cannot be read; nothing in the file is executed."""
    name, path = str(path), weights_file(path)
    if name in READY:
        module = ready_net(name, path)
        return Donor(path, module.state_dict(), module.net)
    if path.suffix == ".safetensors" and "zansa" in read(path)[0]:
        model = load(path)
        return Donor(path, model.module.state_dict(), model.net, model.classes)
    return Donor(path, read_checkpoint(path), None)


def weights_file(weights: str | Path) -> Path:
    """The file of these weights: the one that was named, the model of a run, or the file of an installed package."""
    return ready_file(str(weights)) if str(weights) in READY else model_file(weights)
