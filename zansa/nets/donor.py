"""A network with weights that were learned elsewhere, made ready for other images and other classes."""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ..arch.spec import Input, Net
from ..runs import model_file
from .adopt import adopt, net_from, read_checkpoint
from .build import Network
from .files import load, read


@dataclass(frozen=True)
class Donor:
    """Weights by their names, the network that they are of (None where only the names tell), and its classes."""

    path: Path
    state: dict[str, Tensor]
    net: Net | None
    classes: tuple[str, ...] = ()

    def network(self, size: tuple[int, ...], channels: int, classes: int, net: Net | None = None) -> Network:
        """The network for images of this size and these channels, with the learned weights and a fresh classifier.

        `net`: what the weights are of, where the file does not tell. ValueError when they do not fit.
        """
        try:
            if self.net is not None and net is not None:
                raise ValueError("the file tells what its weights are of; leave the network out")
            found = self.net or net or net_from(self.state, size, classes, channels)
            head = found.head.but({"classes": classes})
            fitted = found.but({"input": Input(channels=channels, size=size), "head": head})
            return adopt(self.state, fitted, head="fresh")
        except ValueError as error:
            raise ValueError(f"{self.path}: {error}") from None


def read_donor(path: str | Path) -> Donor:
    """The weights of a file: of zansa (a model or a run's folder), of torchvision, timm or any author (.pt, .pth, .tar,
    .safetensors, .onnx). ValueError when they cannot be read; nothing in the file is executed."""
    path = model_file(path)
    if path.suffix == ".safetensors" and "zansa" in read(path)[0]:
        model = load(path)
        return Donor(path, model.module.state_dict(), model.net, model.classes)
    return Donor(path, read_checkpoint(path), None)
