"""python -m zansa.beginnings make FOLDER | sheet FILE | digest

make: learn the weights again, from drawn pictures alone, into FOLDER/drawn.safetensors. sheet: a page of pictures.
digest: the SHA-256 of the first pictures of a seed.
"""

import argparse
import json
from pathlib import Path

from .draw import digest, sheet
from .making import Course, make, shortened


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m zansa.beginnings", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("make", "sheet", "digest"))
    parser.add_argument("where", type=Path, nargs="?")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, help="of each lesson, for a trial")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or auto")
    parser.add_argument("--workers", type=int, default=0, help="other processes that draw")
    given = parser.parse_args()
    if given.what == "digest":
        print(digest(given.seed))
        return
    if given.where is None:
        parser.error(f"{given.what} writes something: say where")
    if given.what == "sheet":
        sheet(given.seed).save(given.where)
        return
    course = Course(seed=given.seed, device=given.device)
    for line in make(given.where, shortened(course, given.steps) if given.steps else course, given.workers):
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
