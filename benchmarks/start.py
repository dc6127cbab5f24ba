"""How fast the command line answers, and that what needs no torch does not import it.

    python benchmarks/start.py [--repeats 10]

Each command runs in a new process of this Python; the first run of each, which may have to read the disk
and write byte code, is left out. Fails when `zansa --help` takes a second or more (median), when a command
fails, or when one of them imports torch.
"""

import argparse
import os
import platform
import subprocess
import sys
import time
from statistics import median

COMMANDS = (("--help",), ("zoo",), ("cost", "cifar_resnet20"))
LIMIT = 0.5  # seconds for --help
RUN = "import sys; from zansa.cli import main; sys.argv[0] = 'zansa'; main()"


def seconds(command: tuple[str, ...], repeats: int) -> list[float]:
    """Wall time of `zansa COMMAND` in a new process, `repeats` times after a first one."""
    taken = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", RUN, *command], check=True, capture_output=True)
        taken.append(time.perf_counter() - start)
    return taken[1:]


def imports(command: tuple[str, ...]) -> dict[str, float]:
    """Modules that `zansa COMMAND` imports -> their own seconds, by `python -X importtime`."""
    call = [sys.executable, "-X", "importtime", "-c", RUN, *command]
    lines = subprocess.run(call, check=True, capture_output=True, text=True).stderr.splitlines()
    rows = [line.removeprefix("import time:").split("|") for line in lines if line.startswith("import time:")]
    return {row[2].strip(): int(row[0]) / 1e6 for row in rows if row[0].strip().isdigit()}


def slowest(times: dict[str, float], count: int = 5) -> str:
    """The packages that take most of the time, as text."""
    packages: dict[str, float] = {}
    for module, taken in times.items():
        top = module.partition(".")[0]
        packages[top] = packages.get(top, 0.0) + taken
    longest = sorted(packages.items(), key=lambda item: -item[1])[:count]
    return ", ".join(f"{name} {1000 * taken:.0f} ms" for name, taken in longest)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=10)
    repeats = parser.parse_args().repeats
    print("| command | seconds, median (min–max) | imports torch | slowest imports |")
    print("|---|---|---|---|")
    faults = []
    for command in COMMANDS:
        taken, imported = seconds(command, repeats), imports(command)
        torch = "torch" in imported
        spread = f"{median(taken):.2f} ({min(taken):.2f}–{max(taken):.2f})"
        print(f"| zansa {' '.join(command)} | {spread} | {'YES' if torch else 'no'} | {slowest(imported)} |")
        if torch:
            faults.append(f"zansa {' '.join(command)} imports torch")
        if command == ("--help",) and median(taken) >= LIMIT:
            faults.append(f"zansa --help takes {median(taken):.2f} s; allowed: less than {LIMIT:g} s")
    machine = f"Python {platform.python_version()}, {platform.platform()}, {os.cpu_count()} cores"
    print(f"\n{repeats} repeats; {machine}")
    sys.exit("\n".join(faults) or None)


if __name__ == "__main__":
    main()
