"""From samples of a data set to tensors, and from a network to probabilities."""

from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..arch.use import Preprocess
from .data.dataset import Dataset


def to_tensor(data: Dataset, index: np.ndarray, device: torch.device, layout: torch.memory_format) -> Tensor:
    """The samples of an index, normalised: float32 (N, C, H, W), or (N, C, L) of series, for which there is one layout
    only."""
    return normalised(data.images[index], data.preprocess, device, layout)


def normalised(raw: np.ndarray, preprocess: Preprocess, device: torch.device, layout: torch.memory_format) -> Tensor:
    """Samples (N, *size, C) in raw levels as the network takes them: (N, C, *size), float32."""
    if raw.dtype == np.uint16:
        raw = raw.astype(np.int32)  # torch computes little in uint16
    samples = torch.from_numpy(raw).to(device).movedim(-1, 1).to(torch.float32)
    ones = (1,) * (samples.ndim - 2)
    mean = torch.tensor(preprocess.mean, device=device).reshape(1, -1, *ones)
    std = torch.tensor(preprocess.std, device=device).reshape(1, -1, *ones)
    layout = layout if samples.ndim == 4 else torch.contiguous_format
    return ((samples - mean) / std).contiguous(memory_format=layout)


@torch.inference_mode()
def logits(
    module: nn.Module,
    data: Dataset,
    index: np.ndarray,
    batch: int = 256,
    dtype: torch.dtype = torch.float32,
    layout: torch.memory_format = torch.contiguous_format,
) -> Tensor:
    """Logits (N, K) in float32 on the CPU, in the order of `index`; `dtype` is what the network computes in."""
    device = next(module.parameters()).device
    training = module.training
    module.eval()
    parts = []
    for start in range(0, len(index), batch):
        samples = to_tensor(data, index[start : start + batch], device, layout)
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            parts.append(module(samples).float().cpu())
    module.train(training)
    return torch.cat(parts) if parts else torch.zeros(0, len(data.classes))


def probabilities(module: nn.Module, data: Dataset, index: np.ndarray) -> np.ndarray:
    """Class probabilities (N, K), float64, computed in float32 as the exported file does."""
    return logits(module, data, index).double().softmax(1).numpy()


def eager_latency(module: nn.Module, data: Dataset, repeats: int = 30) -> dict[str, Any]:
    """Milliseconds per sample of the network in torch, from prepared sample to logits: the median after a warm-up."""
    sample = to_tensor(data, np.array([0]), torch.device("cpu"), torch.contiguous_format)
    return {
        "what": "torch",
        "device": "cpu",
        "threads": torch.get_num_threads(),
        "precision": "float32",
        "batch": 1,
        "ms": latency(module, sample, repeats),
        "repeats": repeats,
    }


def latency(module: nn.Module, sample: Tensor, repeats: int) -> float:
    """Milliseconds that a network takes for one prepared sample: the median after a warm-up."""
    seconds = []
    with torch.inference_mode():
        for _ in range(repeats + 5):
            began = perf_counter()
            module(sample)
            seconds.append(perf_counter() - began)
    return 1e3 * median(seconds[5:])
