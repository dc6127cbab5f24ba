"""Published residual networks: functions that return a Net, each with its paper and published size."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .spec import Block, Head, Input, Net, Shortcut, Stage, Stem

IMAGENET_BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}


def stem_for(size: tuple[int, ...], width: int, act: bool = True) -> Stem:
    """3-wide for small images; 7-wide, stride 2 and a pool for large ones (He et al. 2015, sections 4.1 and 4.2).
    The large stem on 32-pixel images loses several points: it leaves maps of 8x8 to the first stage."""
    if min(size) <= 64:
        return Stem(width=width, kernel=3, act=act)
    return Stem(width=width, kernel=7, stride=2, pool=True, act=act)


def resnet(depth: int, classes: int = 1000, channels: int = 3, size: tuple[int, ...] = (224, 224),
           preact: bool = False) -> Net:  # fmt: skip
    """ResNet-18, -34, -50, -101, -152 (He et al. 2015, table 1; the stride in the 3x3), or their pre-activation
    form (He et al. 2016). The stem follows the image size."""
    if depth not in IMAGENET_BLOCKS:
        raise ValueError(f"no ResNet of depth {depth}; known: {', '.join(map(str, IMAGENET_BLOCKS))}; see cifar_resnet")
    wide = 4 if depth >= 50 else 1
    kind = ("preact_" if preact else "") + ("bottleneck" if wide == 4 else "basic")
    stages, stream = [], 64
    for i, count in enumerate(IMAGENET_BLOCKS[depth]):
        inner = 64 * 2**i
        width, stride = inner * wide, 1 if i == 0 else 2
        block = Block(kind=kind, hidden=(inner,) * (2 if wide == 4 else 1))
        shortcut: Shortcut = "identity" if width == stream and stride == 1 else "project"
        stages.append(Stage(width=width, stride=stride, shortcut=shortcut, blocks=(block,) * count))
        stream = width
    return Net(
        input=Input(channels=channels, size=size),
        stem=stem_for(size, 64, act=not preact),
        stages=tuple(stages),
        head=Head(classes=classes, act=preact),
    )


def cifar_resnet(depth: int, classes: int = 10, channels: int = 3, size: tuple[int, ...] = (32, 32),
                 preact: bool = False) -> Net:  # fmt: skip
    """ResNet-20, -32, -44, -56, -110, -1202: depth 6n + 2, padded shortcuts (He et al. 2015, section 4.2); their
    pre-activation form has projections (He et al. 2016, the authors' code)."""
    if depth < 8 or (depth - 2) % 6:
        raise ValueError(f"depth {depth} is not 6n + 2; take 8, 14, 20, 26, 32, 38, 44, ...")
    kind = "preact_basic" if preact else "basic"
    shortcut: Shortcut = "project" if preact else "pad"
    stages = tuple(
        Stage(width=w, stride=s, shortcut=shortcut if s == 2 else "identity",
              blocks=(Block(kind=kind, hidden=(w,)),) * ((depth - 2) // 6))
        for w, s in ((16, 1), (32, 2), (64, 2))
    )  # fmt: skip
    stem = Stem(width=16, act=not preact)
    return Net(
        input=Input(channels=channels, size=size),
        stem=stem,
        stages=stages,
        head=Head(classes=classes, act=preact),
    )


def cifar_bottleneck(depth: int, classes: int = 10, channels: int = 3, size: tuple[int, ...] = (32, 32),
                     preact: bool = True) -> Net:  # fmt: skip
    """Pre-activation ResNet-164 and -1001: depth 9n + 2, widths 64/128/256 (He et al. 2016, the authors' code);
    preact=False is the original ResNet-164."""
    if depth < 11 or (depth - 2) % 9:
        raise ValueError(f"depth {depth} is not 9n + 2; take 11, 20, 29, ..., 164, ..., 1001")
    kind = "preact_bottleneck" if preact else "bottleneck"
    stages = tuple(
        Stage(
            width=4 * w,
            stride=s,
            shortcut="project",
            blocks=(Block(kind=kind, hidden=(w, w)),) * ((depth - 2) // 9),
        )
        for w, s in ((16, 1), (32, 2), (64, 2))
    )
    stem = Stem(width=16, act=not preact)
    return Net(
        input=Input(channels=channels, size=size),
        stem=stem,
        stages=stages,
        head=Head(classes=classes, act=preact),
    )


@dataclass(frozen=True)
class Entry:
    """A network with its published figures: parameters, multiply-adds, top-1 error in percent where known.

    Parameters and multiply-adds of the ImageNet networks are torchvision's counts; errors are of one central crop, by
    the authors' models (KaimingHe/deep-residual-networks) for 50, 101 and 152 layers, and by facebookarchive/
    fb.resnet.torch for 18 and 34. Those on CIFAR-10 are the papers'.
    """

    make: Callable[[], Net]
    paper: str
    params: float
    macs: float | None
    data: str
    error: float | None


_2015, _2016 = "He et al. 2015, arXiv 1512.03385", "He et al. 2016, arXiv 1603.05027"

ZOO = {
    "resnet18": Entry(lambda: resnet(18), _2015, 11_689_512, 1.814e9, "ImageNet", 30.43),
    "resnet34": Entry(lambda: resnet(34), _2015, 21_797_672, 3.664e9, "ImageNet", 26.73),
    "resnet50": Entry(lambda: resnet(50), _2015, 25_557_032, 4.089e9, "ImageNet", 24.7),
    "resnet101": Entry(lambda: resnet(101), _2015, 44_549_160, 7.801e9, "ImageNet", 23.6),
    "resnet152": Entry(lambda: resnet(152), _2015, 60_192_808, 11.514e9, "ImageNet", 23.0),
    "cifar_resnet8": Entry(lambda: cifar_resnet(8), _2015, 0.08e6, None, "CIFAR-10", None),
    "cifar_resnet20": Entry(lambda: cifar_resnet(20), _2015, 0.27e6, 40.55e6, "CIFAR-10", 8.75),
    "cifar_resnet32": Entry(lambda: cifar_resnet(32), _2015, 0.46e6, 68.86e6, "CIFAR-10", 7.51),
    "cifar_resnet44": Entry(lambda: cifar_resnet(44), _2015, 0.66e6, 97.17e6, "CIFAR-10", 7.17),
    "cifar_resnet56": Entry(lambda: cifar_resnet(56), _2015, 0.85e6, 125.5e6, "CIFAR-10", 6.97),
    "cifar_resnet110": Entry(lambda: cifar_resnet(110), _2015, 1.7e6, 252.89e6, "CIFAR-10", 6.43),
    "cifar_resnet164": Entry(lambda: cifar_bottleneck(164, preact=False), _2016, 1.7e6, None, "CIFAR-10", 5.93),
    "cifar_resnet1202": Entry(lambda: cifar_resnet(1202), _2015, 19.4e6, None, "CIFAR-10", 7.93),
    "preact_resnet18": Entry(lambda: resnet(18, preact=True), _2016, 11.69e6, 1.814e9, "ImageNet", None),
    "preact_resnet50": Entry(lambda: resnet(50, preact=True), _2016, 25.55e6, 4.089e9, "ImageNet", None),
    "cifar_preact_resnet20": Entry(lambda: cifar_resnet(20, preact=True), _2016, 0.27e6, None, "CIFAR-10", None),
    "cifar_preact_resnet110": Entry(lambda: cifar_resnet(110, preact=True), _2016, 1.7e6, None, "CIFAR-10", 6.37),
    "cifar_preact_resnet164": Entry(lambda: cifar_bottleneck(164), _2016, 1.7e6, None, "CIFAR-10", 5.46),
    "cifar_preact_resnet1001": Entry(lambda: cifar_bottleneck(1001), _2016, 10.2e6, None, "CIFAR-10", 4.92),
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
