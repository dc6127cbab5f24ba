"""zansa (残差, "residual"): grows residual networks to fit.

The names below are the public surface. Those that need torch are fetched when first used, so that describing and
costing networks starts at once.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .arch import zoo
from .arch.apply import apply, inexact
from .arch.cost import Cost, cost
from .arch.edits import Delete, Insert, Merge, Mix, Regrid, Rekind, Remap, Split, Tie, Widen
from .arch.spec import Block, Head, Input, Net, Stage, Stem, Step
from .arch.use import OperatingPoint, Preprocess

# newer wheels of onnxruntime tell Microsoft of every session, on Linux too, unless this is set before they are imported
# (two names, by version)
for _name in ("ORT_DISABLE_TELEMETRY", "ORT_TELEMETRY_DISABLED"):
    os.environ.setdefault(_name, "1")

if TYPE_CHECKING:
    from .beginnings.growing import grow
    from .deploy.clock.timing import timer
    from .deploy.export import export
    from .deploy.runtime import predictor
    from .learn.data import load as load_data
    from .learn.data.splits import split
    from .learn.recipe import Recipe
    from .learn.train import fit
    from .nets.adopt import adopt, match, net_from, read_checkpoint
    from .nets.backbone import Backbone
    from .nets.build import build
    from .nets.files import Model, load, save
    from .nets.transfer import transfer
    from .proof.figures import figures

__all__ = [
    "Backbone",
    "Block",
    "Cost",
    "Delete",
    "Head",
    "Input",
    "Insert",
    "Merge",
    "Mix",
    "Model",
    "Net",
    "OperatingPoint",
    "Preprocess",
    "Recipe",
    "Regrid",
    "Rekind",
    "Remap",
    "Split",
    "Stage",
    "Stem",
    "Step",
    "Tie",
    "Widen",
    "adopt",
    "apply",
    "build",
    "cost",
    "export",
    "figures",
    "fit",
    "grow",
    "inexact",
    "load",
    "load_data",
    "match",
    "net_from",
    "predictor",
    "read_checkpoint",
    "save",
    "split",
    "timer",
    "transfer",
    "zoo",
]

_HOMES = {
    "Backbone": "nets.backbone",
    "Model": "nets.files",
    "Recipe": "learn.recipe",
    "adopt": "nets.adopt",
    "build": "nets.build",
    "export": "deploy.export",
    "figures": "proof.figures",
    "fit": "learn.train",
    "grow": "beginnings.growing",
    "load": "nets.files",
    "load_data": "learn.data",
    "match": "nets.adopt",
    "net_from": "nets.adopt",
    "predictor": "deploy.runtime",
    "read_checkpoint": "nets.adopt",
    "save": "nets.files",
    "split": "learn.data.splits",
    "timer": "deploy.clock.timing",
    "transfer": "nets.transfer",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"zansa has no {name!r}; it has: {', '.join(__all__)}")
    value = getattr(import_module(f".{_HOMES[name]}", __name__), "load" if name == "load_data" else name)
    globals()[name] = value
    return value
