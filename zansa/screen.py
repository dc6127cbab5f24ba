"""What the command line shows: progress while a job runs, tables at its end, and errors in one sentence."""

import json
import sqlite3
from collections import Counter
from typing import Any, Self

from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from .arch.cost import Cost, cost
from .arch.zoo import make
from .phrases import singular
from .record import Run
from .words import (
    amount,
    area_text,
    count,
    counted,
    counts_of,
    duration,
    file_size,
    milliseconds,
    percent,
    plain_percent,
    price_text,
    rate_text,
    rule_text,
    share_of,
    time_text,
    typed,
)

DAMAGED = "its answers.sqlite is damaged: bring back a copy of it, or move it away so that the server begins a new one"
STORE_FAULTS = {  # what SQLite says of a store, and what to do
    sqlite3.SQLITE_BUSY: "another program is writing into it; try again when that has ended",
    sqlite3.SQLITE_LOCKED: "another program is writing into it; try again when that has ended",
    sqlite3.SQLITE_FULL: "its disk is full; make room and try again",
    sqlite3.SQLITE_READONLY: "it may not be written; look at the rights of its folder",
    sqlite3.SQLITE_CANTOPEN: "its answers.sqlite cannot be opened; look at the rights of its folder",
    sqlite3.SQLITE_CORRUPT: DAMAGED,
    sqlite3.SQLITE_NOTADB: DAMAGED,
}
LEADING = ("defects found", "false alarms")
MOST_CLASSES = 20  # listed one by one
# What each kind of edit does to the network: the thing that changes, and what becomes of it.
MOVES = {
    "insert": ("block", "came"),
    "split": ("block", "came"),
    "widen": ("width", "grew"),
    "delete": ("block", "went"),
    "merge": ("block", "went"),
    "tie": ("block", "went"),
    "regrid": ("block", "changed"),
    "rekind": ("block", "changed"),
    "mix": ("mix", "changed"),
}
GROWTH_LEGEND = (
    "The network changes while it learns. Each such line says how far the training is, what came or went, the stages "
    "from first to last as channels (inner widths of each block), and what the network costs of what it may cost."
)


class Screen:
    """Shows a job's events. Everything but results goes to standard error, so that results can be piped."""

    def __init__(self, quiet: bool = False):
        self.console = Console(stderr=True, quiet=quiet, highlight=False)
        self.errors = Console(stderr=True, highlight=False)
        self.warnings: list[str] = []
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"),
            console=self.console,
            transient=True,
            disable=not self.console.is_interactive,  # else it leaves empty lines in logs
        )
        self.tasks: dict[str, TaskID] = {}
        self.edits: list[dict[str, Any]] = []  # of the moment of a growth that is not complete yet
        self.grew = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def say(self, text: str) -> None:
        """Show a line that stays."""
        self.console.print(singular(text), markup=False, soft_wrap=True)

    def tell(self, event: dict[str, Any]) -> None:
        """Show one event of a job."""
        match event["event"]:
            case "read":
                self._bar("reading images", event["done"], event["total"])
            case "warning":
                self.warnings.append(event["text"])
                self.errors.print(f"warning: {singular(event['text'])}", markup=False, soft_wrap=True)
            case "note" | "stage" | "again":
                self.say(event["text"])
            case "run":
                self.say(run_text(event))
            case "raced" if event["learned"]:
                self.say(f"{event['name']} learned best; it goes on")
            case "start" | "resumed":
                self.say(start_text(event))
            case "trial":
                each = event["steps"]
                self._bar("trying", event["done"] * each + event["step"], event["total"] * each, event["name"])
            case "step":
                self._bar("training", event["step"], event["steps"], f"loss {event['loss']:.3f}")
            case "edit":
                self._edit(event)
            case "epoch":
                self.say(epoch_text(event))

    def _edit(self, event: dict[str, Any]) -> None:
        """Keep an edit until the last one of its moment is there, then say in a line what came and went."""
        self.edits.append(event)
        if event.get("last"):
            if not self.grew:
                self.say(GROWTH_LEGEND)
            self.say(growth_text(self.edits))
            self.edits, self.grew = [], True

    def _bar(self, name: str, done: int, total: int, figures: str = "") -> None:
        if name not in self.tasks:
            self.progress.start()
            self.tasks[name] = self.progress.add_task(name, total=total, figures="")
        self.progress.update(self.tasks[name], completed=done, total=total, figures=figures, visible=done < total)

    def result(self, run: Run, as_json: bool) -> None:
        """Show the end of a job: its figures, and where everything is; as JSON, print nothing else."""
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
        """Show a table of the networks of several budgets."""
        self.progress.stop()
        if as_json:
            print(json.dumps({"frontier": rows, "warnings": self.warnings}))
            return
        inspected = all(row["test"]["inspection"] for row in rows)
        table = Table(title=typed(counted(rows[0]["test"]["count"], f"test {rows[0]['noun']}")), title_justify="left")
        rates = ["defects found", "false alarms"] if inspected else []
        for head in ("budget", "multiply-\nadds", "param-\neters", "time", "balanced", *rates):
            table.add_column(head, no_wrap=head == "budget")
        for row in rows:
            table.add_row(*map(typed, frontier_row(row, inspected)))
        console = Console(highlight=False)
        console.print(table)
        for row in rows:
            console.print(f"{row['budget']:16}{row['run']}", markup=False, soft_wrap=True)

    def figures(self, told: dict[str, Any], where: str) -> None:
        """Show a table of figures."""
        table = Table(title=f"{typed(count(told['count']))} {where}", title_justify="left", show_header=False)
        for label, text in figure_rows(told):
            table.add_row(Text(label), Text(typed(text)))
        Console(highlight=False).print(table)


def frontier_row(row: dict[str, Any], inspected: bool) -> list[str]:
    """The network of one budget: its budget, size and time, and its figures on the test images."""
    figures, inspection = row["test"], row["test"]["inspection"]
    rates = [inspection["detection"], inspection["false_alarms"]] if inspected else []
    sizes = [row["budget"], amount(row["macs"]), amount(row["params"]), milliseconds(row["ms"])]
    return [*sizes, share_of(figures["balanced_accuracy"]), *(counts_of(rate) if rate else "–" for rate in rates)]


def figure_rows(told: dict[str, Any]) -> list[tuple[str, str]]:
    """The figures that matter, as label and text: detection, false alarms and time lead."""
    seen = inspection_rows(told["inspection"]) if told["inspection"] else []
    times = [(f"per {told.get('noun', 'image')}", time_text(time)) for time in told.get("latency", [])]
    lead = [row for row in seen if row[0] in LEADING]
    rows = [*lead, *times, *(row for row in seen if row not in lead)]
    rows += [("accuracy", rate_text(told["accuracy"])), ("balanced", rate_text(told["balanced_accuracy"]))]
    few = len(told["per_class"]) <= MOST_CLASSES
    rows += [(f"  {each['class']}", rate_text(each["recall"])) for each in told["per_class"] if few and each["recall"]]
    return rows + calibration_rows(told.get("calibration"))


def calibration_rows(told: dict[str, Any] | None) -> list[tuple[str, str]]:
    """How far certainties are off, beside what chance alone would show; [] for older records."""
    if not told:
        return []
    chance = f"a perfect network: about {percent(told['error_chance'])}"
    return [("calibration", f"certainty is off by {percent(told['error'])} ({chance})")]


def inspection_rows(told: dict[str, Any]) -> list[tuple[str, str]]:
    """The figures of inspection at its threshold, as label and text."""
    asked = told.get("asked") if told.get("ask") is not None else None
    rates = (("defects found", told["detection"]), ("false alarms", told["false_alarms"]), ("asked about", asked))
    rows = [(label, rate_text(rate)) for label, rate in rates if rate]
    if told.get("unit") == "part":
        rows.append(("counted", "by part; a part is rejected when one of its images is"))
    rows.append(("threshold", f"a part is rejected when {rule_text(told)}"))
    if told.get("rule"):
        rows.append(("chosen by", told["rule"]))
    if price := told.get("cost"):
        sure = f"{price['low']:,.0f} to {price['high']:,.0f}"
        name, blind = price["cheapest_blind"]
        rows.append(("cost", f"{price['cost']:,.0f} per 1,000 parts ({sure}); to {name} would cost {blind:,.0f}"))
    if told["roc_auc"] is not None:
        rows.append(("ROC area", f"{area_text(told['roc_auc'])} (defects against {told['good']})"))
    return rows


def run_text(event: dict[str, Any]) -> str:
    """The folder of a run, how long it trains, and its network, a line for each part."""
    size = " and ".join(price_text(event["cost"][unit], unit) for unit in ("macs", "params"))
    plan = typed(f"{counted(event['epochs'], 'epoch')} of a network with {size}")
    return f"{event['path']} trains for {plan}:\n{event['net']}"


def start_text(event: dict[str, Any]) -> str:
    """One line for a training that starts or is resumed."""
    verb = {"start": "started"}.get(event["event"], event["event"])
    place = f"training {verb} at step {count(event['step'])} of {count(event['steps'])}"
    if "device" not in event:
        return _shown(place)
    threads = counted(event["threads"], "thread")
    return _shown(f"{place}, on {event['device']} with {threads}, {event['precision']} and {event['layout']}")


def epoch_text(event: dict[str, Any]) -> str:
    """One line for an epoch."""
    star = "  kept" if event["best"] == event["epoch"] and not event.get("last") else ""
    validation = f"loss {event['val_loss']:.3f}, balanced accuracy {percent(event['val_balanced_accuracy'])}"
    place = f"epoch {event['epoch']:>3}/{event['epochs']}"
    return _shown(f"{place}  loss {event['loss']:.3f}  validation {validation}  {duration(event['seconds'])}{star}")


def growth_text(edits: list[dict[str, Any]]) -> str:
    """One line for the edits of one moment: what came and went, what the network is now, and what it costs."""
    last = edits[-1]
    moves = Counter(_move(edit) for edit in edits)
    told = ", ".join(f"{counted(number, thing)} {became}" for (thing, became), number in moves.items())
    price = f"{price_text(last['price_after'], last['unit'], named=False)} of {price_text(last['limit'], last['unit'])}"
    return _shown(f"{plain_percent(last['progress']):>6}  {told}: {last['structure']}; {price}")


def _move(edit: dict[str, Any]) -> tuple[str, str]:
    """The thing that an edit changes and what becomes of it; a width that is mapped anew shrinks where that saves."""
    kind = edit["move"]
    return ("width", "shrank" if edit["spent"] < 0 else "grew") if kind == "remap" else MOVES.get(kind, (kind, "edit"))


def cost_text(price: Cost) -> str:
    """A cost in words, a line for each quantity."""
    memory = f"{file_size(price.train_bytes)} in training, {file_size(price.infer_bytes)} in inference"
    return _shown(
        "\n".join(
            [
                f"multiply-adds     {amount(price.macs)} per image ({count(price.macs)})",
                f"parameters        {amount(price.params)} ({count(price.params)})",
                f"sequential depth  {counted(price.depth, 'weighted layer')}",
                f"activations       {memory} (batch {price.batch}, float32)",
            ]
        )
    )


def depth_text(record: dict[str, Any]) -> str:
    """The verdict on each stage, and where the page is."""
    made = [f"run: {record['run']}"] if record["run"] else []
    return _shown("\n".join([*record["told"], *made, f"page: {record['page']}"]))


def compressed_text(record: dict[str, Any]) -> str:
    """What a compression has made, before and after, and where the page is."""
    return _shown("\n".join([*record["told"], f"run: {record['run']}", f"page: {record['page']}"]))


def zoo_text(rows: list[dict[str, Any]]) -> str:
    """The catalogue as a table."""
    lines = [f"{'name':26}{'parameters':>12}{'multiply-adds':>15}{'depth':>7}  {'published error':16}data, paper"]
    for row in rows:
        error = f"{row['published_error']} %" if row["published_error"] is not None else "–"
        size = f"{amount(row['params']):>12}{amount(row['macs']):>15}{row['depth']:>7}"
        lines.append(f"{row['name']:26}{size}  {error:16}{row['data']}, {row['paper']}")
    return _shown("\n".join(lines))


def entry_text(row: dict[str, Any]) -> str:
    """One network's paper, cost and published figures."""
    error = row["published_error"]
    published = f"; published top-1 error {error} % on {row['data']}" if error is not None else ""
    return f"{cost_text(cost(make(row['name'])))}\npaper             {row['paper']}{published}"


def parity_text(path: object, parity: dict[str, Any]) -> str:
    """How far an exported file and the trained network agree."""
    largest = (
        f"the largest difference of a probability is {parity['largest_difference']:.2g}, and of a class map "
        f"{parity['map_difference']:.2g} of its strongest place"
    )
    lines = [f"{path}: {file_size(parity['bytes'])}; on {counted(parity['images'], parity['noun'])} {largest}"]
    if target := parity.get("target"):
        own = "" if target["own_engine"] else f" (the engine of {target['target']} is not installed here)"
        found = f"{target['largest_difference']:.2g}"
        lines.append(f"{target['folder']}/network.onnx: run by {target['engine']}{own}, largest difference {found}")
    if page := parity.get("page"):
        lines.append(f"{page['file']}: {file_size(page['bytes'])}, classifies offline; open it from the disk")
    bundle = parity.get("bundle")
    if int8 := parity.get("int8"):
        inside = ", in the bundle as int8.onnx" if bundle else ""
        lines.append(f"{int8}: the file in int8, which was proven when it was made{inside}")
    if bundle:
        lines.append(f"{bundle}: everything, with handover.json")
    return _shown("\n".join(lines))


def bench_text(told: dict[str, Any]) -> str:
    """The times of an exported file as a table."""
    lines = [f"{told['engine']}, {told['file']}, {file_size(told['bytes'])}, {told['cpu']}"]
    lines.append(f"{'threads':>7}{'batch':>7}{'median':>10}{'p95':>10}{'p99':>10}{'a second':>11}{'memory':>11}")
    for row in told["rows"]:
        times = "".join(f"{row[name]:>7.2f} ms" for name in ("ms", "p95", "p99"))
        lines.append(
            f"{row['threads']:>7}{row['batch']:>7}{times}{row['per_second']:>11.0f}{file_size(row['memory']):>11}"
        )
    if told["within"] is not None:
        lines.append(f"the budget of {told['budget']} is {'' if told['within'] else 'not '}kept by the median")
    return _shown("\n".join(lines))


def adapted_text(path: object, facts: dict[str, Any]) -> str:
    """What an adapted model has learned from, and how many of its answers have changed."""
    aligned = ", and its features were aligned with the old ones" if facts["aligned"] else ""
    samples, labelled = counted(facts["images"], f"new {facts['noun']}"), f"labelled {facts['noun']}s"
    return _shown(
        f"{path}: its statistics come from {samples}{aligned}; {count(facts['same_answer'])} of "
        f"{count(facts['images'])} answers stay the same. Only {labelled} can tell whether it is better, and where its "
        f"threshold should be: zansa evaluate {path} DATA"
    )


def checked_text(path: object, told: dict[str, Any]) -> str:
    """Whether a store is whole."""
    faults = [] if told["sound"] else ["the database is damaged"]
    for key, fault in (("missing", "missing"), ("damaged", "not what their names say")):
        if told[key]:
            faults.append(f"{counted(len(told[key]), 'image')} {fault} (the first: {told[key][0]})")
    unnamed = f"; images that belong to no row, and go at the next start: {told['unnamed']}" if told["unnamed"] else ""
    size = f"{counted(told['answers'], 'answer')}, {counted(told['images'], 'image')}"
    return _shown(f"{path}: {size}; {'; '.join(faults) or 'all is whole'}{unnamed}")


def check_text(found: dict[str, Any]) -> str:
    """The findings of an audit: how grave each is, its title, why and what to do, and its first items."""
    lines = [f"left out: {sentence}" for sentence in found["left_out"]]
    for each in found["findings"]:
        lines += [f"{each['severity']}: {each['title']}", f"  {each['why']}", f"  -> {each['do']}"]
        lines += [f"     {' = '.join(item)}" for item in each["items"][:3]]
        if len(each["items"]) > 3:
            lines.append(f"     … (+{len(each['items']) - 3 + each['left_out']})")
    lines += [f"{label:8}{found[label]}" for label in ("page", "fixed") if found.get(label)]
    return _shown("\n".join(lines))


def explained(record: dict[str, Any]) -> list[str]:
    """A line for each sample: what was answered, where it looked, the verdict, and what its strongest blocks added."""
    lines = []
    for each in record["images"]:
        top = sorted(each["blocks"].items(), key=lambda item: -abs(item[1]))[:3]
        blocks = ", ".join(f"{name} {value:+.2f}" for name, value in top)
        at, word = each["strongest"], each["verdict"]["word"]
        place = "no clear place" if at is None else f"at x {at[0]}, y {at[1]}" if len(at) == 2 else f"at place {at[0]}"
        lines.append(f"{each['name']}: {each['class']}, log-odds {each['log_odds']:.2f}; {place}; {word}; {blocks}")
    return [_shown(line) for line in lines]


def _shown(text: str) -> str:
    """A text as terminals take it, with a singular after each count of one."""
    return singular(typed(text))


def error_text(error: BaseException) -> str:
    """An error as one sentence, which says what was asked and what is allowed."""
    if isinstance(error, ValidationError):
        parts = []
        for fault in error.errors():
            place, said = ".".join(map(str, fault["loc"])), fault["msg"].removeprefix("Value error, ")
            given = "" if fault["type"] == "value_error" else f" (given: {fault['input']!r})"
            parts.append(f"{said}{given}" if not place or said.startswith(place) else f"{place}: {said}{given}")
        return "; ".join(parts)
    if isinstance(error, OSError):
        return f"{error.filename or 'the system'}: {error.strerror or error}"
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # of the kind; the rest tells which of its cases it was
        return f"the store cannot be used ({error}): {STORE_FAULTS.get(code, '`zansa store STORE --check` tells more')}"
    return singular(str(error))
