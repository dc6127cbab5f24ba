"""The verb `poc`: a proof of concept from labelled images to a decision, in stages with gates."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..arch.use import OperatingPoint
from ..deploy.export import export
from ..deploy.handover import sha256
from ..deploy.runtime import predictor
from ..learn.data import Dataset, Parts, contradictions, leaks
from ..nets.files import load as load_model
from ..nets.files import save as save_model
from ..proof.decide import as_probability
from ..proof.exact import needed
from ..proof.figures import figures
from ..proof.good import unknown_good
from ..proof.points import ScoredParts, by_claim, look
from ..proof.sizes import Claim, parse_claim, verdict
from ..record import Run
from ..report.check_words import worded
from ..report.printing import printed, refuse_printing
from ..report.proving.poc import write
from ..runs import all_finished
from ..words import amount, percent, plain_percent
from .check import check
from .compare import compare
from .door import PARITY_IMAGES, absolute, data_digest, door, evenly, good_of, originals, refuse_blind_line, stem_of
from .making.candidates import candidate
from .making.conclude import predictions_csv
from .making.examples import examples
from .making.point import Chosen, cost_on_test, groups_of, parts_of
from .making.prices import read_costs
from .making.stages import Gate, Record, Said, Stage, hashed, noted, opened, run_stages
from .plan import HALF, counted_parts, money, plan
from .request import (
    CheckRequest,
    GrowRequest,
    PlanRequest,
    PocRequest,
    Request,
    Tell,
    TrainingRequest,
    TrainRequest,
    silent,
)
from .train import resume, train
from .trained_request import CompareRequest

QUESTIONS = {  # what is asked in a terminal where no answer is there: at most five
    "claim": 'What is to be shown? (for example "recall>=0.95 at false_alarms<=0.05")',
    "good": "Which class has no defect? (nothing: found by its name)",
    "budget": "What may the network cost? (for example macs=20M, or ms=2.5)",
    "defect_rate": "Which share of parts is defective in production? (for example 0.02; nothing: not known)",
    "cost": "What do mistakes cost? (for example miss=500,false_alarm=8; nothing: not known)",
}
NEEDED = ("claim", "budget")
CHUNK = 64  # images that the exported file answers at a time


@dataclass(frozen=True, eq=False)
class Proof:
    """What all stages share.

    request: what was asked.
    claim: what is to be shown.
    data, parts: the images, and which of them train, decide and prove.
    good: the class without a defect.
    folder: where the records and the runs are.
    tell: hears what happens.
    """

    request: PocRequest
    claim: Claim
    data: Dataset
    parts: Parts
    good: str
    folder: Run
    tell: Tell


def poc(request: PocRequest, out: str | Path = "runs", name: str | None = None, tell: Tell = silent) -> dict[str, Any]:
    """Do all stages that are not done yet, up to the decision or to a gate that fails; returns the whole record.

    The same call goes on where it was stopped. ValueError for answers that are missing or cannot be.
    """
    missing = [f"--{key.replace('_', '-')}: {QUESTIONS[key]}" for key in NEEDED if getattr(request, key) is None]
    if missing:
        raise ValueError(f"an answer is missing; {'; '.join(missing)}; a poc.yaml with all of them is read by --config")
    claim = parse_claim(str(request.claim), request.confidence)
    if (request.cost is None) != (request.defect_rate is None):
        raise ValueError(
            "costs need the production defect rate, and it needs them: give --cost and --defect-rate, or neither"
        )
    if request.pdf:
        refuse_printing(japanese=True)  # the page names its terms in both languages
    request = request.model_copy(update={"source": absolute(request.source)})
    data, parts = door(trained(request), tell)
    good = good_of(request.good, data)
    if good is None:
        raise ValueError(f"a claim needs a good class: {unknown_good(data.classes, data.preprocess.noun)}")
    refuse_blind_line(good, data, parts)
    folder = opened(Path(out), f"{stem_of(request.source)}-poc" if name is None else name, answers(request))
    proof = Proof(request, claim, data, parts, good, folder, tell)
    refuse_other_data(proof)
    stages = [Stage(name, lambda records, work=work: work(proof, records)) for name, work in STAGES.items()]  # type: ignore[misc]
    records = run_stages(folder, stages, request.go_on, tell)
    whole = {
        "source": request.source,
        "good": good,
        "claim": folder.read_json("claim.json"),
        "stages": list(records.values()),
        "all": list(STAGES),
        "decision": decision(records),
        "environment": folder.read_json("environment.json"),
        "lang": request.lang,
    }
    folder.write_json("poc.json", whole)
    written = write(folder)
    whole |= {"folder": str(folder.path), "page": str(written)}
    return whole | ({"pdf": str(printed(written))} if request.pdf else {})


def answered(request: PocRequest, ask: Callable[[str], str]) -> PocRequest:
    """The request with answers to what was left open, each asked once; where the claim was given, only what a proof
    cannot do without is asked."""
    wanted = QUESTIONS if request.claim is None else NEEDED
    known = {field: getattr(request, field) for field in PocRequest.model_fields}
    given = {key: ask(QUESTIONS[key]) for key in wanted if known[key] is None}
    return PocRequest.model_validate(known | {key: value for key, value in given.items() if value})


def trained(request: PocRequest) -> TrainRequest:
    """The baseline's training."""
    return TrainRequest(**own(request))


def own(request: PocRequest) -> dict[str, Any]:
    """The fields that all trainings share."""
    return {name: getattr(request, name) for name in TrainingRequest.model_fields}


def answers(request: PocRequest) -> Record:
    """All answers as a file of options has them, so that `zansa poc --config poc.yaml` does the same again."""
    given = request.model_dump(mode="json", exclude={"recipe"}) | request.model_dump(mode="json")["recipe"]
    return {
        key: list(value) if isinstance(value, tuple) else value for key, value in given.items() if value is not None
    }


def refuse_other_data(proof: Proof) -> None:
    """Write down the claim, with its hash and the time, before anything learns; ValueError where the data are no longer
    those of the claim."""
    digest = data_digest(proof.data, proof.parts)
    if "claim.json" not in proof.folder.files():
        proof.folder.write_json("claim.json", hashed(proof.claim.text, proof.claim.confidence, digest))
    elif proof.folder.read_json("claim.json")["data"] != digest:
        raise ValueError(
            f"the data of {proof.request.source} have changed since {proof.folder.path} began; choose another --name"
        )


# --- stages ---------------------------------------------------------------------------------------------------------


def checked(proof: Proof, records: dict[str, Record]) -> tuple[Record, Gate]:
    """What is wrong with the data: all that `check` finds in images; in series, copies and double labels."""
    data = proof.data
    if data.preprocess.series:
        torn, double = leaks(data, proof.parts), contradictions(data)
        do = [("poc.do.leaks", *torn[0])] if torn else []
        do += [("poc.do.labels", *double[0])] if double else []
        return {}, Gate(not do, ("poc.why.series", len(data), len(torn), len(double)), tuple(do))
    request, page = proof.request, proof.folder.path / "check.html"
    places: dict[str, Any] = {
        "source": request.source,
        "root": request.root,
        "download": request.download,
        "page": str(page),
    }
    found = check(CheckRequest(**places, seed=request.seed, lang=request.lang), proof.tell)
    errors = [each for each in found["findings"] if each["severity"] == "error"]
    words = [worded(each["kind"], each["count"], each["facts"]) for each in errors]
    facts = {"findings": found["findings"], "page": page.name}
    why = ("poc.why.check", len(data), len(found["findings"]), len(errors))
    return facts, Gate(not errors, why, raw([f"{each['title']}: {each['do']}" for each in words]))


def planned(proof: Proof, records: dict[str, Record]) -> tuple[Record, Gate]:
    """How many parts the claim takes, and what the training takes."""
    remove_unfinished(proof.folder.path / "plan", "plan.html")
    if not (proof.folder.path / "plan").exists():
        request = proof.request
        asked = PlanRequest(
            **own(request),
            claim=str(request.claim),
            confidence=request.confidence,
            budget=request.budget,
            curve=request.curve,
            probe=request.probe,
            costs=request.costs,
            lang=request.lang,
        )
        plan(asked, proof.folder.path, "plan", proof.tell)
    record = Run.open(proof.folder.path / "plan").read_json("plan.json")
    chance = record["sizes"]["chance"]
    known: Said = ("poc.why.unknown",) if record["gate"]["passed"] else ("poc.why.few",)
    why: Said = known if chance is None else ("poc.why.chance", percent(chance, 0))
    facts = {"sizes": record["sizes"], "money": record["money"], "page": "plan/plan.html"}
    return facts, Gate(record["gate"]["passed"], why, raw(record["gate"]["do"]))


def raw(sentences: Sequence[str]) -> tuple[Said, ...]:
    """Sentences that are in English alone."""
    return tuple(("poc.raw", sentence) for sentence in sentences)


def baseline(proof: Proof, records: dict[str, Record]) -> tuple[Record, Gate]:
    """A network of fixed structure: is anything to be learned at all?"""
    run = made(proof, trained(proof.request), "baseline")
    noted(proof.folder, timed(proof))
    told = run.read_json("metrics.json")["validation"]
    low, chance = told["balanced_accuracy"]["low"], 1 / len(proof.data.classes)
    why = ("poc.why.baseline", percent(low), percent(chance))
    return shown(run), Gate(low > chance, why, (("poc.do.baseline",),))


def grown(proof: Proof, records: dict[str, Record]) -> tuple[Record, Gate]:
    """A network that is found under the budget."""
    assert proof.request.budget is not None
    fields = own(proof.request) | {"recipe": proof.request.recipe | timed(proof)}
    run = made(proof, GrowRequest(**fields, budget=proof.request.budget), "grown")
    return shown(run), Gate(True, ("poc.why.grow", amount(run.read_json("metrics.json")["cost"]["macs"])))


def timed(proof: Proof) -> Record:
    """The precision and layout that were fastest when the baseline began."""
    recipe = Run.open(proof.folder.path / "baseline").read_json("recipe.json")
    return {name: recipe[name] for name in ("precision", "layout")}


def made(proof: Proof, asked: Request, name: str) -> Run:
    """The run of a training, finished: from the beginning, or from where it was stopped. KeyboardInterrupt where it is
    stopped now."""
    path = proof.folder.path / name
    remove_unfinished(path, "request.json")
    if not path.exists():
        for left in proof.folder.path.glob(f"{name}-*"):  # smaller budgets of a growth that was killed at its beginning
            shutil.rmtree(left)
        run = train(asked, proof.folder.path, name, proof.tell)
    elif not all_finished(Run.open(path)):
        run = resume(path, proof.tell)
    else:
        run = Run.open(path)
    if not all_finished(run):
        raise KeyboardInterrupt
    return run


def remove_unfinished(path: Path, mark: str) -> None:
    """Remove a folder that was killed before it had this file."""
    if path.exists() and not (path / mark).exists():
        shutil.rmtree(path)


def shown(run: Run) -> Record:
    """What a stage says of a run."""
    metrics = run.read_json("metrics.json")
    return {
        "run": run.path.name,
        "page": f"{run.path.name}/report.html",
        "validation": {"balanced_accuracy": metrics["validation"]["balanced_accuracy"]},
        "cost": metrics["cost"],
    }


def compared(proof: Proof, records: dict[str, Record]) -> tuple[Record, Gate]:
    """Which of the candidates to take, by validation parts alone."""
    runs = tuple(str(proof.folder.path / records[stage]["run"]) for stage in ("baseline", "grow"))
    priced = proof.request.cost is not None and proof.request.defect_rate is not None
    record = compare(
        CompareRequest(
            runs=runs,
            confidence=proof.request.confidence,
            cost=proof.request.cost if priced else None,
            defect_rate=proof.request.defect_rate if priced else None,
            most_ms=next((each.limit for each in proof.request.budget or () if each.unit == "ms"), None),
        )
    )
    for row in record["rows"]:  # the test part stays closed until the acceptance
        del row["figures"]["test"], row["accuracy"]["test"]
    chosen = next(row["run"] for row in record["rows"] if row["name"] == record["recommendation"]["chosen"])
    return {"comparison": record, "chosen": Path(chosen).name}, Gate(
        True, ("poc.why.compare", record["recommendation"]["chosen"])
    )


def pointed(proof: Proof, records: dict[str, Record]) -> tuple[Record, Gate]:
    """The line with the best chance to pass the acceptance test, by validation parts."""
    seen = candidate(Run.open(proof.folder.path / records["compare"]["chosen"]), "chosen").seen.scored_parts
    defective, good = counted_parts(proof.data, proof.parts.test, proof.good)
    test = {"recall": sum(defective.values()), "false_alarms": good}
    least = {name: int(needed(share, proof.claim.confidence)) for name, share in proof.claim.mistakes.items()}
    # with too few test parts no line can pass, and all would seem alike: then the line is that of parts enough
    counts = {name: max(count, least.get(name, 0)) for name, count in test.items()}
    point, chance = by_claim(seen, proof.claim, counts["recall"], counts["false_alarms"])
    chance = chance if counts == test else 0.0
    facts = {
        "line": point.reject,
        "threshold": as_probability(point.reject),
        "rule": point.rule,
        "chance": chance,
        "basis": point.basis,
    }
    do = raw([row["do"] for row in records["plan"]["sizes"]["rows"]])
    gate = Gate(chance >= HALF, ("poc.why.chance", percent(chance, 0)), do)
    return facts | {"validation": look(seen, point.reject)}, gate


def exported(proof: Proof, records: dict[str, Record]) -> tuple[Record, Gate]:
    """The chosen network with its line, as one file that answers as the network does."""
    model = load_model(proof.folder.path / records["compare"]["chosen"] / "model.safetensors")
    point = records["point"]
    line = OperatingPoint(
        good=proof.good,
        threshold=point["threshold"],
        rule=point["rule"],
        basis=point["basis"],
        odds=(point["line"], point["line"]),
    )
    model = replace(model, operating=line)
    save_model(proof.folder.path / "model.safetensors", model)
    samples = originals(proof.data, evenly(proof.parts.val, PARITY_IMAGES))
    try:
        parity = export(model, proof.folder.path / "model.onnx", samples)
    except ValueError as error:
        return {"refused": str(error)}, Gate(False, ("poc.why.refused", str(error)))
    hashes = {name: sha256((proof.folder.path / name).read_bytes()) for name in ("model.onnx", "model.safetensors")}
    return {"parity": parity, "sha256": hashes}, Gate(True, ("poc.why.export", f"{parity['largest_difference']:.1g}"))


def accepted(proof: Proof, records: dict[str, Record]) -> tuple[Record, Gate]:
    """The claim against the test part, which no stage has looked at: each part is judged by the exported file."""
    path = proof.folder.path / "model.onnx"
    if not path.exists():
        return {"verdict": None}, Gate(False, ("poc.why.no_file",))
    test, line = tested(proof, path), records["point"]["line"]
    found = test.score >= line
    counts = {
        "recall": (int((found & test.defect).sum()), int(test.defect.sum())),
        "false_alarms": (int((found & ~test.defect).sum()), int((~test.defect).sum())),
    }
    told = verdict(proof.claim, counts["recall"], counts["false_alarms"])
    within = all(
        row["count"] and row["mistakes"] / row["count"] <= proof.claim.mistakes[row["number"]]
        for row in told["numbers"]
    )
    do = [advice(row, proof.claim) for row in told["numbers"] if not row["shown"]]
    facts = {"verdict": told, "counts": counts, "within": within, "figures": look(test, line)}
    facts["money"] = None if proof.request.costs is None else priced(proof, counts)
    return facts, Gate(told["shown"], ("poc.why.shown" if told["shown"] else "poc.why.not_shown",), tuple(do))


def tested(proof: Proof, path: Path) -> ScoredParts:
    """The test parts with the scores of the exported file; its figures, its mistakes with their pictures and its
    answers are written into the folder, as those of a run are."""
    data, index, answer = proof.data, proof.parts.test, predictor(path)
    chunks = np.array_split(index, max(1, len(index) // CHUNK))
    p = np.concatenate([answer.probabilities(originals(data, chunk)) for chunk in chunks])
    p = p[:, [answer.classes.index(name) for name in data.classes]]
    assert answer.calibration is not None  # of a file that was made just now
    choice = Chosen(answer.calibration, answer.operating, None)
    groups, labels = groups_of(data, index), data.labels[index]
    told = figures(p, labels, data.classes, choice.operating, groups=groups, calibration=choice.calibration)
    test = parts_of(p, labels, data.classes, proof.good, groups)
    if choice.operating is not None and proof.request.cost is not None:
        told["inspection"]["cost"] = cost_on_test(proof.request, choice.operating, test)
    proof.folder.write_json("metrics.json", {"test": told})
    proof.folder.write_json(
        "examples.json", examples(data, index, p, choice, answer, path.with_name("model.safetensors"))
    )
    proof.folder.write_bytes("predictions.csv", predictions_csv(data, {"test": (index, p)}, choice))
    return test


def priced(proof: Proof, counts: dict[str, tuple[int, int]]) -> Record:
    """The manager's table with the rates of the acceptance test."""
    sheet, _ = read_costs(str(proof.request.costs))
    (found, defective), false_alarms = counts["recall"], counts["false_alarms"]
    seen = {"recall": (defective - found, defective), "false_alarms": false_alarms}
    return money(sheet, proof.claim, {name: counted for name, counted in seen.items() if counted[1]})


def advice(row: Record, claim: Claim) -> Said:
    """What to do about a number of the claim that was not shown."""
    share, name = claim.mistakes[row["number"]], row["number"]
    if not row["count"]:
        return (f"poc.do.none.{name}",)
    key = "few" if row["mistakes"] / row["count"] <= share else "worse"
    return (f"poc.do.{key}.{name}", row["mistakes"], row["count"], plain_percent(share))


STAGES = {
    "check": checked,
    "plan": planned,
    "baseline": baseline,
    "grow": grown,
    "compare": compared,
    "point": pointed,
    "export": exported,
    "accept": accepted,
}


def decision(records: dict[str, Record]) -> str:
    """pass: the claim was shown and no gate was overridden. conditional: it was shown against a gate, or the test parts
    speak for it and are too few. fail: they speak against it. open: a gate stopped the proof before the test."""
    last = records.get("accept")
    if last is None or last["verdict"] is None:
        return "open"
    overridden: Sequence[str] = [name for name, record in records.items() if record["overridden"] is not None]
    if last["verdict"]["shown"]:
        return "conditional" if overridden else "pass"
    return "conditional" if last["within"] else "fail"
