"""Commands that look after a served network: watch, review, learn again."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from .. import screen
from ..options import Json
from ..record import Run
from .app import app

Store = Annotated[Path, typer.Argument(help="The folder of the store that `zansa serve` writes.")]
Model = Annotated[str | None, typer.Option(help="The model's name, where the store has several.")]
Who = Annotated[str, typer.Option(help="Who judges or decides; kept with every verdict and record.")]
Reason = Annotated[str, typer.Option(help="Why; a record needs a reason.")]
Escapes = Annotated[
    list[str] | None,
    typer.Option(help="A confirmed escape that --challenger may miss, by its part; needs --who and --reason."),
]
Accept = Annotated[
    str | None,
    typer.Option(
        help='What is accepted. The decision takes "recall>=0.95 at false_alarms<=0.05" where nothing is said; the '
        "line of a new network, and the false alarms that it may give, go by what is said alone."
    ),
]
Language = Annotated[str, typer.Option("--lang", "--language", help="Language of the page: en or ja.")]


@app.command()
def watch(
    store: Store,
    reference: Annotated[
        Path | None,
        typer.Option(help="The run of the model; brings its validation samples for figures without labels."),
    ] = None,
    model: Model = None,
    calm: Annotated[int, typer.Option(help="Lots (or hours) of the calm time after the model began to act.")] = 40,
    alarms_a_year: Annotated[float, typer.Option(help="False warnings a year that are accepted on average.")] = 1.0,
    acknowledge: Annotated[
        str | None, typer.Option(help="A statistic, or all: its warning was looked into; needs --who and --reason.")
    ] = None,
    calm_again: Annotated[
        bool, typer.Option("--calm-again", help="With --acknowledge: what is now is the new calm time.")
    ] = False,
    who: Who = "",
    reason: Reason = "",
    language: Language = "en",
    as_json: Json = False,
) -> None:
    """Tell whether anything has changed since the calm time, which statistic, since when, with pictures.

    Lots are the unit; where parts name no lot, hours are. The page is STORE/watch.html. The exit code is 0 when all is
    calm, 1 while a warning is open, and 2 for bad input, so that it can be run by cron. Nothing is stopped.
    """
    from ..jobs import watch as work
    from ..report.watching.watch import lines

    if acknowledge:
        print(work.acknowledge(store, model, acknowledge, who, reason, calm_again, calm, alarms_a_year))
        return
    record = work.watch(store, reference, model, calm, alarms_a_year, language)
    print(json.dumps(_without_pictures(record)) if as_json else f"{lines(record)}\n\n{record['page']}")
    if record["state"] == "alarm":
        raise typer.Exit(1)


@app.command()
def review(
    store: Store,
    plan: Annotated[
        int | None, typer.Option(help="Choose about so many of the parts that came since the last plan.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the waiting parts to this .csv, without any answer.")] = None,
    read: Annotated[Path | None, typer.Option(help="Keep the verdicts of this .csv (columns answer, verdict).")] = None,
    ask: Annotated[bool, typer.Option("--ask", help="Judge the waiting parts here, key by key; needs --who.")] = False,
    limit: Annotated[
        list[int] | None,
        typer.Option(help="The number of a judged answer that is to be a limit sample; needs --who. May be repeated."),
    ] = None,
    no_limit: Annotated[
        list[int] | None, typer.Option("--no-limit", help="Take --limit back; needs --who. May be repeated.")
    ] = None,
    who: Who = "",
    model: Model = None,
    seed: Annotated[int, typer.Option(help="Seed of the choice.")] = 0,
    as_json: Json = False,
) -> None:
    """Let people look at parts again, and tell what they found of all parts, with intervals.

    Chosen are accepted parts by suspicion beside a uniform share, rejected ones, disagreements with a shadow, parts
    that look new, known defects and second readings. Chances are kept, so that estimates hold however wrong the scores
    are. The chosen parts stand on the operators' page too. Limit samples are shown beside them: for every kind of
    defect the parts nearest to the line that two people call good and call the defect, or that were marked.
    """
    from ..jobs import review as work

    told: dict[str, Any] = {}
    if plan is not None:
        told |= work.plan(store, model, plan, seed)
    if out is not None:
        with out.open("w", newline="", encoding="utf-8") as file:
            told["written"] = work.write_csv(store, file, who)
    if read is not None:
        with read.open(newline="", encoding="utf-8-sig") as file:
            told["kept"] = work.read_csv(store, file, who)
    if limit or no_limit:
        told["limit samples"] = "; ".join(work.mark(store, limit or [], no_limit or [], who))
    if ask:
        if not who:
            raise ValueError("--ask needs --who: a verdict is kept with the name of who gave it")
        told["kept"] = work.ask(
            store, model, who, lambda menu: typer.prompt(menu, default="", show_default=False), print
        )
    found = work.result(store, model)
    if as_json:
        print(json.dumps(told | found))
        return
    for name, value in told.items():
        print(f"{name}: {', '.join(f'{n} {why}' for why, n in value.items()) if isinstance(value, dict) else value}")
    print("\n".join(work.lines(found)))


def _without_pictures(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name != "pictures"}


@app.command()
def retrain(
    store: Store,
    reference: Annotated[
        Path | None, typer.Option(help="The run of the model that acts: its data and its recipe are used again.")
    ] = None,
    accept: Accept = None,
    cost: Annotated[
        str | None, typer.Option(help="Costs of mistakes, miss=500,false_alarm=8: then the gain is told in them.")
    ] = None,
    renewal: Annotated[float, typer.Option(help="What training, labels and approval cost together.")] = 0.0,
    next_parts: Annotated[float, typer.Option(help="Parts until the next decision.")] = 100_000,
    anyway: Annotated[bool, typer.Option("--anyway", help="Learn again whatever the decision is.")] = False,
    finetune: Annotated[
        bool, typer.Option("--finetune", help="Go on from the run's weights instead of beginning anew.")
    ] = False,
    challenger: Annotated[
        Path | None,
        typer.Option(help="A run or .onnx file to compare with the model that acts; with --promote it is to act."),
    ] = None,
    margin: Annotated[float, typer.Option(help="Share by which a new network may be worse.")] = 0.02,
    promote: Annotated[bool, typer.Option("--promote", help="Let --challenger act; needs --who and --reason.")] = False,
    waive: Annotated[bool, typer.Option("--waive", help="With --promote: although it did not pass.")] = False,
    waive_escape: Escapes = None,
    rollback: Annotated[bool, typer.Option("--rollback", help="Let the version before act again.")] = False,
    chain: Annotated[
        bool, typer.Option("--chain", help="Tell the records of changes, and whether all are whole.")
    ] = False,
    model: Model = None,
    who: Who = "",
    reason: Reason = "",
    language: Language = "en",
    as_json: Json = False,
) -> None:
    """Decide whether to learn again, do it, and compare the new network with the one that acts.

    "Do nothing" is a full answer. With --reference and a decision for it, the run's recipe learns the old data and the
    judged parts; rare classes are shown more often, and learned for longer. The new network must not miss more, must
    reject no more good parts than before or than --accept allows, and must find every escape that nobody has waived.
    Nothing acts before --promote. The report is STORE/change-LANGUAGE.html. The exit code is 1 when a gate failed or a
    record was changed.
    """
    from ..jobs import retrain as work
    from ..report.watching.change import lines

    if reference is not None and challenger is not None:
        raise ValueError("--reference learns a new network and --challenger names one: name one of the two")
    if promote or rollback or waive:
        _refuse_other_than_changing(promote, waive, challenger, waive_escape)
        print(work.changed(store, challenger if promote else None, model, who, reason, waive, language))
        return
    if waive_escape:
        _waive(store, challenger, waive_escape, who, reason, sys.stderr if as_json else sys.stdout)
    if chain:
        _tell_chain(work.checked(store), as_json)
        return
    if reference is not None:
        Run.open(reference)  # refuses what is none before anything is recorded
    decision = work.decided(store, model, accept, cost, renewal, next_parts, who=who or "zansa")
    learned = reference if anyway or decision["do"] == "train" else None
    comparison = _compared(store, learned, challenger, finetune, model, accept, margin, who or "zansa", as_json)
    page = work.written(store, decision, comparison, language)
    record = {"decision": decision, "comparison": comparison, "page": str(page)}
    print(json.dumps(record) if as_json else f"{lines(record)}\n\n{page}")
    if comparison is not None and not comparison["passed"]:
        raise typer.Exit(1)


def _refuse_other_than_changing(promote: bool, waive: bool, challenger: Path | None, escapes: list[str] | None) -> None:
    """ValueError where a change of the model that acts was asked for and it is not clear which, or more than that."""
    if waive and not promote:
        raise ValueError("--waive belongs to --promote; --waive-escape PART lets --challenger miss one escape")
    if escapes or (promote and challenger is None):
        raise ValueError("--promote needs the --challenger that is to act; --waive-escape comes before, to compare")


def _waive(store: Path, challenger: Path | None, names: list[str], who: str, why: str, out: TextIO) -> None:
    """Let a challenger miss confirmed escapes, and tell it."""
    from ..jobs import retrain as work

    if challenger is None:
        raise ValueError("--waive-escape needs the --challenger that may miss it")
    print(work.waive(store, challenger, names, who, why), file=out)


def _compared(
    store: Path,
    reference: Path | None,
    challenger: Path | None,
    finetune: bool,
    model: str | None,
    accept: str | None,
    margin: float,
    who: str,
    quiet: bool,
) -> dict[str, Any] | None:
    """What the acting model and another one say of the same parts: one that learns by the recipe of `reference`, or
    where there is none the challenger that was named; None without either."""
    from ..jobs import relearn
    from ..jobs import retrain as work

    if reference is None and challenger is None:
        return None
    if reference is None:
        assert challenger is not None
        return work.compared(store, challenger, relearn.held_out_parts(store), model, margin, accept=accept, who=who)
    with screen.Screen(quiet=quiet) as view:
        run, parts, choices = relearn.learn(store, reference, finetune, work.most_false_alarms(accept), view.tell)
    told = work.compared(store, run.path, parts, model, margin, accept=accept, choices=choices.record(), who=who)
    return told | {"run": str(run.path)}


def _tell_chain(told: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(told))
    else:
        for row in told["records"]:
            print(f"{row['number']}  {row['time'][:19]}  {row['kind']}  {row['who']}: {row['why']}")
        print(told["broken"] or f"records, all whole: {len(told['records'])}; the last hash is {told['head']}")
    if told["broken"]:
        raise typer.Exit(1)
