"""What the command line shows: progress while a job runs, tables at its end, errors in one sentence."""

import json
from typing import Any, Self

from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from .arch.cost import Cost, cost
from .arch.zoo import make
from .record import Run
from .words import quantity

MOST_CLASSES = 20  # listed one by one


class Screen:
    """Shows a job's events. Everything but results goes to standard error, so that results can be piped."""

    def __init__(self, quiet: bool = False):
        self.console = Console(stderr=True, quiet=quiet, highlight=False)
        self.errors = Console(stderr=True, highlight=False)
        self.warnings: list[str] = []
        self.progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"), console=self.console, transient=True,
        )  # fmt: skip
        self.tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def say(self, text: str) -> None:
        """A line that stays."""
        self.console.print(text, markup=False, soft_wrap=True)

    def tell(self, event: dict[str, Any]) -> None:
        """Show one event of a job."""
        match event["event"]:
            case "read":
                self._bar("reading images", event["done"], event["total"])
            case "warning":
                self.warnings.append(event["text"])
                self.errors.print(f"warning: {event['text']}", markup=False, soft_wrap=True)
            case "note" | "stage":
                self.say(event["text"])
            case "run":
                size = (
                    f"{quantity(event['cost']['macs'])} multiply-adds, {quantity(event['cost']['params'])} parameters"
                )
                self.say(f"{event['path']}: {event['epochs']} epochs, {size}")
                self.say(event["net"])
            case "raced" if event["learned"]:
                self.say(f"{event['name']} learned best; it goes on")
            case "start" | "resumed":
                how = (f": {event['device']}, {event['threads']} threads, {event['precision']}, {event['layout']}"
                       if "device" in event else "")  # fmt: skip
                self.say(f"{event['event']} at step {event['step']} of {event['steps']}{how}")
            case "trial":
                each = event["steps"]
                self._bar("trying", event["done"] * each + event["step"], event["total"] * each, event["name"])
            case "step":
                self._bar("training", event["step"], event["steps"], f"loss {event['loss']:.3f}")
            case "edit" if event.get("last"):
                self.say(growth_text(event))
            case "epoch":
                self.say(epoch_text(event))

    def _bar(self, name: str, done: int, total: int, figures: str = "") -> None:
        if name not in self.tasks:
            self.progress.start()
            self.tasks[name] = self.progress.add_task(name, total=total, figures="")
        self.progress.update(self.tasks[name], completed=done, total=total, figures=figures, visible=done < total)

    def result(self, run: Run, as_json: bool) -> None:
        """The end of a job: its figures, and where everything lies."""
        metrics = run.read_json("metrics.json")
        places = {"report": run.path / "report.html", "exported": run.path / "model.onnx", "run": run.path}
        self.progress.stop()
        if as_json:
            stopped = bool(metrics["training"].get("stopped"))
            texts = {key: str(path) for key, path in places.items()}
            print(json.dumps({**texts, "stopped": stopped, "warnings": self.warnings, "metrics": metrics}))
            return
        part = "test" if "test" in metrics else "validation"
        noun = run.read_json("data.json").get("noun", "image")
        self.figures(metrics[part] | {"latency": metrics["latency"], "noun": noun}, f"{part} {noun}s")
        console = Console(highlight=False)
        for label, path in places.items():
            console.print(f"{label:10}{path}", markup=False, soft_wrap=True)

    def frontier(self, rows: list[dict[str, Any]], as_json: bool) -> None:
        """A table of the networks of several budgets."""
        self.progress.stop()
        if as_json:
            print(json.dumps({"frontier": rows, "warnings": self.warnings}))
            return
        inspected = all(row["test"]["inspection"] for row in rows)
        table = Table(title=f"{rows[0]['test']['count']} test {rows[0]['noun']}s",
                      title_justify="left")  # fmt: skip
        rates = ["defects found", "false alarms"] if inspected else []
        for head in ("budget", "multiply-adds", "parameters", "ms", "balanced", *rates):
            table.add_column(head, no_wrap=head == "budget")
        for row in rows:
            found, seen = row["test"], row["test"]["inspection"]
            shares = [seen[key] for key in ("detection", "false_alarms")] if inspected else []
            table.add_row(row["budget"], quantity(row["macs"]), quantity(row["params"]), f"{row['ms']:.2f}",
                          f"{100 * found['balanced_accuracy']['value']:.1f} %",
                          *(f"{s['hits']}/{s['count']}" if s else "–" for s in shares))  # fmt: skip
        console = Console(highlight=False)
        console.print(table)
        for row in rows:
            console.print(f"{row['budget']:16}{row['run']}", markup=False, soft_wrap=True)

    def figures(self, found: dict[str, Any], where: str) -> None:
        """A table of figures."""
        table = Table(title=f"{found['count']} {where}", title_justify="left", show_header=False)
        for label, text in figure_rows(found):
            table.add_row(Text(label), Text(text))
        Console(highlight=False).print(table)


def figure_rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    """The figures that matter, as label and text."""
    b = found["balanced_accuracy"]
    rows = inspection_rows(found["inspection"]) if found["inspection"] else []
    rows.append(("accuracy", rate_line(found["accuracy"])))
    rows.append(("balanced", f"{100 * b['value']:5.1f} %  (95 % CI {100 * b['low']:.1f}–{100 * b['high']:.1f} %)"))
    shown = [c for c in found["per_class"] if c["recall"]] if len(found["per_class"]) <= MOST_CLASSES else []
    rows += [(f"  {c['class']}", rate_line(c["recall"])) for c in shown]
    return rows + [(f"per {found.get('noun', 'image')}", time_line(time)) for time in found.get("latency", [])]


def inspection_rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    """What inspection comes to at its line."""
    rates = (("defects found", found["detection"]), ("false alarms", found["false_alarms"]))
    rows = [(label, rate_line(rate)) for label, rate in rates if rate]
    rows.append(("line", f"reject where 1 - p({found['good']}) >= {found['threshold']:.4f}"))
    if found["roc_auc"] is not None:
        rows.append(("ROC area", f"{found['roc_auc']:.4f} (defect against {found['good']})"))
    return rows


def time_line(time: dict[str, Any]) -> str:
    """A time with all that it depends on."""
    threads = f"{time['threads']} thread{'s' if time['threads'] > 1 else ''}"
    where = f"{time['what']}, {time['device']}, {threads}, {time['precision']}, batch {time['batch']}"
    return f"{time['ms']:.{3 if time['ms'] < 1 else 2}f} ms  ({where})"


def rate_line(rate: dict[str, Any]) -> str:
    """A rate with its counts and interval."""
    digits = max(1, len(str(rate["count"])) - 2)  # one image more or less shows: 9998/10000 is not 100 %
    value, low, high = (f"{100 * rate[key]:.{digits}f}" for key in ("value", "low", "high"))
    return f"{value:>5} %  ({rate['hits']}/{rate['count']}, 95 % CI {low}–{high} %)"


def epoch_text(event: dict[str, Any]) -> str:
    """One line for an epoch."""
    star = "  best" if event["best"] == event["epoch"] and not event.get("few") else ""
    validation = f"loss {event['val_loss']:.3f}, balanced accuracy {100 * event['val_balanced_accuracy']:.1f} %"
    place = f"epoch {event['epoch']:>3}/{event['epochs']}"
    return f"{place}  loss {event['loss']:.3f}  validation {validation}  {event['seconds']:.0f} s{star}"


def growth_text(event: dict[str, Any]) -> str:
    """One line for the changes of one moment: what the network is now, and what it costs."""
    return (f"{100 * event['progress']:3.0f} %  {event['structure']}  {quantity(event['price_after'])} of "
            f"{quantity(event['limit'])} {event['unit']}")  # fmt: skip


def cost_text(c: Cost) -> str:
    """A cost, a line each."""
    memory = f"{quantity(c.train_bytes)}B in training, {quantity(c.infer_bytes)}B in inference"
    return "\n".join([
        f"multiply-adds     {quantity(c.macs)} per image ({c.macs:,})",
        f"parameters        {quantity(c.params)} ({c.params:,})",
        f"sequential depth  {c.depth} weighted layers",
        f"activations       {memory} (batch {c.batch}, float32)",
    ])  # fmt: skip


def zoo_text(rows: list[dict[str, Any]]) -> str:
    """The catalogue as a table."""
    lines = [f"{'name':26}{'parameters':>12}{'multiply-adds':>15}{'depth':>7}  {'published error':16}data, paper"]
    for row in rows:
        error = f"{row['published_error']} %" if row["published_error"] is not None else "-"
        size = f"{quantity(row['params']):>12}{quantity(row['macs']):>15}{row['depth']:>7}"
        lines.append(f"{row['name']:26}{size}  {error:16}{row['data']}, {row['paper']}")
    return "\n".join(lines)


def entry_text(row: dict[str, Any]) -> str:
    """One network's paper, cost and published figures."""
    error = row["published_error"]
    published = f"; published top-1 error {error} % on {row['data']}" if error is not None else ""
    return f"{cost_text(cost(make(row['name'])))}\npaper             {row['paper']}{published}"


def parity_text(path: object, parity: dict[str, Any]) -> str:
    """What the export gate found."""
    return (f"{path}: {parity['bytes']:,} bytes; on {parity['images']} {parity['noun']}s the largest difference of a "
            f"probability is {parity['largest_difference']:.1e}")  # fmt: skip


def adapted_text(path: object, facts: dict[str, Any]) -> str:
    """What became of an adapted model."""
    aligned = " and features aligned with the old ones" if facts["aligned"] else ""
    return (f"{path}: statistics from {facts['images']} new {facts['noun']}s{aligned}; {facts['same_answer']} of "
            f"{facts['images']} answers stay the same. Whether it is better, and where its line should be, only "
            f"labelled {facts['noun']}s can tell: zansa evaluate {path} DATA")  # fmt: skip


def error_text(error: BaseException) -> str:
    """An error as one sentence: what was asked, what is allowed."""
    if isinstance(error, ValidationError):
        parts = []
        for fault in error.errors():
            place = ".".join(map(str, fault["loc"]))
            given = "" if fault["type"] == "value_error" else f" (given: {fault['input']!r})"
            parts.append(f"{place}: {fault['msg'].removeprefix('Value error, ')}{given}".removeprefix(": "))
        return "; ".join(parts)
    if isinstance(error, OSError):
        return f"{error.filename or 'the system'}: {error.strerror or error}"
    return str(error)
