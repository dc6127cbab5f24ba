"""Class maps in exported files: those of the network, for every way to pool; drawn on images, shown by the server."""

import numpy as np
import onnx
import pytest
import torch
from laws import small_net
from onnx import numpy_helper
from PIL import Image
from test_deploy import images

from zansa.arch.use import Calibration, OperatingPoint, Preprocess
from zansa.deploy import runtime
from zansa.deploy.export import compare, export, to_onnx
from zansa.inputs.images import fitted
from zansa.learn.explain.maps import class_map
from zansa.learn.explain.rows import subject
from zansa.nets.build import build
from zansa.nets.files import Model

CLASSES = ("good", "hole", "scratch")
POINT = OperatingPoint(good="good", threshold=0.6, rule="chosen for this test")
SIZES = [(12, 16), (40, 31), (7, 90), (90, 7), (1, 1), (40, 31)]
CASES = {
    "average, letterbox, gray": ({"pool": "average"}, Preprocess(channels=1, size=(24, 32), mean=(99.0,), std=(50.0,))),
    "both, stretch, colour": (
        {"pool": "both"},
        Preprocess(channels=3, size=(24, 24), fit="stretch", mean=(120.0, 99.0, 80.0), std=(60.0, 55.0, 70.0)),
    ),
    "maximum of two streams": ({"pool": "max", "join": "concat"}, Preprocess(channels=1, size=(20, 20), std=(60.0,))),
    "series": ({"pool": "both", "dims": 1}, Preprocess(channels=2, size=(50,), depth=32)),
}


def a_model(case: str, calibrated: bool = True, point: OperatingPoint | None = POINT) -> Model:
    head, pre = CASES[case]
    step, kind = ("reversible", "preact_basic") if "join" in head else ("plain", "basic")
    net = small_net(kind, step, **head)
    net = net.but({"input": net.input.but({"channels": pre.channels, "size": pre.size})})
    module = build(net).eval()
    with torch.no_grad():
        module.head.get_submodule("linear").weight.mul_(8)
    shift = Calibration(
        scale=0.7, shift=(0.1, -0.2, 0.3), prior=(0.4, 0.3, 0.3), count=90, before=1, after=0.9, fitted=True
    )
    return Model(net, module, CLASSES, pre, point, calibration=shift if calibrated else None)


def samples(model: Model) -> list[np.ndarray]:
    if not model.preprocess.series:
        return images(model.preprocess, *SIZES)
    rng = np.random.default_rng(0)
    return list(rng.normal(size=(6, *model.preprocess.size, 2)).astype(np.float32))


def prepared(model: Model, values: list[np.ndarray]) -> torch.Tensor:
    pre = model.preprocess
    levels = values if pre.series else [fitted(each, pre) for each in values]
    pixels = (np.stack(levels).astype(np.float32) - np.float32(pre.mean)) / np.float32(pre.std)
    return torch.from_numpy(np.moveaxis(pixels, -1, 1).copy())


@pytest.mark.parametrize("case", CASES)
def test_the_map_of_the_file_is_that_of_the_network(case, tmp_path):
    model = a_model(case)
    values = samples(model)
    told = export(model, tmp_path / "m.onnx", values)
    assert told["map_difference"] < 1e-5
    file = runtime.predictor(tmp_path / "m.onnx")
    p, maps = file.with_maps(values)
    expected = class_map(subject(model.module, model.calibration, good=0), prepared(model, values)).numpy()
    assert maps.shape == expected.shape == (len(values), *file.cells)
    np.testing.assert_allclose(maps, expected, atol=1e-5)
    assert maps.std() > 0.01  # the comparison means something
    assert file.strongest == pytest.approx(np.quantile(np.abs(expected), 0.995), rel=1e-4)
    np.testing.assert_array_equal(p, file.probabilities(values))
    # of every class the sum over the places, the bias and the shift are the logit: log p but for one number a sample
    _, whole = file.outputs(values, ["probability", "map"])
    bias = model.module.head.get_submodule("linear").bias.detach().numpy() * model.calibration.scale
    logits = whole.reshape(*whole.shape[:2], -1).sum(2) + bias + np.float32(model.calibration.shift)
    assert np.ptp(logits - np.log(p), axis=1).max() < 1e-4


def test_without_a_good_class_the_map_is_of_the_class_that_is_named():
    model = a_model("both, stretch, colour", calibrated=False, point=None)
    values = samples(model)
    file = runtime.predictor(to_onnx(model))
    expected = class_map(subject(model.module), prepared(model, values)).numpy()
    np.testing.assert_allclose(file.with_maps(values)[1], expected, atol=1e-5)


def test_the_gate_closes_on_other_maps():
    """A file whose probabilities are right and whose map forgets how many places there are."""
    model = a_model("average, letterbox, gray")
    file = onnx.load_from_string(to_onnx(model))
    share = next(node for node in file.graph.node if node.name.startswith("network/map/") and node.op_type == "Mul")
    number = next(each for each in file.graph.initializer if each.name == share.input[1])
    number.CopyFrom(numpy_helper.from_array(np.float32(0.5), number.name))
    with pytest.raises(ValueError, match="class maps of the exported network differ on 6 of 6 images"):
        compare(file.SerializeToString(), model, samples(model))


@pytest.fixture(scope="module")
def spots(tmp_path_factory):
    """A network that has learned nothing but where it is bright, without training: its last map is the blurred image,
    and bright places speak for a hole. And images of other proportions with a bright spot at a known place."""
    folder = tmp_path_factory.mktemp("maps")
    pre = Preprocess(channels=1, size=(32, 32), fill=(0,), mean=(0.0,), std=(255.0,))
    net = small_net("basic", shortcut="average")
    net = net.but({"input": net.input.but({"channels": 1, "size": (32, 32)}), "head": net.head.but({"classes": 2})})
    module = build(net).eval()
    with torch.no_grad():
        for name, value in module.named_parameters():
            value.fill_(1.0 if name.endswith("norm.weight") else 0.0)
        module.stem.get_submodule("conv").weight[:, :, 1, 1] = 1.0
        for name, value in module.named_parameters():
            if "shortcut" in name and value.ndim == 4:
                value.fill_(1.0 / value.shape[1])
        module.head.get_submodule("linear").weight[1] = 30.0
        module.head.get_submodule("linear").bias[0] = 3.0
    model = Model(net, module, ("good", "hole"), pre, OperatingPoint(good="good", threshold=0.5))
    (folder / "parts" / "b").mkdir(parents=True)
    values = []
    for name, (height, width), (y, x) in (("a.png", (40, 120), (30, 100)), ("b/a.png", (90, 30), (10, 20))):
        levels = np.full((height, width), 40, np.uint8)
        levels[y - 4 : y + 5, x - 4 : x + 5] = 255
        Image.fromarray(levels).save(folder / "parts" / name)
        values.append(levels[..., None])
    export(model, folder / "m.onnx", values)
    return folder


def test_debug(spots):
    f = runtime.predictor(spots / "m.onnx")
    from zansa.inputs.images import read_image

    v = [read_image(p) for p in sorted((spots / "parts").rglob("*.png"))]
    print(f.with_maps(v), f.strongest)
    print([n for n, _ in build(f and small_net("basic", shortcut="average")).named_parameters()])
    assert 0
