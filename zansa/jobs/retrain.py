"""The verb `retrain`: learn again or not, and what may act afterwards. Deciding and changing need no torch; learning is
in `relearn`."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from ..deploy.serve import stored
from ..deploy.watch import chain, contest, look, queue
from ..deploy.watch.units import Answers, answers
from ..proof.costs import parse_costs
from ..proof.renewal import Accepted, Price, Seen, decide
from ..proof.sizes import parse_claim
from ..record import write_atomic
from ..report.watching import change as page
from ..runs import data_beside, exported_file, known_samples
from . import store as serving

USUAL = Accepted(misses=0.05, false_alarms=0.05)
KEPT = (  # of a comparison, in the chain
    *("passed", "reasons", "margin", "misses", "false_alarms", "mcnemar", "gain", "parts", "escapes"),
    *("escapes_missed", "escapes_waived", "escapes_learned", "counts", "lines", "rule", "again", "negative_flips"),
)
# `relearn.Choices.record` of a network that did not learn just now
NO_CHOICES: dict[str, Any] = {"line_by": "", "shown": {}, "longer": 1, "last": ""}
BEGUN = ("promoting", "rolling back")
NEXT = 100_000  # parts until the next decision


def decided(
    store: Path,
    model: str | None = None,
    accept: str | None = None,
    cost: str | None = None,
    renewal: float = 0.0,
    next_parts: float = NEXT,
    calm: int = look.CALM,
    who: str = "zansa",
) -> dict[str, Any]:
    """Whether to learn again, with reasons and the expected gain; kept in the chain, and on STORE/change.html."""
    seen = answers(store, model)
    good = look.good_of(seen)
    if good is None:
        raise ValueError(f"the model {seen.model} draws no line between good and defect, so no misses can be measured")
    wanted = USUAL if accept is None else _accepted(accept)
    prices = None if cost is None else parse_costs(cost)
    price = None if prices is None else Price(prices.miss, prices.false_alarm, renewal, next_parts)
    found = decide(_measured(store, seen, good, calm), wanted, price)
    limits = {"misses": wanted.misses, "false_alarms": wanted.false_alarms}
    record = {"model": seen.model, "version": seen.version, "sha": seen.sha, "accepted": limits, **found}
    chain.append(store, "decided", who, ", ".join(found["why"]) or "no trigger", sha=seen.sha, do=found["do"])
    return record


def _accepted(accept: str) -> Accepted:
    claim = parse_claim(accept)
    return Accepted(None if claim.recall is None else round(1 - claim.recall, 12), claim.false_alarms)


def _measured(store: Path, seen: Answers, good: str, calm: int) -> Seen:
    """What was measured of the model that acts; counts are those of the parts that were planned for the audit."""
    found = queue.estimates(store, good, seen.sha)
    of = {name: 0 if found[name] is None else found[name]["of"] for name in ("misses", "false_alarms")}
    rejected = sum(row["decision"] == "reject" for row in seen.rows)
    parts = sum(of.values()) if found["misses"] else len(seen.rows)
    false = found["false_alarms"]["value"] if found["false_alarms"] else 0.0
    defects = max(0.0, (of["false_alarms"] if found["misses"] and of["false_alarms"] else rejected) - false)
    classes = {name[2:] for name in seen.rows[-1] if name.startswith("p_")} | set(queue.UNDECIDED)
    ours = {row["id"] for row in seen.rows}
    named = Counter(r["verdict"] for r in queue.verdicts(store) if r["answer"] in ours and r["verdict"] not in classes)
    watched = look.look(store, seen, None, calm)
    drifted = tuple(row["name"] for row in watched["charts"] if row["alarm"])
    return Seen(parts, defects, found["misses"], found["false_alarms"], dict(named), drifted, _days(seen))


def _days(seen: Answers) -> float:
    first, last = (datetime.fromisoformat(seen.rows[k]["time"]) for k in (0, -1))
    return (last - first).total_seconds() / 86400


def compared(
    store: Path,
    challenger: Path,
    parts: list[contest.Part],
    model: str | None = None,
    margin: float = 0.02,
    costs: tuple[float, float, float] | None = None,
    accept: str | None = None,
    choices: Mapping[str, Any] | None = None,
    who: str = "zansa",
) -> dict[str, Any]:
    """The acting model against a challenger on parts that neither has learned from; kept in the chain. `choices`:
    `relearn.Choices.record` where the challenger learned just now."""
    name, file = contest.acting(store, model)
    offered = exported_file(challenger)
    network = contest.load(offered)
    shas = {"champion": contest.sha_of(file), "challenger": contest.sha_of(offered)}
    most, spared = most_false_alarms(accept), contest.waived(store, shas["challenger"])
    known = known_samples(data_beside(offered, network.notes))
    told = contest.compare(store, contest.load(file), network, parts, margin, costs, most, spared, known)
    told |= NO_CHOICES | dict(choices or {}) | {"again": queue.again(store, contest.contradicted(store, network))}
    short = {key: told[key] for key in (*KEPT, *NO_CHOICES)}
    why = "passed" if told["passed"] else ", ".join(told["reasons"])
    record = chain.append(store, "compared", who, why, model=name, **shas, **short)
    return told | shas | {"model": name, "record": record["number"]}


def most_false_alarms(accept: str | None) -> float | None:
    """The share of false alarms that a claim accepts; None where nothing is said of it."""
    return None if accept is None else parse_claim(accept).false_alarms


def waive(store: Path, challenger: Path, names: list[str], who: str, why: str) -> str:
    """Let a challenger miss confirmed escapes, by the names of their parts, and a sentence on it. It is kept in the
    chain, for this file alone. ValueError for a part that is no escape that it misses."""
    offered = exported_file(challenger)
    again = contest.missed(store, contest.load(offered))
    known = {str(row["part"] or row["id"]): row for row in again}
    if unknown := [name for name in names if name not in known]:
        raise ValueError(
            f"{offered} misses no confirmed escape {', '.join(unknown)}; it misses: {', '.join(known) or 'none'}"
        )
    rows = [known[name] for name in names]
    told = {"answers": [row["id"] for row in rows], "parts": [contest.named(row) for row in rows]}
    record = chain.append(store, "waived", who, why, challenger=contest.sha_of(offered), **told)
    return f"record {record['number']}: it may miss {', '.join(told['parts'])} ({who}: {why})"


def changed(
    store: Path, challenger: Path | None, model: str | None, who: str, why: str, waive: bool, language: str
) -> str:
    """Promote a challenger, or where there is none go back to the version before; write the change report, and return a
    sentence on it."""
    told = (
        rollback(store, model, who, why) if challenger is None else promote(store, challenger, model, who, why, waive)
    )
    written(store, None, None, language)
    return told


def promote(store: Path, challenger: Path, model: str | None, who: str, why: str, waive: bool = False) -> str:
    """Let a challenger act that has passed its comparison, and a sentence on it. ValueError where it has not: then
    `waive` lets it act all the same, and the record says so."""
    name, file = contest.acting(store, model)
    offered = exported_file(challenger)
    sha, before = contest.sha_of(offered), contest.sha_of(file)
    if sha == before:
        return _closed(store, name, "promoting", "promoted", who, f"{offered} acts already")
    told = contest.last_comparison(store, sha)
    if told is None or told["champion"] != before:
        raise ValueError(
            f"{offered} was not compared with the model that acts; zansa retrain {store} --challenger does"
        )
    if not told["passed"] and not waive:
        raise ValueError(
            f"{offered} did not pass (record {told['number']}: {', '.join(told['reasons'])}); --waive lets it act all "
            "the same, with a reason that stays in the records"
        )
    spared = contest.waived(store, sha)
    missed = [contest.named(row) for row in contest.missed(store, contest.load(offered)) if row["id"] not in spared]
    if missed and not waive:
        raise ValueError(
            f"{offered} misses {len(missed)} confirmed escapes, found after it was compared: {', '.join(missed[:5])}; "
            "--waive lets it act all the same, with a reason that stays in the records"
        )
    waived = bool(missed) or not told["passed"]
    detail = {"model": name, "sha": sha, "before": before, "gate": told["number"], "waived": waived}
    return _changed(store, "promoting", "promoted", who, why, detail, activate=f"{name}={offered}")


def rollback(store: Path, model: str | None, who: str, why: str) -> str:
    """Let the version before act again, and a sentence on it. ValueError where there is none."""
    name, file = contest.acting(store, model)
    detail = {"model": name, "before": contest.sha_of(file)}
    begun = _open(store, name)
    if begun and begun["kind"] == "rolling back" and begun["before"] != detail["before"]:
        return _closed(store, name, "rolling back", "rolled back", who, "")
    return _changed(store, "rolling back", "rolled back", who, why, detail, rollback=name)


def _open(store: Path, model: str) -> dict[str, Any] | None:
    """The last change of a model that was begun, where no record says what became of it: the command was killed."""
    begun = [row for row in chain.records(store) if row.get("model") == model and row["kind"] in BEGUN]
    ended = {row.get("of") for row in chain.records(store)}
    return begun[-1] if begun and begun[-1]["number"] not in ended else None


def _closed(store: Path, model: str, begun: str, done: str, who: str, otherwise: str) -> str:
    """Record the end of a change that was made and whose command was killed before it could say so, and a sentence on
    it. ValueError with the words `otherwise` where there is none."""
    first = _open(store, model)
    if first is None or first["kind"] != begun:
        raise ValueError(otherwise)
    _, file = contest.acting(store, model)
    acting, version = contest.sha_of(file), int(file.parent.name)
    why = "the change was made; its command ended before it could record that"
    last = chain.append(store, done, who, why, of=first["number"], acting=acting, version=version)
    return f"version {version} ({acting[:8]}) acts already; record {last['number']}, hash {last['hash'][:16]}"


def _changed(
    store: Path,
    begun: str,
    done: str,
    who: str,
    why: str,
    detail: dict[str, Any],
    activate: str | None = None,
    rollback: str | None = None,
) -> str:
    """Record the wish, make the change, record what became of it: whenever this is killed, the records tell."""
    first = chain.append(store, begun, who, why, **detail)
    try:
        text = serving.change(store, activate, rollback)
    except ValueError as error:
        chain.append(store, "refused", who, str(error), of=first["number"])
        raise
    _, file = contest.acting(store, detail["model"])
    last = chain.append(
        store, done, who, why, of=first["number"], acting=contest.sha_of(file), version=int(file.parent.name)
    )
    return f"{text}; record {last['number']}, hash {last['hash'][:16]}"


def checked(store: Path) -> dict[str, Any]:
    """The records, and the first one that is not as it was written."""
    stored.opened(store).close()
    return chain.check(store)


def written(store: Path, decision: dict[str, Any] | None, comparison: dict[str, Any] | None, language: str) -> Path:
    """The change report STORE/change-LANGUAGE.html: decision, the comparison or the last one that is recorded, and
    records."""
    told = chain.check(store)
    old = [row for row in told["records"] if row["kind"] == "compared" and row.keys() >= set(KEPT)]
    shown = comparison or (old[-1] if old else None)
    record = {"store": str(store), "decision": decision, "chain": told}
    record["comparison"] = None if shown is None else contest.pictured(NO_CHOICES | shown)
    return write_atomic(store / f"change-{language}.html", page.html(record, language).encode())
