"""Our zoo for users of timm: `import zansa.nets.timm_models` registers every network as "zansa_" and its name.

import timm, zansa.nets.timm_models
timm.create_model("zansa_resnet18", num_classes=2, in_chans=1)
timm.create_model("zansa_resnet18", features_only=True, out_indices=(2, 3, 4))
"""

from collections.abc import Callable
from typing import Any

import torch
from timm.models import FeatureInfo, register_model
from torch import Tensor, nn

from ..arch import zoo
from ..arch.spec import Net
from .backbone import Backbone
from .build import Network, build


class Features(nn.Module):
    """The maps of a network at the chosen indices, (N, C, *size/stride) each. `feature_info` gives their channels and
    reductions, as timm's feature extractors do."""

    def __init__(self, features: Backbone, out_indices: tuple[int, ...]):
        super().__init__()
        self.features = features
        info = [
            {"num_chs": c, "reduction": s, "module": f"stride{s}"}
            for c, s in zip(features.channels, features.strides, strict=True)
        ]
        if not all(-len(info) <= k < len(info) for k in out_indices):
            raise ValueError(f"out_indices {out_indices} were asked; this network has {len(info)} features")
        self.feature_info = FeatureInfo(info, out_indices)

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = self.features(x)
        return [maps[k] for k in self.feature_info.out_indices]


def _fresh(net: Net) -> Network:
    """build(net), seeded by torch's own generator as timm's models are."""
    return build(net, torch.Generator().manual_seed(int(torch.randint(2**62, ()))))


def _model(net: Net, config: Any, num_classes: int) -> nn.Module:
    """A classifier with the attributes that timm's tools read; without its classifier for num_classes=0."""
    module: Any = _fresh(net)
    module.num_classes, module.num_features = num_classes, module.head.linear.in_features
    if num_classes == 0:
        module.head.linear = nn.Identity()
    module.pretrained_cfg = module.default_cfg = config
    return module


def _features(net: Net, out_indices: tuple[int, ...] | None, output_stride: int | None) -> Features:
    features = Backbone(_fresh(net), output_stride)
    return Features(features, tuple(range(len(features.strides))) if out_indices is None else tuple(out_indices))


def _entry(name: str) -> Callable[..., nn.Module]:
    """The function that timm calls for a network of the zoo."""

    def create(
        pretrained: bool = False,
        pretrained_cfg: Any = None,
        pretrained_cfg_overlay: Any = None,
        cache_dir: Any = None,
        num_classes: int | None = None,
        in_chans: int | None = None,
        features_only: bool = False,
        out_indices: tuple[int, ...] | None = None,
        output_stride: int | None = None,
    ) -> nn.Module:
        if pretrained or pretrained_cfg or pretrained_cfg_overlay:
            raise ValueError(f"zansa publishes no weights of {name}; train it, or adopt torchvision's or timm's")
        net = zoo.make(name)
        net = net.but(
            {
                "input": net.input.but({"channels": in_chans or net.input.channels}),
                "head": net.head.but({"classes": num_classes or net.head.classes}),
            }
        )
        if features_only:
            return _features(net, out_indices, output_stride)
        if out_indices is not None or output_stride is not None:
            raise ValueError("out_indices and output_stride are for features_only=True")
        return _model(net, _config(net), net.head.classes if num_classes is None else num_classes)

    create.__name__ = create.__qualname__ = f"zansa_{name}"
    create.__doc__ = f"{name} of zansa's zoo: {zoo.ZOO[name].paper}."
    return create


def _config(net: Net) -> dict[str, Any]:
    """What timm's data loaders read: the size of the images, which are normalised as those of ImageNet."""
    return {
        "input_size": (net.input.channels, *net.input.size),
        "num_classes": net.head.classes,
        "pool_size": None,
        "crop_pct": 0.875,
        "interpolation": "bilinear",
        "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225),
        "first_conv": "stem.conv0" if net.stem.deep else "stem.conv",
        "classifier": "head.linear",
    }


# as modules of timm do, so that `from zansa.nets.timm_models import *` gives what was registered
globals().update({f"zansa_{name}": register_model(_entry(name)) for name in zoo.ZOO})
