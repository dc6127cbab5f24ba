"""Measure what the theory of Marion et al. 2024 (2309.01213) says, and how far it holds in practice.

`python measure.py PIECE OUT` measures one piece (slopes, limit, long, relu, practice) and writes OUT/PIECE.json;
`python measure.py pictures OUT` draws all pieces that are there. Each piece takes at most a few minutes of one core.
"""

import json
import math
import sys
from pathlib import Path
from typing import Any

import matplotlib
import torch
from network import Setting, convergence, counter_example, distances, slope, smoothness, training

matplotlib.use("Agg")
from matplotlib import pyplot

BASE = Setting()
DEPTHS = [4, 8, 16, 32, 64, 128]
NEAR = [16, 64]  # depths between which the table tells a slope
PRACTICE: dict[str, Setting] = {
    "gradient flow (all samples)": BASE,
    "smooth start in place of tied": BASE.but(start="smooth"),
    "independent start": BASE.but(start="independent"),
    "batches of 10": BASE.but(batch=10),
    "momentum 0.9": BASE.but(momentum=0.9, rate=0.001),
    "weight decay 0.01": BASE.but(decay=0.01),
    "batches of 10, momentum, weight decay": BASE.but(batch=10, momentum=0.9, rate=0.001, decay=0.01),
    "Adam": BASE.but(optimizer="adam", rate=0.003),
    "batch norms": BASE.but(norm=True),
    "batch norms, batches of 25, momentum": BASE.but(norm=True, batch=25, momentum=0.9, rate=0.001),
    "stochastic depth 0.2": BASE.but(skip=0.2),
    "ReLU": BASE.but(act="relu"),
    "ReLU, independent start": BASE.but(act="relu", start="independent"),
    "ReLU, batch norms, batches of 25": BASE.but(act="relu", norm=True, batch=25),
    "tanh": BASE.but(act="tanh"),
    "identity": BASE.but(act="identity"),
    "inner width 8": BASE.but(hidden=8),
    "inner width 128": BASE.but(hidden=128),
}


def slopes() -> dict[str, Any]:
    """The two quantities of figure 1, left, against depth."""
    found = [smoothness(BASE, depth) for depth in DEPTHS]
    rows: dict[str, Any] = {
        "depth": DEPTHS,
        "largest": [each.largest for each in found],
        "root_sum": [each.root_sum for each in found],
        "loss": [each.loss for each in found],
    }
    ends = {f"slope_{name}": slope(DEPTHS, rows[name]) for name in ("largest", "root_sum")}
    return rows | ends


def limit() -> dict[str, Any]:
    """Uniform convergence to the limit, for which a network of 256 layers stands."""
    depths = [4, 8, 16, 32]
    found = convergence(BASE, depths, 256)
    weights, outputs = ([pair[k] for pair in found.values()] for k in (0, 1))
    return {
        "depth": depths,
        "weights": weights,
        "outputs": outputs,
        "slope_weights": slope(depths, weights),
        "slope_outputs": slope(depths, outputs),
    }


def long() -> dict[str, Any]:
    """Long training at two depths: the loss, and the largest distance of neighbours times L, at moments of it."""
    setting = Setting(samples=20, hidden=64, rate=0.08, steps=1500)
    made: dict[str, Any] = {"step": [0, 5, 15, 50, 150, 500, setting.steps], "depth": [8, 16]}
    for depth in made["depth"]:
        loss_at, apart = [], []
        for k, (weights, loss) in enumerate(training(setting, depth)):
            if k in made["step"]:
                loss_at.append(loss)
                apart.append(depth * float(distances(weights).max()))
        made |= {f"loss_{depth}": loss_at, f"apart_{depth}": apart}
    return made | {"coefficients": weights.outer.detach().flatten(1)[:, ::97][:, :8].T.tolist()}


def relu() -> dict[str, Any]:
    """The counter-example of appendix D, with ReLU and with GELU."""
    depths = [8, 16, 32, 64]
    return {"depth": depths} | {
        act: [counter_example(depth, act, steps=600, rate=0.05)[0] for depth in depths] for act in ("relu", "gelu")
    }


def practice() -> dict[str, Any]:
    """From gradient flow to practice: the same network, trained as people train."""
    table = {}
    for name, setting in PRACTICE.items():
        setting = setting.but(steps=150, rate=setting.rate * 3)
        found = [smoothness(setting, depth) for depth in NEAR]
        table[name] = {
            "slope": slope(NEAR, [each.largest for each in found]),
            "largest": [each.largest for each in found],
            "relative": [each.mean for each in found],
            "loss": [each.loss for each in found],
        }
        print(name, table[name], flush=True)
    return table


def pictures(out: Path) -> None:
    """Draw every piece that has been measured."""
    for piece, draw in {
        "slopes": draw_slopes,
        "limit": draw_limit,
        "long": draw_long,
        "relu": draw_relu,
        "practice": draw_practice,
    }.items():
        if (out / f"{piece}.json").exists():
            draw(json.loads((out / f"{piece}.json").read_text()))
            pyplot.tight_layout()
            pyplot.savefig(out / f"{piece}.png", dpi=110)
            pyplot.close()


def draw_slopes(rows: dict[str, Any]) -> None:
    pyplot.figure(figsize=(6, 4))
    for name, word in (("largest", "largest distance of neighbours"), ("root_sum", "root of the sum of squares")):
        pyplot.loglog(rows["depth"], rows[name], "o-", label=f"{word}: slope {rows[f'slope_{name}']:.2f}")
    pyplot.xlabel("depth L")
    pyplot.legend()


def draw_limit(rows: dict[str, Any]) -> None:
    pyplot.figure(figsize=(6, 4))
    for name in ("weights", "outputs"):
        pyplot.loglog(rows["depth"], rows[name], "o-", label=f"{name}: slope {rows[f'slope_{name}']:.2f}")
    pyplot.xlabel("depth L")
    pyplot.ylabel("largest distance to the limit")
    pyplot.legend()


def draw_long(rows: dict[str, Any]) -> None:
    _, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.6))
    steps = [max(1, step) for step in rows["step"]]
    for depth in rows["depth"]:
        left.loglog(steps, rows[f"loss_{depth}"], "o-", label=f"loss, L = {depth}")
        left.loglog(steps[1:], rows[f"apart_{depth}"][1:], "s--", label=f"L x largest distance, L = {depth}")
    left.set_xlabel("step")
    left.legend(fontsize=8)
    for curve in rows["coefficients"]:
        right.plot(curve)
    right.set_xlabel("layer")
    right.set_title("some outer weights at the end")


def draw_relu(rows: dict[str, Any]) -> None:
    pyplot.figure(figsize=(6, 4))
    for name, word in (("relu", "ReLU"), ("gelu", "GELU")):
        pyplot.loglog(rows["depth"], rows[name], "o-", label=f"{word}: neighbours at the end")
    pyplot.axhline(2 * math.log(3), color="black", linewidth=0.8, label="2 log 3")
    pyplot.xlabel("depth L")
    pyplot.ylabel("largest distance of neighbours")
    pyplot.legend()


def draw_practice(table: dict[str, Any]) -> None:
    names = list(table)
    pyplot.figure(figsize=(8, 6))
    pyplot.barh(names, [-table[name]["slope"] for name in names])
    pyplot.axvline(1.0, color="black", linewidth=0.8)
    pyplot.gca().invert_yaxis()
    pyplot.xlabel("minus the slope (1: as the theory says; 0: rough)")


def main() -> None:
    """Measure one piece, or draw."""
    torch.set_num_threads(1)
    piece, out = sys.argv[1], Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    if piece == "pictures":
        return pictures(out)
    made = {"slopes": slopes, "limit": limit, "long": long, "relu": relu, "practice": practice}[piece]()
    (out / f"{piece}.json").write_text(json.dumps(made, indent=1))
    print({key: value for key, value in made.items() if key != "coefficients"})
    return None


if __name__ == "__main__":
    main()
