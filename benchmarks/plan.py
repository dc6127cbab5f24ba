"""What `zansa plan` foretells against what happens: seconds of work and the most memory of whole trainings.

    python benchmarks/plan.py OUT [--only NAME ...] [--shared FOLDER]

Each set-up is probed for some seconds, then trained by `zansa train` (or `grow`) in a process of its own. Rows are
added to results/plan.jsonl. Seconds are those of work (all threads): on a shared machine the clock on the wall tells
more of the others.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import packs

from zansa.jobs.making.probe import foretold, peak_bytes, probe
from zansa.jobs.request import GrowRequest, TrainRequest, read_request
from zansa.jobs.train import train

RESULTS = Path(__file__).parent / "results" / "plan.jsonl"
# what is trained: data, and what is asked for
SETUPS = {
    "surfaces": {"source": "synthetic", "recipe": {"epochs": 6}},
    "surfaces at 32": {"source": "synthetic", "size": (32, 32), "recipe": {"epochs": 10, "batch": 128}},
    "surfaces, ResNet-20": {"source": "synthetic", "net": "cifar_resnet20", "recipe": {"epochs": 3, "batch": 64}},
    "signs": {"source": "synthetic:mirror", "recipe": {"epochs": 8}},
    "tiles": {"source": "magnetic_tile", "size": (96, 96), "recipe": {"epochs": 4}},
    "tiles at 160": {"source": "magnetic_tile", "size": (160, 160), "recipe": {"epochs": 3}},
    "digits": {"source": "mnist", "recipe": {"epochs": 4}},
    "movements": {"source": "gunpoint", "recipe": {"epochs": 60}},
    "surfaces, grown": {"source": "synthetic", "budget": "macs=10M", "recipe": {"epochs": 16}},
    "digits, grown": {"source": "mnist", "budget": "macs=4M", "recipe": {"epochs": 6}},
}


def request(name: str, out: Path, shared: Path) -> TrainRequest | GrowRequest:
    """The request of a set-up; a pack is unpacked where it is not yet."""
    asked = dict(SETUPS[name])
    source = str(asked["source"])
    if not source.startswith("synthetic"):
        asked["source"] = str(packs.prepare(source, out / source, shared))
    return (GrowRequest if "budget" in asked else TrainRequest).model_validate(asked)


def happened(asked: TrainRequest | GrowRequest, out: Path) -> dict[str, float]:
    """Seconds of work, seconds, and bytes of the whole training in a process of its own."""
    words = json.dumps({"request": asked.model_dump(mode="json"), "out": str(out / "runs")})
    command = [sys.executable, __file__, "--train", "-"]
    done = subprocess.run(command, input=words, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def trained() -> None:
    """Train as standard input says, and print what that took."""
    began, words = time.time(), json.loads(sys.stdin.read())
    train(read_request(words["request"]), words["out"])
    print(json.dumps({"cpu": time.process_time(), "seconds": time.time() - began, "memory": peak_bytes()}))


def main() -> None:
    if "--train" in sys.argv:
        trained()
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", nargs="+", choices=SETUPS, default=list(SETUPS))
    parser.add_argument("--shared", type=Path)
    given = parser.parse_args()
    os.environ["ZANSA_CACHE"] = str(given.out / "cache")
    for name in given.only:
        asked = request(name, given.out, packs.shared_data(given.shared))
        found = probe(asked)
        told, real = foretold(found), happened(asked, given.out)
        row = {"setup": name, "foretold": told, "happened": real, "probe": found}
        row["off"] = {what: told[what] / real[what] - 1 for what in ("cpu", "seconds", "memory")}
        with RESULTS.open("a") as file:
            file.write(json.dumps(row) + "\n")
        cpu, memory = (
            f"{told[what] / scale:.0f} / {real[what] / scale:.0f} ({row['off'][what]:+.0%})"
            for what, scale in (("cpu", 1), ("memory", 1e6))
        )
        print(f"| {name} | {cpu} | {memory} |", flush=True)


if __name__ == "__main__":
    main()
