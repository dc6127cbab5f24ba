"""The rivals: what a careful user has without zansa. Each answers a data set in one form, `Answers`.

ResNet-18 follows the framework's own tutorial, "Transfer Learning for Computer Vision": the network of
torchvision, PIL images through transforms in a DataLoader with 2 workers, float32, SGD with momentum 0.9
and StepLR, the weights of the epoch with the best validation accuracy. No pretrained weights, as zansa
starts from none either; so rate, decay and steps are those of the framework's ImageNet example for training
from scratch: 0.1 for 256 images (here 0.025 for 64), 1e-4, and a tenth of the rate after each third of the
epochs. Training images are shifted at random by up to an eighth, and flipped unless they are symbols.
"""

import time
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from sklearn.metrics import balanced_accuracy_score
from sklearn.neighbors import NearestNeighbors
from torch import Tensor, nn
from torch.optim import SGD
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode
from torchvision import models, transforms

from zansa.learn.data.dataset import Dataset
from zansa.learn.data.splits import Parts

BATCH = 64
SIDE = 32  # nearest neighbours look at 32x32 gray levels


@dataclass(frozen=True)
class Answers:
    """Class probabilities (N, K) of the validation and test part, seconds of training, MACs for one image."""

    val: np.ndarray
    test: np.ndarray
    seconds: float
    macs: int


# ---- ResNet-18 by the tutorial ---------------------------------------------------------------------------


class Pictures(torch.utils.data.Dataset[tuple[Tensor, int]]):
    """Image files with labels, as torchvision's ImageFolder gives them, of one part of a data set."""

    def __init__(self, dataset: Dataset, part: np.ndarray, transform: transforms.Compose):
        self.files = [dataset.files[i] for i in part]
        self.labels = dataset.labels[part].tolist()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        with Image.open(self.files[i]) as image:
            return self.transform(image.convert("RGB")), self.labels[i]


def resnet18(
    dataset: Dataset, parts: Parts, epochs: int, seed: int, workers: int = 2, precision: str = "float32"
) -> Answers:
    """torchvision's ResNet-18 from scratch, at the size of the data set, by the tutorial's loop.

    The tutorial computes in float32. With precision "bfloat16" the same loop runs under autocast and channels-last,
    which is faster where the processor has it; the seconds are then not the tutorial's.
    """
    torch.manual_seed(seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = models.resnet18(weights=None, num_classes=len(dataset.classes)).to(device)
    if precision == "bfloat16":
        model = model.to(memory_format=torch.channels_last)
    loaders = tutorial_loaders(dataset, parts, workers)
    start = time.perf_counter()
    with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        train_model(model, loaders["train"], loaders["val"], epochs, device)
    seconds = time.perf_counter() - start
    val, test = (probabilities(model, loaders[part], device) for part in ("val", "test"))
    return Answers(val, test, seconds, macs(model, dataset.preprocess.size, device))


def tutorial_loaders(dataset: Dataset, parts: Parts, workers: int) -> dict[str, DataLoader]:
    """Loaders of the training (shuffled, augmented), validation and test part."""
    size = dataset.preprocess.size
    last = [
        transforms.ToTensor(),
        transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ]
    flip = [] if dataset.kind == "symbol" else [transforms.RandomHorizontalFlip()]
    crop = transforms.RandomCrop(size, padding=max(size) // 8, padding_mode="reflect")
    plain = transforms.Compose([transforms.Resize(size), *last])
    varied = transforms.Compose([transforms.Resize(size), crop, *flip, *last])
    training = DataLoader(
        Pictures(dataset, parts.train, varied),
        batch_size=BATCH,
        shuffle=True,
        num_workers=workers,
        drop_last=len(parts.train) > BATCH,  # batch norm cannot learn from a last batch of one
    )
    others = {
        name: DataLoader(Pictures(dataset, part, plain), batch_size=BATCH, num_workers=workers)
        for name, part in (("val", parts.val), ("test", parts.test))
    }
    return {"train": training, **others}


def train_model(
    model: nn.Module, training: DataLoader, validation: DataLoader, epochs: int, device: torch.device
) -> None:
    """The tutorial's loop: train an epoch, validate, keep the best; `model` ends with the best weights."""
    criterion = nn.CrossEntropyLoss()
    optimizer = SGD(model.parameters(), lr=0.1 * BATCH / 256, momentum=0.9, weight_decay=1e-4)
    scheduler = StepLR(optimizer, step_size=max(1, round(epochs / 3)), gamma=0.1)
    best_accuracy, best_weights = -1.0, deepcopy(model.state_dict())
    for _ in range(epochs):
        model.train()
        for inputs, labels in training:
            optimizer.zero_grad()
            loss = criterion(model(inputs.to(device)), labels.to(device))
            loss.backward()
            optimizer.step()
        scheduler.step()
        accuracy = _accuracy(model, validation, device)
        if accuracy > best_accuracy:
            best_accuracy, best_weights = accuracy, deepcopy(model.state_dict())
    model.load_state_dict(best_weights)


def _accuracy(model: nn.Module, loader: DataLoader, device: torch.device) -> float:
    truth = np.concatenate([labels.numpy() for _, labels in loader])
    return float((probabilities(model, loader, device).argmax(axis=1) == truth).mean())


@torch.no_grad()
def probabilities(model: nn.Module, loader: DataLoader, device: torch.device) -> np.ndarray:
    """Softmax of the model's answers to all images of a loader, (N, K)."""
    model.eval()
    return torch.cat([model(inputs.to(device)).softmax(1).cpu() for inputs, _ in loader]).double().numpy()


@torch.no_grad()
def macs(model: nn.Module, size: tuple[int, int], device: torch.device) -> int:
    """Multiply-adds for one RGB image, by the framework's own counter (which counts two for each)."""
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 3, *size, device=device))
    return counter.get_total_flops() // 2


# ---- without a network -----------------------------------------------------------------------------------


def nearest_neighbour(dataset: Dataset, parts: Parts) -> Answers:
    """The class of the nearest training image; gray 32x32 images, each standardised.

    With or without their slow changes of brightness, whichever is right more often on the validation part.
    The probability of a class falls with the squared distance to its nearest image, so images can be ranked.
    """
    start = time.perf_counter()
    labels, classes = dataset.labels, len(dataset.classes)
    best = (-1.0, np.empty(0), np.empty(0))
    for high_pass in (False, True):
        x = _standardised(dataset.images, high_pass)
        known, truth = x[parts.train], labels[parts.train]
        val, test = (_nearest(known, truth, x[part], classes) for part in (parts.val, parts.test))
        score = balanced_accuracy_score(labels[parts.val], val.argmax(axis=1))
        best = max(best, (score, val, test), key=lambda candidate: candidate[0])
    work = len(parts.train) * SIDE * SIDE
    return Answers(best[1], best[2], time.perf_counter() - start, work)


def _standardised(images: np.ndarray, high_pass: bool) -> np.ndarray:  # (N, H, W, C) -> (N, 1024) float32
    x = np.stack([_small_gray(image) for image in images]).astype(np.float32)
    if high_pass:
        x -= gaussian_filter(x, (0, SIDE / 8, SIDE / 8))
    x = x.reshape(len(x), -1)
    return (x - x.mean(axis=1, keepdims=True)) / (x.std(axis=1, keepdims=True) + 1e-3)


def _small_gray(image: np.ndarray) -> np.ndarray:
    gray = Image.fromarray(image.squeeze()).convert("L")
    return np.asarray(gray.resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def _nearest(known: np.ndarray, labels: np.ndarray, asked: np.ndarray, classes: int) -> np.ndarray:
    distances = [
        NearestNeighbors(n_neighbors=1, algorithm="brute").fit(known[labels == k]).kneighbors(asked)[0]
        for k in range(classes)
    ]
    closeness = 1 / (np.hstack(distances).astype(np.float64) ** 2 + 1e-6)
    return closeness / closeness.sum(axis=1, keepdims=True)


def commonest_class(dataset: Dataset, parts: Parts) -> Answers:
    """The shares of the classes in the training part, for every image: so always the commonest."""
    shares = np.bincount(dataset.labels[parts.train], minlength=len(dataset.classes)) / len(parts.train)
    val, test = (np.tile(shares, (len(part), 1)) for part in (parts.val, parts.test))
    return Answers(val, test, 0.0, 0)
