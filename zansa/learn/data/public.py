"""Named public sets, read from a local root in their published files; fetched only when asked.

torchvision reads some of these too, but through pickles (CIFAR, and the old form of MNIST), which are never loaded
here. Hence CIFAR's binary version and these few lines of NumPy; the folders are those torchvision uses.
"""

import gzip
import string
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Part = tuple[np.ndarray, np.ndarray]  # images (N, H, W, C) uint8, labels (N,)
DIGITS = tuple(string.digits)


@dataclass(frozen=True)
class PublicSet:
    """Where a set's files lie below the root, where they come from (address, MD5), and how they are read."""

    kind: str
    folder: str
    addresses: tuple[tuple[str, str], ...]
    classes: tuple[str, ...]
    train: tuple[tuple[str, ...], ...]  # the file or pair of files of each piece
    test: tuple[tuple[str, ...], ...]
    read: Callable[..., Part]


def read_public(
    name: str, root: Path | None, download: bool = False, sets: dict[str, PublicSet] | None = None
) -> dict[str, Any]:
    """What from_arrays takes: images, labels, classes, split (the published one), names. ValueError when root lacks
    a file and download is False, when a file is not what it should be, or when the download fails or is changed."""
    chosen = (sets or SETS)[name]
    if root is None:
        raise ValueError(
            f"{name} is a public set: say in which folder its files lie (root=...), or are to be put (download=True); "
            f"a folder of your own with this name is written ./{name}"
        )
    if download and not _complete(chosen, root):
        _fetch(name, chosen, root)
    train, test = _pieces(name, chosen, root, chosen.train), _pieces(name, chosen, root, chosen.test)
    images, labels = (np.concatenate([piece[i] for piece in train + test]) for i in (0, 1))
    _refuse_unknown_labels(name, labels, len(chosen.classes))
    counts = [sum(len(piece[1]) for piece in part) for part in (train, test)]
    return {
        "images": images,
        "labels": labels.astype(np.int64),
        "classes": chosen.classes,
        "split": np.repeat(["train", "test"], counts),
        "names": [f"{part}/{i}" for part, count in zip(("train", "test"), counts, strict=True) for i in range(count)],
    }


def _refuse_unknown_labels(name: str, labels: np.ndarray, classes: int) -> None:
    if labels.size and labels.max() >= classes:
        raise ValueError(f"the files of {name} hold the label {labels.max()}; it has classes 0 to {classes - 1}")


# --- finding and fetching ------------------------------------------------------------------------------------------


def _pieces(name: str, chosen: PublicSet, root: Path, files: tuple[tuple[str, ...], ...]) -> list[Part]:
    return [_piece(name, chosen, [_found(name, chosen, root, file) for file in piece]) for piece in files]


def _piece(name: str, chosen: PublicSet, files: list[Path]) -> Part:
    try:
        return chosen.read(*files)
    except Exception as error:  # gzip, zlib and SciPy each have their own faults
        called = " and ".join(file.name for file in files)
        raise ValueError(f"{called} is no whole file of {name}: {error}; fetch it again") from error


def _candidates(chosen: PublicSet, root: Path, file: str) -> list[Path]:
    folders = [root / chosen.folder, (root / chosen.folder).parent, root]
    return [folder / called for folder in folders for called in (file, f"{file}.gz")]


def _found(name: str, chosen: PublicSet, root: Path, file: str) -> Path:
    path = next((path for path in _candidates(chosen, root, file) if path.is_file()), None)
    if path is None:
        raise ValueError(
            f"{name}: no file {file} in {root / chosen.folder} or {root}; put the published files there "
            f"({', '.join(address for address, _ in chosen.addresses)}), or ask for download=True"
            + (" (the Python version holds pickles, which are never loaded)" if "cifar" in name else "")
        )
    return path


def _complete(chosen: PublicSet, root: Path) -> bool:
    files = [file for piece in chosen.train + chosen.test for file in piece]
    return all(any(path.is_file() for path in _candidates(chosen, root, file)) for file in files)


def _fetch(name: str, chosen: PublicSet, root: Path) -> None:
    from torchvision.datasets.utils import download_url  # brings torch; only a download needs it

    folder = root / chosen.folder
    for address, md5 in chosen.addresses:
        try:
            download_url(address, str(folder), md5=md5)
        except (OSError, RuntimeError) as error:
            raise ValueError(f"{name}: fetching {address} failed ({error}); fetch it by hand into {folder}") from error
        _unpack(folder / address.rsplit("/", 1)[1])


def _unpack(path: Path) -> None:
    """Members land beside the archive, without their folders."""
    if path.name.endswith(".tar.gz"):
        with tarfile.open(path) as archive:
            for member in archive.getmembers():
                if member.isfile():
                    member.name = Path(member.name).name
                    archive.extract(member, path.parent, filter="data")
    elif path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if not info.is_dir():
                    info.filename = Path(info.filename).name
                    archive.extract(info, path.parent)


# --- formats -------------------------------------------------------------------------------------------------------


def _idx(path: Path, dimensions: int) -> np.ndarray:
    """LeCun's idx format: 0, 0, type (8 = uint8), dimensions, the sizes as big-endian 32-bit numbers, the values."""
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    if data[:4] != bytes([0, 0, 8, dimensions]):
        raise ValueError(f"{path.name} does not begin as an idx file of {dimensions} dimensions")
    sizes = np.frombuffer(data, ">u4", dimensions, 4).astype(int)
    values = np.frombuffer(data, np.uint8, offset=4 + 4 * dimensions)
    return values.reshape(sizes)


def _read_idx(images: Path, labels: Path) -> Part:
    return _same_count(_idx(images, 3)[..., None], _idx(labels, 1))


def _read_emnist(images: Path, labels: Path) -> Part:
    levels, labelled = _read_idx(images, labels)
    return levels.transpose(0, 2, 1, 3), labelled  # published lying on their side


def _read_cifar(path: Path, label_bytes: int) -> Part:
    """Records of label bytes (the last is the fine label) and 3 x 32 x 32 levels."""
    records = np.frombuffer(path.read_bytes(), np.uint8).reshape(-1, label_bytes + 3072)
    return records[:, label_bytes:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), records[:, label_bytes - 1]


def _read_cifar10(path: Path) -> Part:
    return _read_cifar(path, 1)


def _read_cifar100(path: Path) -> Part:
    return _read_cifar(path, 2)


def _read_svhn(path: Path) -> Part:
    from scipy.io import loadmat  # a fifth of a second, for one format

    content = loadmat(path, variable_names=["X", "y"])
    return _same_count(content["X"].transpose(3, 0, 1, 2), content["y"].ravel() % 10)  # digit 0 is stored as 10


def _same_count(images: np.ndarray, labels: np.ndarray) -> Part:
    if len(images) != len(labels):
        raise ValueError(f"{len(images)} images, but {len(labels)} labels")
    return images, labels


# --- the sets ------------------------------------------------------------------------------------------------------

_MNIST_TRAIN = (("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),)
_MNIST_TEST = (("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),)
_CIFAR100 = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish
forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle
mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine
possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar
sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle wardrobe whale
willow_tree wolf woman worm
"""


def _four(address: str, sums: tuple[str, str, str, str]) -> tuple[tuple[str, str], ...]:
    files = _MNIST_TRAIN[0] + _MNIST_TEST[0]
    return tuple((f"{address}{file}.gz", md5) for file, md5 in zip(files, sums, strict=True))


SETS = {
    # LeCun, Cortes, Burges; sums as torchvision publishes them
    "mnist": PublicSet(
        kind="symbol",
        folder="MNIST/raw",
        addresses=_four(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            (
                "f68b3c2dcbeaaa9fbdd348bbdeb94873",
                "d53e105ee54ea40749a09fcbcd1e9432",
                "9fb629c4189551a2d022fa330f9573f3",
                "ec29112dd5afa0611ce80d1b7f02629c",
            ),
        ),
        classes=DIGITS,
        train=_MNIST_TRAIN,
        test=_MNIST_TEST,
        read=_read_idx,
    ),
    # Xiao, Rasul, Vollgraf 2017
    "fashion_mnist": PublicSet(
        kind="natural",
        folder="FashionMNIST/raw",
        addresses=_four(
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            (
                "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                "25c81989df183df01b3e8a0aad5dffbe",
                "bef4ecab320f06d8554ea6380940ec79",
                "bb300cfdad3c16e7a12a480ee83cd310",
            ),
        ),
        classes=(
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ),
        train=_MNIST_TRAIN,
        test=_MNIST_TEST,
        read=_read_idx,
    ),
    # Cohen et al. 2017, the "balanced" set: 47 classes, letters of one look in both cases merged
    "emnist": PublicSet(
        kind="symbol",
        folder="EMNIST/raw",
        addresses=(("https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip", "58c8d27c78d21e728a6bc7b3cc06412e"),),
        classes=tuple(string.digits + string.ascii_uppercase + "abdefghnqrt"),
        train=(("emnist-balanced-train-images-idx3-ubyte", "emnist-balanced-train-labels-idx1-ubyte"),),
        test=(("emnist-balanced-test-images-idx3-ubyte", "emnist-balanced-test-labels-idx1-ubyte"),),
        read=_read_emnist,
    ),
    # Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html, which publishes the sums
    "cifar10": PublicSet(
        kind="natural",
        folder="cifar-10-batches-bin",
        addresses=(("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530"),),
        classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
        train=tuple((f"data_batch_{i}.bin",) for i in range(1, 6)),
        test=(("test_batch.bin",),),
        read=_read_cifar10,
    ),
    "cifar100": PublicSet(
        kind="natural",
        folder="cifar-100-binary",
        addresses=(("https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8"),),
        classes=tuple(_CIFAR100.split()),
        train=(("train.bin",),),
        test=(("test.bin",),),
        read=_read_cifar100,
    ),
    # Netzer et al. 2011, the cropped digits without the "extra" part; digits do not survive a flip: symbols
    "svhn": PublicSet(
        kind="symbol",
        folder="SVHN",
        addresses=(
            ("http://ufldl.stanford.edu/housenumbers/train_32x32.mat", "e26dedcc434d2e4c54c9b2d4a06d8373"),
            ("http://ufldl.stanford.edu/housenumbers/test_32x32.mat", "eb5a983be6a315427106f1b164d9cef3"),
        ),
        classes=DIGITS,
        train=(("train_32x32.mat",),),
        test=(("test_32x32.mat",),),
        read=_read_svhn,
    ),
}
