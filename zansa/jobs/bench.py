"""The verb `bench`: what an exported file takes on this machine."""

from pathlib import Path
from typing import Any

import numpy as np

from ..arch.budget import parse
from ..deploy.bench import measured, memory
from ..deploy.runtime import predictor
from ..record import environment
from ..runs import exported_file


def bench(
    model: str | Path,
    threads: str = "1",
    batch: str = "1",
    size: tuple[int, int] | None = None,
    engine: str = "ort",
    repeats: int = 100,
    budget: str | None = None,
) -> dict[str, Any]:
    """Times of an exported file or a run, in every combination of threads and batch: milliseconds per sample (median,
    95th and 99th percentile), samples a second, and bytes that the process took more in memory. `within` tells whether
    the first median keeps to a budget of milliseconds; None without one. ValueError for what cannot be."""
    file = exported_file(model)
    asked = None if budget is None else parse(budget)[0]
    if asked is not None and asked.unit != "ms":
        raise ValueError(f"budget {budget!r} was asked; allowed: milliseconds, such as ms=2.5")
    opened = predictor(file)
    rows = []
    for n in numbers("threads", threads):
        for count in numbers("batch", batch):
            before = memory()
            told, times = measured(opened, n, count, repeats, size, engine)
            told |= {f"p{share}": float(np.percentile(times, share)) for share in (95, 99)}
            told |= {"per_second": 1e3 / float(np.mean(times)), "memory": max(0, memory() - before)}
            rows.append(told)
    return {
        "file": str(file),
        "bytes": len(opened.file),
        "engine": rows[0]["what"],
        "cpu": environment().get("cpu", ""),
        "rows": rows,
        "budget": budget,
        "within": None if asked is None else rows[0]["ms"] <= asked.limit,
    }


def numbers(name: str, text: str) -> list[int]:
    """Whole numbers with commas between them; ValueError for other text."""
    parts = str(text).split(",")
    if not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise ValueError(f"--{name} {text!r} is not understood; allowed: whole numbers with commas between, as 1,2")
    return [int(part) for part in parts]
