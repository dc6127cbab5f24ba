"""Weights from elsewhere: the authors' own logits are the oracle."""

import pickle

import numpy as np
import onnx
import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from timm.data import resolve_model_data_config
from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

import zansa.nets.timm_models
from zansa.arch import zoo
from zansa.arch.cost import cost
from zansa.arch.spec import Block, Head, Input, Net, Stage, Stem
from zansa.nets.adopt import adopt, match, net_from, read_checkpoint
from zansa.nets.build import build

FEW = {"layers": (2, 1, 1, 2), "channels": (16, 32, 64, 128), "num_classes": 7}
PREACT = {"layers": (2, 1, 1, 2), "channels": (32, 64, 96, 128), "num_classes": 7}


def lively(module, seed=0):
    """A module whose norms are as after training: none of them can be left out or swapped unseen."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, nn.BatchNorm2d):
                for value in (layer.weight, layer.running_var):
                    value.uniform_(0.5, 1.5, generator=generator)
                for value in (layer.bias, layer.running_mean):
                    value.uniform_(-0.5, 0.5, generator=generator)
    return module.eval()


def error(theirs, ours, x):
    """How far the logits differ, of the largest."""
    with torch.no_grad():
        expected, found = theirs(x), ours(x)
    return float((expected - found).abs().max() / expected.abs().max())


def small(name, **changes):
    return lambda: timm.create_model(name, **(PREACT if "v2" in name else FEW) | changes)


THEIRS = {
    "torchvision resnet18": lambda: torchvision.models.resnet18(weights=None),
    "torchvision resnet34": lambda: ResNet(BasicBlock, [3, 2, 2, 1]),
    "torchvision resnet50": lambda: ResNet(Bottleneck, [2, 1, 2, 1]),
    "torchvision wide_resnet50_2": lambda: ResNet(Bottleneck, [1, 1, 1, 1], width_per_group=128),
    "torchvision resnext50_32x4d": lambda: ResNet(Bottleneck, [1, 2, 1, 1], groups=32, width_per_group=4),
    "timm resnet26": small("resnet26"),
    "timm resnext50_32x4d": small("resnext50_32x4d", channels=(64,) * 4),
    "timm wide_resnet50_2": small("wide_resnet50_2", channels=(64,) * 4),
    "timm seresnet18": small("seresnet18"),
    "timm seresnet50": small("seresnet50"),
    "timm resnet18d": small("resnet18d"),
    "timm resnet50d": small("resnet50d"),
    "timm resnet50c": small("resnet50c"),
    "timm resnet50s": small("resnet50s"),
    "timm resnet50t": small("resnet50t"),
    "timm resnext50d_32x4d": small("resnext50d_32x4d", channels=(64,) * 4),
    "timm seresnet152d": small("seresnet152d"),
    "timm resnetv2_18": small("resnetv2_18"),
    "timm resnetv2_50": small("resnetv2_50"),
    "timm resnet10t": lambda: timm.create_model("resnet10t"),
}


@pytest.mark.parametrize("name", THEIRS)
def test_the_network_and_its_logits_are_reproduced(name):
    theirs = lively(THEIRS[name]())
    state = theirs.state_dict()
    net = net_from(state, (65, 70))
    ours = adopt(state, net)
    assert not ours.training
    assert cost(net).params == sum(p.numel() for p in theirs.parameters())
    assert error(theirs, ours, torch.randn(2, 3, 65, 70)) <= 1e-5
    assert len(match(state, net)) == len(state)


@pytest.mark.parametrize("name", [name for name in THEIRS if name.startswith("timm")])
def test_names_are_not_needed(name):
    """The order of the layers tells them as well, where a shortcut and a last convolution are told by their shapes."""
    theirs = lively(THEIRS[name]())
    state = theirs.state_dict()
    paths = list(dict.fromkeys(name.rpartition(".")[0] for name in state))
    nameless = {f"layer{paths.index(n.rpartition('.')[0])}.{n.rpartition('.')[2]}": v for n, v in state.items()}
    net = net_from(state, (64, 64))
    pairs, named = match(nameless, net), match(state, net)
    assert [ours for _, ours in pairs] == [dict(named)[name] for name in state]


FULL = [f"torchvision.resnet{depth}" for depth in (18, 34, 50, 101, 152)]
FULL += [f"torchvision.wide_resnet{depth}_2" for depth in (50, 101)]
FULL += ["torchvision.resnext50_32x4d", "torchvision.resnext101_32x8d", "torchvision.resnext101_64x4d"]
FULL += ["timm.seresnet152d", "timm.resnetv2_101", "timm.resnet200d", "timm.resnext101_32x16d"]


@pytest.mark.parametrize("name", FULL)
def test_full_networks_have_as_many_parameters(name):
    library, model = name.split(".")
    with torch.device("meta"):
        theirs = (
            torchvision.models.get_model(model, weights=None) if library == "torchvision" else timm.create_model(model)
        )
    net = net_from(theirs.state_dict(), (224, 224))
    assert cost(net).params == sum(p.numel() for p in theirs.parameters())
    if model in zoo.ZOO:
        assert net == zoo.make(model)


class Entering(nn.Module):
    """A block by an author who makes the shortcut first, gives convolutions a bias, and has a gate without one."""

    def __init__(self, x, y, stride):
        super().__init__()
        if stride > 1:
            self.way_round = nn.Sequential(nn.Conv2d(x, y, 1, stride), nn.BatchNorm2d(y))
        self.first = nn.Conv2d(x, y, 3, stride, 1)
        self.first_bn = nn.BatchNorm2d(y)
        self.second = nn.Conv2d(y, y, 3, 1, 1)
        self.second_bn = nn.BatchNorm2d(y)
        self.squeeze, self.excite = nn.Linear(y, 4, bias=False), nn.Linear(4, y, bias=False)

    def forward(self, x):
        out = self.second_bn(self.second(self.first_bn(self.first(x)).relu()))
        out = out * self.excite(self.squeeze(out.mean((2, 3))).relu()).sigmoid()[:, :, None, None]
        return (out + (self.way_round(x) if hasattr(self, "way_round") else x)).relu()


class Author(nn.Module):
    def __init__(self, classes=5, eps=1e-5):
        super().__init__()
        self.entrance = nn.ModuleDict({"c": nn.Conv2d(3, 8, 3, 1, 1), "n": nn.BatchNorm2d(8)})
        self.body = nn.Sequential(Entering(8, 8, 1), Entering(8, 8, 1), Entering(8, 12, 2), Entering(12, 12, 1))
        self.decide = nn.Linear(12, classes)
        for layer in self.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.eps = eps

    def forward(self, x):
        return self.decide(self.body(self.entrance["n"](self.entrance["c"](x)).relu()).mean((2, 3)))


def authors_net(classes=5, channels=3):
    blocks = [(Block(kind="se_basic", hidden=(w, 4)),) * 2 for w in (8, 12)]
    stages = (Stage(width=8, blocks=blocks[0]), Stage(width=12, blocks=blocks[1], stride=2, shortcut="project"))
    return Net(
        input=Input(channels=channels, size=(32, 32)), stem=Stem(width=8), stages=stages, head=Head(classes=classes)
    )


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.module.model.backbone."])
def test_an_unknown_author_is_read_by_order_and_shape(prefix):
    theirs = lively(Author())
    state = {prefix + name: value for name, value in theirs.state_dict().items()}
    ours = adopt(state, authors_net())
    assert error(theirs, ours, torch.randn(2, 3, 32, 32)) <= 1e-5
    pairs = dict(match(state, authors_net()))
    assert pairs[f"{prefix}body.2.way_round.0.weight"] == "stages.1.0.shortcut.conv.weight"
    assert pairs[f"{prefix}body.2.first_bn.running_mean"] == "stages.1.0.branch.norm1.running_mean"


@pytest.mark.parametrize(
    "rename",
    [
        lambda name: name.replace(".", "/").replace("running", "moving").replace("_var", "_variance"),
        lambda name: name.replace(".weight", "_w").replace(".bias", "_b").replace(".", "_"),
    ],
)
def test_other_words_for_weights(rename):
    theirs = lively(Author())
    state = {rename(name): value for name, value in theirs.state_dict().items()}
    assert error(theirs, adopt(state, authors_net()), torch.randn(2, 3, 32, 32)) <= 1e-5


def test_parameters_before_buffers():
    theirs = lively(Author())
    state = dict(theirs.named_parameters()) | dict(theirs.named_buffers())
    assert error(theirs, adopt(state, authors_net()), torch.randn(2, 3, 32, 32)) <= 1e-5


class Alike(nn.Module):
    """Every convolution 1-wide and of one shape: nothing but the author knows which is the shortcut."""

    def __init__(self, first):
        super().__init__()
        self.stem, self.stem_bn = nn.Conv2d(1, 6, 3, 1, 1, bias=False), nn.BatchNorm2d(6)
        parts = {"a": (1, 1), "b": (3, 2), "c": (1, 1), "s": (1, 2)}
        for name in ("s", "a", "b", "c") if first else ("a", "b", "c", "s"):
            kernel, stride = parts[name]
            setattr(self, name, nn.Conv2d(6, 6, kernel, stride, kernel // 2, bias=False))
            setattr(self, f"{name}_bn", nn.BatchNorm2d(6))
        self.end = nn.Linear(6, 3)

    def forward(self, x):
        x = self.stem_bn(self.stem(x)).relu()
        out = self.b_bn(self.b(self.a_bn(self.a(x)).relu())).relu()
        return self.end((self.c_bn(self.c(out)) + self.s_bn(self.s(x))).relu().mean((2, 3)))


def alike_net():
    stage = Stage(width=6, stride=2, shortcut="project", blocks=(Block(kind="bottleneck", hidden=(6, 6)),))
    return Net(input=Input(channels=1, size=(16, 16)), stem=Stem(width=6), stages=(stage,), head=Head(classes=3))


@pytest.mark.parametrize("first", [True, False])
def test_what_shapes_do_not_tell_is_refused_and_images_decide(first):
    theirs, x = lively(Alike(first)), torch.randn(2, 1, 16, 16)
    state = theirs.state_dict()
    expected = r"can be read in \d ways.*(s|c|a) can be stages\.0\.0\.\S+ or stages\.0\.0\.\S+; give samples"
    with pytest.raises(ValueError, match=expected):
        adopt(state, alike_net())
    with pytest.raises(ValueError, match=expected):
        match(state, alike_net())
    with torch.no_grad():
        logits = theirs(x)
    assert error(theirs, adopt(state, alike_net(), given=(x, logits)), torch.randn(2, 1, 16, 16)) <= 1e-5
    with pytest.raises(ValueError, match=r"the logits on the given samples differ by .* of the largest"):
        adopt(state, alike_net(), given=(x, logits + 1e-3 * logits.abs().max()))
    with pytest.raises(ValueError, match=r"logits of shape \(2, 2\) were given; the network has \(2, 3\)"):
        adopt(state, alike_net(), given=(x, logits[:, :2]))


def test_images_that_do_not_decide_are_refused():
    theirs, x = lively(Alike(True)), torch.randn(2, 1, 16, 16)
    with torch.no_grad():
        theirs.end.weight.zero_()
        logits = theirs(x)
    with pytest.raises(ValueError, match="readings of the layers give these logits: give more samples"):
        adopt(theirs.state_dict(), alike_net(), given=(x, logits))


class Padded(nn.Module):
    """A block by akamaster/pytorch_resnet_cifar10 (`sides`), and as He et al. have it."""

    def __init__(self, x, y, sides):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(x, y, 3, y // x, 1, bias=False), nn.BatchNorm2d(y)
        self.conv2, self.bn2 = nn.Conv2d(y, y, 3, 1, 1, bias=False), nn.BatchNorm2d(y)
        self.before = (y - x) // 2 if sides else 0
        self.behind, self.stride = y - x - self.before, y // x

    def forward(self, x):
        out = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        x = nn.functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.before, self.behind))
        return (out + x).relu()


@pytest.mark.parametrize("sides", [True, False])
def test_where_padded_shortcuts_put_their_zeros(sides):
    parts = {"conv1": nn.Conv2d(3, 16, 3, 1, 1, bias=False), "bn1": nn.BatchNorm2d(16), "relu": nn.ReLU()}
    parts |= {f"layer{i}": nn.Sequential(Padded(x, y, sides)) for i, x, y in ((1, 16, 16), (2, 16, 32), (3, 32, 64))}
    parts |= {"pool": nn.AdaptiveAvgPool2d(1), "flat": nn.Flatten(), "linear": nn.Linear(64, 10)}
    theirs = nn.Sequential()
    for name, part in parts.items():
        theirs.add_module(name, part)
    state, x = lively(theirs).state_dict(), torch.randn(2, 3, 32, 32)
    net = net_from(state, (32, 32))
    assert net == zoo.cifar_resnet(8)
    with pytest.raises(ValueError, match="zero channels after the others or on both sides"):
        adopt(state, net)
    with torch.no_grad():
        ours = adopt(state, net, given=(x, theirs(x)))
    assert error(theirs, ours, torch.randn(2, 3, 32, 32)) <= 1e-5
    with torch.no_grad():
        many = torch.randn(64, 3, 32, 32)
        theirs.linear.bias -= theirs(many).mean(0)  # so that all classes are answered
        labels = theirs(many).argmax(1)
    state = theirs.state_dict()
    assert error(theirs, adopt(state, net, given=(many, labels)), torch.randn(2, 3, 32, 32)) <= 1e-5
    with pytest.raises(ValueError, match="the labels of 64 samples do not decide"):
        adopt(state, net, given=(many, labels + 10))  # of no class that it knows


class Preact(nn.Module):
    """A block by kuangliu/pytorch-cifar."""

    def __init__(self, x, y):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(x), nn.Conv2d(x, y, 3, y // x, 1, bias=False)
        self.bn2, self.conv2 = nn.BatchNorm2d(y), nn.Conv2d(y, y, 3, 1, 1, bias=False)
        if x != y:
            self.shortcut = nn.Sequential(nn.Conv2d(x, y, 1, 2, bias=False))

    def forward(self, x):
        out = self.bn1(x).relu()
        x = self.shortcut(out) if hasattr(self, "shortcut") else x
        return x + self.conv2(self.bn2(self.conv1(out)).relu())


def test_pre_activation_without_norms_at_the_ends():
    theirs = nn.Sequential()
    for name, part in {
        "conv1": nn.Conv2d(3, 16, 3, 1, 1, bias=False),
        "layer1": nn.Sequential(Preact(16, 16)),
        "layer2": nn.Sequential(Preact(16, 32), Preact(32, 32)),
        "pool": nn.AdaptiveAvgPool2d(1),
        "flat": nn.Flatten(),
        "linear": nn.Linear(32, 10),
    }.items():
        theirs.add_module(name, part)
    state = lively(theirs).state_dict()
    assert error(theirs, adopt(state, net_from(state, (32, 32))), torch.randn(2, 3, 32, 32)) <= 1e-5


def test_another_function_of_the_same_shapes_is_told_by_images():
    theirs = lively(timm.create_model("resnetaa50", **FEW))
    state, x = theirs.state_dict(), torch.randn(2, 3, 64, 64)
    net = net_from(state, (64, 64))
    with torch.no_grad():
        logits = theirs(x)
    with pytest.raises(ValueError, match="strides, activations, pooling"):
        adopt(state, net, given=(x, logits))


def test_a_classifier_of_another_size():
    theirs = lively(THEIRS["timm seresnet18"]())
    state = theirs.state_dict()
    net = net_from(state, (64, 64), classes=2)
    with pytest.raises(ValueError, match=r"head\.linear: expected \(2, 128\), found fc .*ask for head='fresh'"):
        adopt(state, net)
    ours = adopt(state, net, head="fresh")
    torch.testing.assert_close(ours.head.linear.weight, build(net).head.linear.weight)
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected, found = theirs.forward_features(x), ours.features(x)[-1]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    headless = {name: value for name, value in state.items() if not name.startswith("fc.")}
    torch.testing.assert_close(adopt(headless, net, head="fresh").state_dict(), ours.state_dict())
    with pytest.raises(ValueError, match=r"holds no head\.linear"):
        net_from(headless, (64, 64))
    with pytest.raises(ValueError, match=r"head\.linear: expected \(2, 128\), found nothing"):
        adopt(headless, net)
    with pytest.raises(ValueError, match="a new classifier cannot give them"):
        adopt(state, net, head="fresh", given=(x, torch.zeros(1, 2)))
    with pytest.raises(ValueError, match="head 'new' was asked; allowed: 'strict', 'fresh'"):
        adopt(state, net, head="new")


@pytest.mark.parametrize("with_head", [True, False])
def test_an_unknown_authors_classifier_is_left_out(with_head):
    theirs = lively(Author(classes=9))
    state = {k: v for k, v in theirs.state_dict().items() if with_head or "decide" not in k}
    ours = adopt(state, authors_net(classes=2), head="fresh")
    x = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        expected = theirs.body(theirs.entrance["n"](theirs.entrance["c"](x)).relu())
        torch.testing.assert_close(ours.features(x)[-1], expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="ask for head='fresh'"):
        adopt(state, authors_net(classes=2))


@pytest.mark.parametrize("name", ["timm resnet26", "timm resnet18d", "timm resnetv2_18"])
def test_gray_images_and_colour_weights(name):
    theirs = lively(THEIRS[name]())
    state, x = theirs.state_dict(), torch.randn(2, 1, 64, 64)
    gray = adopt(state, net_from(state, (64, 64), channels=1))
    assert error(lambda x: theirs(x.expand(-1, 3, -1, -1)), gray, x) <= 1e-5
    colour = adopt(gray.state_dict(), net_from(state, (64, 64)))
    assert error(theirs, colour, x.expand(-1, 3, -1, -1)) <= 1e-5
    with pytest.raises(ValueError, match=r"stem\.conv0?: expected \(\d+, 4, "):
        adopt(state, net_from(state, (64, 64), channels=4))


def test_wrong_shapes_and_missing_layers_are_named():
    state = ResNet(BasicBlock, [1, 1, 1, 1]).state_dict()
    with pytest.raises(
        ValueError, match=r"fit its network: stages\.0\.1\.branch\.conv1: expected \(64, 64, 3, 3\), fo"
    ):
        adopt(state, zoo.resnet(18))
    theirs = Author().state_dict()
    wrong = theirs | {"body.1.second.weight": torch.zeros(8, 8, 5, 5)}
    with pytest.raises(
        ValueError, match=r"order: body\.1\.second \(convolution \(8, 8, 5, 5\), with bias\) for stages"
    ):
        adopt(wrong, authors_net())
    short = {name: value for name, value in theirs.items() if not name.startswith("body.3.")}
    with pytest.raises(ValueError, match=r"it has 23 layers, the network 29; the first that does not fit"):
        adopt(short, authors_net())
    with pytest.raises(ValueError, match=r"body\.0\.slope is no weight"):
        adopt(theirs | {"body.0.slope": torch.ones(1)}, authors_net())
    with pytest.raises(ValueError, match=r"damaged: decide\.weight has values that are no numbers"):
        adopt(theirs | {"decide.weight": torch.full((5, 12), torch.nan)}, authors_net())


def test_a_bias_without_a_norm_behind_it_is_refused():
    theirs = lively(THEIRS["timm resnetv2_18"]())
    state = theirs.state_dict()
    net, name = net_from(state, (64, 64)), "stages.0.blocks.0.conv2.bias"
    ours = adopt(state | {name: torch.zeros(32)}, net)
    assert error(theirs, ours, torch.randn(1, 3, 64, 64)) <= 1e-5
    with pytest.raises(ValueError, match=r"conv2 .*has a bias and no norm after it"):
        adopt(state | {name: torch.ones(32)}, net)


def test_structures_without_a_counterpart_are_refused():
    with torch.device("meta"):
        states = {name: timm.create_model(name).state_dict() for name in ("resnetv2_18d", "resnet50_gn", "resnetrs50")}
    with pytest.raises(ValueError, match="averages and convolves without a norm is not expressible"):
        net_from(states["resnetv2_18d"], (64, 64))
    with pytest.raises(ValueError, match="bn1 is no batch norm: it has weight, bias; group sizes"):
        net_from(states["resnet50_gn"], (64, 64))
    with pytest.raises(ValueError, match="neither torchvision's nor timm's"):
        net_from(states["resnetrs50"], (64, 64))
    with pytest.raises(ValueError, match="neither torchvision's nor timm's"):
        net_from(Author().state_dict(), (32, 32))


@pytest.mark.parametrize(
    ("name", "wrong"), [("resnet18d", "project"), ("resnet18", "average"), ("resnetv2_18", "average")]
)
def test_the_pool_of_a_shortcut_is_not_overlooked(name, wrong):
    state = small(name)().state_dict()
    net = net_from(state, (64, 64))
    stages = tuple(s if s.shortcut == "identity" else s.model_copy(update={"shortcut": wrong}) for s in net.stages)
    with pytest.raises(ValueError, match=rf"stage \d .*before it convolves; the network has '{wrong}' there"):
        adopt(state, net.model_copy(update={"stages": stages}))


def test_our_own_names_are_known():
    for net in (authors_net(), zoo.cifar_resnet(8, preact=True)):
        module = lively(build(net))
        state = dict(sorted(module.state_dict().items()))
        assert error(module, adopt(state, net), torch.randn(1, 3, 32, 32)) == 0


def exported(module, path, **options):
    """As the older exporter writes it, with its own names kept unless it folds."""
    with pytest.warns(DeprecationWarning, match="legacy|removed"):
        torch.onnx.export(module, (torch.randn(1, 3, 32, 32),), path, dynamo=False, **options)
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """One author's network, and its ONNX file."""
    theirs, path = lively(Author(eps=1e-3)), tmp_path_factory.mktemp("onnx") / "net.onnx"
    torch.onnx.export(theirs, (torch.randn(1, 3, 32, 32),), path, dynamo=True, optimize=False, verbose=False)
    return theirs, path


def test_onnx_is_read_in_the_order_of_computation(whole, tmp_path):
    """An epsilon of another framework goes into the variance."""
    theirs, path = whole
    state = read_checkpoint(path)
    assert error(theirs, adopt(state, authors_net()), torch.randn(1, 3, 32, 32)) <= 1e-5
    model = onnx.load(path)
    for number, tensor in enumerate(model.graph.initializer):  # names that tell nothing
        for node in model.graph.node:
            node.input[:] = [f"onnx::{number}" if name == tensor.name else name for name in node.input]
        tensor.name = f"onnx::{number}"
    onnx.save(model, tmp_path / "nameless.onnx")
    state = read_checkpoint(tmp_path / "nameless.onnx")
    assert error(theirs, adopt(state, authors_net()), torch.randn(1, 3, 32, 32)) <= 1e-5


UNFOLDED = {"training": torch.onnx.TrainingMode.PRESERVE, "do_constant_folding": False}


def test_known_names_in_onnx_give_the_network_too(tmp_path):
    theirs = lively(small("resnet18")())
    state = read_checkpoint(exported(theirs, tmp_path / "net.onnx", **UNFOLDED))
    assert error(theirs, adopt(state, net_from(state, (32, 32))), torch.randn(1, 3, 32, 32)) <= 1e-5


def test_equal_tensors_that_an_onnx_file_holds_once(tmp_path):
    theirs = Author().eval()
    state = read_checkpoint(exported(theirs, tmp_path / "net.onnx", **UNFOLDED))
    assert any(node.op_type == "Identity" for node in onnx.load(tmp_path / "net.onnx").graph.node)
    assert error(theirs, adopt(state, authors_net()), torch.randn(1, 3, 32, 32)) <= 1e-5


def test_folded_norms_are_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no batch norms: its exporter has folded them"):
        read_checkpoint(exported(lively(Author()), tmp_path / "net.onnx"))
    state = {name: value for name, value in Author().state_dict().items() if "bn" not in name and ".n." not in name}
    without = {name: value for name, value in state.items() if "way_round.1" not in name}
    with pytest.raises(ValueError, match="has no norms: an exporter has folded them"):
        adopt(without, authors_net())


def test_onnx_matrices_are_turned(tmp_path):
    """Gemm without transB and MatMul hold the transposed matrix."""
    w, ones = np.arange(6, dtype=np.float32).reshape(2, 3), np.ones(2, np.float32)
    values = {"w": w, "v": w, **dict.fromkeys(("g", "b", "m", "s"), ones)}
    nodes = [
        onnx.helper.make_node("BatchNormalization", ["x", "g", "b", "m", "s"], ["n"]),
        onnx.helper.make_node("Gemm", ["n", "w"], ["y"]),
        onnx.helper.make_node("MatMul", ["n", "v"], ["z"]),
    ]
    tensors = [onnx.numpy_helper.from_array(value, name) for name, value in values.items()]
    graph = onnx.helper.make_graph(nodes, "g", [], [], tensors)
    onnx.save(onnx.helper.make_model(graph), tmp_path / "net.onnx")
    state = read_checkpoint(tmp_path / "net.onnx")
    for name in ("gemm1.weight", "matmul2.weight"):
        np.testing.assert_array_equal(state[name].numpy(), w.T)


@pytest.mark.parametrize("around", [(), ("state_dict",), ("model",), ("ema",), ("net", "state_dict")])
@pytest.mark.parametrize(("name", "zipped"), [("net.pth", True), ("net.th", False), ("net.tar", True)])
def test_what_is_around_a_state_dict_is_opened(tmp_path, around, name, zipped):
    state = value = Author().state_dict()
    for key in reversed(around):
        value = {"epoch": 3, key: value}
    torch.save(value, tmp_path / name, _use_new_zipfile_serialization=zipped)
    assert list(read_checkpoint(tmp_path / name)) == list(state)


def test_safetensors_keep_no_order(tmp_path):
    theirs = lively(THEIRS["timm resnet18d"]())
    save_file(theirs.state_dict(), tmp_path / "known.safetensors")
    state = read_checkpoint(tmp_path / "known.safetensors")
    assert error(theirs, adopt(state, net_from(state, (64, 64))), torch.randn(1, 3, 64, 64)) <= 1e-5
    save_file(Author().state_dict(), tmp_path / "unknown.safetensors")
    with pytest.raises(ValueError, match="in alphabetical order, as safetensors keeps them"):
        adopt(read_checkpoint(tmp_path / "unknown.safetensors"), authors_net())


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_files_are_never_executed(tmp_path):
    bomb = Bomb(str(tmp_path / "executed"))
    torch.save({"state_dict": bomb}, tmp_path / "bomb.pt")
    (tmp_path / "bomb.pth").write_bytes(pickle.dumps({"state_dict": bomb}))
    for name in ("bomb.pt", "bomb.pth"):
        with pytest.raises(ValueError, match="never executes what a file contains"):
            read_checkpoint(tmp_path / name)
    assert not (tmp_path / "executed").exists()


def test_damaged_and_foreign_files_are_refused(whole, tmp_path):
    torch.save(Author().state_dict(), tmp_path / "whole.pt")
    torch.save(Author().state_dict(), tmp_path / "whole.th", _use_new_zipfile_serialization=False)
    save_file(Author().state_dict(), tmp_path / "whole.safetensors")
    onnx.save(onnx.load(whole[1]), tmp_path / "whole.onnx")  # weights within the file
    reasons = {
        "pt": "cannot be read as weights alone",
        "th": "cannot be read as weights alone",
        "safetensors": "no model file, or is damaged",
        "onnx": "no ONNX file, or is damaged",
    }
    for name, reason in reasons.items():
        data = (tmp_path / f"whole.{name}").read_bytes()
        for number, content in enumerate((data[: len(data) // 2], b"hello, these are no weights", b"")):
            path = tmp_path / f"{number}.{name}"
            path.write_bytes(content)
            with pytest.raises(ValueError, match=reason if content or name != "onnx" else "holds no batch norms"):
                read_checkpoint(path)
        with pytest.raises(ValueError, match="there is no file"):
            read_checkpoint(tmp_path / f"missing.{name}")
    for value in ([1, 2], {}, {"epoch": 3}, {"state_dict": {"a": 1}}):
        torch.save(value, tmp_path / "other.pt")
        with pytest.raises(ValueError, match="holds no state dict"):
            read_checkpoint(tmp_path / "other.pt")


def test_timm_knows_our_zoo():
    assert set(timm.list_models("zansa_*")) == {f"zansa_{name}" for name in zoo.ZOO}
    assert set(zansa.nets.timm_models.__all__) == {f"zansa_{name}" for name in zoo.ZOO}
    model = timm.create_model("zansa_cifar_resnet20", num_classes=3, in_chans=1)
    assert model(torch.randn(2, 1, 32, 32)).shape == (2, 3)
    assert model.num_classes == 3
    assert resolve_model_data_config(model)["input_size"] == (1, 32, 32)
    other = timm.create_model("zansa_cifar_resnet20", num_classes=3, in_chans=1)
    assert not torch.equal(model.stem.conv.weight, other.stem.conv.weight)
    assert timm.create_model("zansa_cifar_resnet8", num_classes=0)(torch.randn(2, 3, 32, 32)).shape == (2, 64)
    with pytest.raises(ValueError, match="publishes no weights of cifar_resnet20"):
        timm.create_model("zansa_cifar_resnet20", pretrained=True)


def test_timm_gets_features():
    model = timm.create_model("zansa_resnet18", features_only=True, out_indices=(1, -1))
    assert model.feature_info.channels() == [64, 512]
    assert model.feature_info.reduction() == [4, 32]
    assert [tuple(f.shape) for f in model(torch.randn(1, 3, 64, 96))] == [(1, 64, 16, 24), (1, 512, 2, 3)]
    whole = timm.create_model("zansa_resnet18", features_only=True, output_stride=8)
    assert whole.feature_info.reduction() == [2, 4, 8]
    assert whole.feature_info.channels() == [64, 64, 512]
    with pytest.raises(ValueError, match=r"out_indices \(9,\) were asked; this network has 5 features"):
        timm.create_model("zansa_resnet18", features_only=True, out_indices=(9,))
    with pytest.raises(ValueError, match="are for features_only=True"):
        timm.create_model("zansa_cifar_resnet8", out_indices=(1,))
