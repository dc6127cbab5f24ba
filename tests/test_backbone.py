"""Features at several scales: against hooks and smp's own encoder; in real segmenters and detectors."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from laws import a_block, trained
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator

from zansa.arch import zoo
from zansa.arch.apply import apply
from zansa.arch.branches import BRANCHES
from zansa.arch.edits import Delete, Insert, Remap
from zansa.arch.spec import Head, Input, Net, Stage, Stem, Step
from zansa.arch.steps import STEPS
from zansa.arch.use import Preprocess
from zansa.nets.adopt import adopt
from zansa.nets.backbone import Backbone, Encoder, Pyramid, smp_entry
from zansa.nets.build import build
from zansa.nets.files import Model
from zansa.nets.transfer import transfer

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("ZANSA_SHARED_DATA", ROOT.parent / "shared" / "data"))
FORMS = {"cifar": (1, 2, 4), "imagenet": (2, 4, 8, 16, 32)}
SIZE = {1: (67,), 2: (67, 50), 3: (17, 12, 9)}


def a_net(
    kind: str, form: str = "cifar", step: str = "plain", dims: int = 2, shortcut: str = "project", pool: bool = True
) -> Net:
    """Stages of stride 1, 2, 2(, 2), of two blocks each, of growing width."""
    preact = not BRANCHES[kind].after
    large = form == "imagenet"
    block = a_block(kind, step)
    return Net(
        input=Input(channels=3, size=SIZE[dims]),
        stem=Stem(width=6, kernel=7 if large else 3, stride=2 if large else 1, pool=large and pool, act=not preact),
        stages=tuple(
            Stage(
                width=6 + 2 * i,
                stride=2 if i else 1,
                shortcut=shortcut if i else "identity",
                blocks=(block, block),
                step=Step(kind=step, start="zero" if STEPS[step].repeats else "random"),
            )
            for i in range(4 if large else 3)
        ),
        head=Head(classes=5, act=preact),
        norm="none" if STEPS[step].repeats else "batch",
    )


def images(net: Net, count: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(count, net.input.channels, *net.input.size, generator=generator, dtype=torch.float64)


def close(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.shape == b.shape and bool((a - b).abs().max() <= 1e-12 * b.abs().max())


every_kind = pytest.mark.parametrize("kind", BRANCHES)
every_form = pytest.mark.parametrize("form", FORMS)


@every_form
@every_kind
def test_the_maps_are_what_the_network_computes(kind, form):
    net = a_net(kind, form)
    network, x, seen = trained(build(net)), images(net), []
    places = [stage[-1] for stage in network.stages]
    for place in places:
        place.register_forward_hook(lambda module, args, out: seen.append(out[0] if isinstance(out, tuple) else out))
    if net.stem.pool:
        network.stem.pool.register_forward_hook(lambda module, args, out: seen.append(args[0]))
    logits = network(x)
    features = Backbone(network)
    maps = features(x)
    assert features.strides == FORMS[form]
    assert features.channels == tuple(m.shape[1] for m in maps)
    for stride, found in zip(features.strides, maps, strict=True):
        assert found.shape[2:] == tuple((n - 1) // stride + 1 for n in net.input.size)
    assert len(seen) >= len(maps)
    assert all(torch.equal(found, expected) for found, expected in zip(maps, seen, strict=False))
    assert torch.equal(network.head(maps[-1]), logits)


@pytest.mark.parametrize("step", STEPS)
def test_every_step_has_maps(step):
    net = a_net("preact_basic", "imagenet", step)
    network, x = trained(build(net)), images(net)
    maps = Backbone(network)(x)
    assert [m.shape[1] for m in maps] == list(Backbone(network).channels)
    if step != "momentum":  # its last stage goes on with two streams
        assert close(network.head(maps[-1]), network(x))


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_one_two_and_three_directions(dims):
    net = a_net("bottleneck", dims=dims)
    features = Backbone(trained(build(net)))
    assert [m.ndim for m in features(images(net))] == [dims + 2] * 3
    assert features.strides == (1, 2, 4)


def test_a_stem_without_a_pool_and_a_stage_without_a_stride():
    net = a_net("basic", "imagenet", pool=False)
    features = Backbone(build(net))
    assert (features.strides, features.channels) == ((2, 4, 8, 16), (6, 8, 10, 12))


@pytest.mark.parametrize("output_stride", [2, 4, 16])
@pytest.mark.parametrize("shortcut", ["pad", "project", "average"])
@pytest.mark.parametrize("kind", [kind for kind in BRANCHES if not kind.startswith("se_")])
def test_dilated_maps_hold_the_old_ones(kind, shortcut, output_stride):
    net = a_net(kind, "imagenet", shortcut=shortcut)
    network, x = trained(build(net)), images(net)
    features = Backbone(network, output_stride)
    assert features.strides == tuple(stride for stride in FORMS["imagenet"] if stride <= output_stride)
    finest, step = features(x)[-1], 32 // output_stride
    assert finest.shape[2:] == tuple((n - 1) // output_stride + 1 for n in net.input.size)
    assert close(finest[:, :, ::step, ::step], Backbone(network)(x)[-1])


@pytest.mark.parametrize("step", STEPS)
def test_dilated_maps_of_every_step(step):
    net = a_net("preact_bottleneck", step=step)
    network, x = trained(build(net)), images(net)
    assert close(Backbone(network, 1)(x)[-1][:, :, ::4, ::4], Backbone(network)(x)[-1])


@pytest.mark.parametrize("dims", [1, 3])
def test_dilated_in_one_and_three_directions(dims):
    net = a_net("basic", dims=dims, shortcut="average")
    network, x = trained(build(net)), images(net)
    every = (slice(None), slice(None), *[slice(None, None, 4)] * dims)
    assert close(Backbone(network, 1)(x)[-1][every], Backbone(network)(x)[-1])


def test_a_grown_network():
    """Edits that keep the function keep the maps; one that narrows is seen in the channels."""
    net = a_net("preact_basic")
    state, x = trained(build(net)).state_dict(), images(net)
    before = Backbone(with_weights(net, state))(x)
    widen = Remap(axis="stage1", index=(*range(8), 0, 3))
    for edit in (
        Insert(stage=1, at=1, block=a_block("preact_basic", width=7)),
        Insert(stage=2, at=2, block=a_block("preact_bottleneck")),
        Remap(axis="stage0.block1.hidden0", index=(3, 1, 0, 2, 2)),
        widen,
    ):
        net, state = apply(net, edit), transfer(state, net, edit)
    features = Backbone(with_weights(net, state))
    after = features(x)
    assert features.channels == (6, 10, 10)
    assert close(after[0], before[0])
    assert close(after[1], before[1][:, list(widen.index)])
    assert close(after[2], before[2])
    cut = Delete(stage=2, at=1)
    net, state = apply(net, cut), transfer(state, net, cut)
    narrow = Remap(axis="stage2", index=(0, 5))
    net, state = apply(net, narrow), transfer(state, net, narrow)
    features = Backbone(with_weights(net, state))
    assert features.channels == (6, 10, 2)
    assert features(x)[-1].shape[1] == 2


def with_weights(net, state):
    network = build(net).double().eval()
    network.load_state_dict(state)
    return network


def test_the_network_is_left_alone():
    network = build(a_net("basic")).eval()
    x = images(network.net).float()
    before = network(x)
    for parameter in Backbone(network, 2).parameters():
        parameter.data.zero_()
    assert torch.equal(network(x), before)


def test_what_is_refused():
    network = build(a_net("basic"))
    model = Model(network.net, network, tuple("abcde"), Preprocess(channels=3, size=(67, 50)))
    with pytest.raises(ValueError, match=r"load\(path\).module; given: Model"):
        Backbone(model)
    with pytest.raises(ValueError, match=r"output_stride=8 was asked; .* strides \(1, 2, 4\)"):
        Backbone(network, 8)
    with pytest.raises(ValueError, match=r"\(2, 8\) were asked; this network has maps at \(1, 2, 4\)"):
        Pyramid(Backbone(network), (2, 8))
    with pytest.raises(ValueError, match="in_channels=1 was asked; the network takes 3"):
        Encoder(network, depth=3).set_in_channels(1)
    with pytest.raises(ValueError, match="an encoder halves images"):
        Encoder(build(a_net("basic", dims=1)), depth=3)
    odd = network.net.model_copy(update={"stem": Stem(width=6, stride=3)})
    with pytest.raises(ValueError, match=r"strides \(3, 6, 12\)"):
        Encoder(build(odd), depth=3)


@pytest.fixture(scope="module")
def smp():
    return pytest.importorskip("segmentation_models_pytorch", reason="the extra `segmentation` is not installed")


UNET, DEEPLAB = {"decoder_channels": (8, 8, 8, 8, 4)}, {"decoder_channels": 8}
SEGMENTERS = [(kind, *model) for kind in BRANCHES for model in (("Unet", UNET), ("DeepLabV3Plus", DEEPLAB))]
SEGMENTERS += [
    ("preact_basic", "DeepLabV3Plus", {**DEEPLAB, "encoder_output_stride": 8}),
    ("preact_basic", "UnetPlusPlus", UNET),
    ("preact_basic", "FPN", {"decoder_pyramid_channels": 32, "decoder_segmentation_channels": 32}),
]


@every_form
@pytest.mark.parametrize(("kind", "architecture", "settings"), SEGMENTERS)
def test_segmenters_learn(smp, kind, architecture, settings, form):
    """Every weight of the network gets a gradient, and every pixel an answer."""
    network = build(a_net(kind, form))
    smp.encoders.encoders["tested"] = smp_entry(network)
    model = getattr(smp, architecture)("tested", encoder_weights=None, in_channels=3, classes=2, **settings)
    answers = model(torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0)))
    assert answers.shape == (2, 2, 64, 96)
    answers.square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.encoder.parameters())
    assert sum(p.numel() for p in model.encoder.parameters()) == sum(
        p.numel() for name, p in network.named_parameters() if not name.startswith("head.")
    )


def test_the_encoder_gives_the_maps_of_smps_own(smp):
    theirs = smp.encoders.get_encoder("resnet18", weights=None).eval()
    state = theirs.state_dict() | {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}
    ours = Encoder(adopt(state, zoo.resnet(18)), depth=5).eval()
    x = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    assert ours.out_channels == theirs.out_channels
    assert ours.output_stride == theirs.output_stride
    for found, expected in zip(ours(x), theirs(x), strict=True):
        torch.testing.assert_close(found, expected)


def test_an_encoder_has_what_it_says_at_every_level():
    """Also where the network has no map: at stride 2 here, and behind its last."""
    net = a_net("basic").model_copy(update={"stem": Stem(width=6, stride=4)})
    encoder = Encoder(build(net), depth=5)
    assert encoder.out_channels == [3, 0, 6, 8, 10, 10]
    levels = encoder(torch.zeros(1, 3, 67, 50))
    assert [level.shape[1] for level in levels] == encoder.out_channels
    assert [tuple(level.shape[2:]) for level in levels] == [(67, 50), (34, 25), (17, 13), (9, 7), (5, 4), (3, 2)]


@every_form
@pytest.mark.parametrize("kind", ["basic", "preact_bottleneck"])
def test_a_detector_learns_and_answers(kind, form):
    strides = FORMS[form][-3:]
    anchors = AnchorGenerator(tuple((4 * stride,) for stride in strides), ((0.5, 1.0, 2.0),) * 3)
    torch.manual_seed(0)
    pyramid = Pyramid(Backbone(build(a_net(kind, form))), strides, width=16)
    detector = FasterRCNN(pyramid, 2, min_size=64, max_size=96, rpn_anchor_generator=anchors)
    pictures = [torch.rand(3, 64, 96), torch.rand(3, 64, 64)]
    boxes = [torch.tensor([[8.0, 8.0, 40.0, 30.0], [50.0, 10.0, 60.0, 60.0]]), torch.zeros(0, 4)]
    targets = [{"boxes": b, "labels": torch.ones(len(b), dtype=torch.int64)} for b in boxes]
    losses = detector(pictures, targets)
    assert set(losses) == {"loss_classifier", "loss_box_reg", "loss_objectness", "loss_rpn_box_reg"}
    total = sum(losses.values())
    assert total.isfinite()
    total.backward()
    assert all(p.grad is not None for p in pyramid.parameters())
    with torch.no_grad():
        found = detector.eval()(pictures)
    for picture, answer in zip(pictures, found, strict=True):
        assert len(answer["boxes"]) == len(answer["scores"]) > 0
        height, width = picture.shape[1:]
        assert (answer["boxes"] >= 0).all()
        assert (answer["boxes"] <= torch.tensor([width, height, width, height])).all()


@pytest.mark.real
@pytest.mark.skipif(not SHARED.is_dir(), reason=f"the real images are not here: no folder {SHARED}")
@pytest.mark.parametrize(
    ("script", "says", "files", "more"),
    [
        ("segment_tiles.py", "all      IoU 0.", ("segmented.png", "segmenter.pt"), ()),
        ("detect_tiles.py", "average precision at IoU 0.5: 0.", ("detected.png", "detector.pt"), ()),
        ("detect_tiles.py", "fold 1 chose patches", ("detected.png", "detector.pt"), ("--frozen", "--begin", "drawn")),
    ],
)
def test_the_examples_run(script, says, files, more, tmp_path, request):
    if script == "segment_tiles.py":
        request.getfixturevalue("smp")
    archive = SHARED / "magnetic_tile" / "magnetic_tile.tar.xz"
    command = [sys.executable, "-W", "error", ROOT / "examples" / script, archive, "--quick", "--out", tmp_path, *more]
    result = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert result.returncode == 0, result.stderr
    assert says in result.stdout
    assert all((tmp_path / name).stat().st_size > 1000 for name in files)
