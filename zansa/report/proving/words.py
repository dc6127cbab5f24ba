"""Every sentence of these pages, by a short name; {0}, {1}, ... are places for values. The Japanese stands in
phrases/japanese/proving.py."""

from ...phrases import phrase

SAID: dict[str, str] = {
    # --- plan
    "plan.title": phrase("Plan of a proof"),
    "plan.passed": phrase("The claim {0} can be shown with the test {1} that are there{2}."),
    "plan.could": phrase(
        "The test {1} that are there suffice for {0} if hardly any is mistaken; how good the model will be is not "
        "known."
    ),
    "plan.failed": phrase("The claim {0} cannot be shown yet{2}."),
    "plan.chance": phrase(": a model as good as expected passes with a chance of {0}"),
    "plan.next": phrase("Next: {0}."),
    "plan.needs": phrase("What it takes to show the claim"),
    "plan.needs.lead": phrase(
        "The claim is shown when the exact one-sided test of each of its numbers passes at {0} confidence. Counts "
        "are of {1} of the test part, which nothing else may look at."
    ),
    "plan.needs.mixed": phrase("{0} of these parts show good and defective images, and count as defective."),
    "plan.needs.single": phrase(
        "Nearly all images stand in groups of several classes, so images are counted one by one, as if those of one "
        "group knew nothing of each other."
    ),
    "plan.kind": phrase("kind of part"),
    "plan.there": phrase("there are"),
    "plan.least": phrase("needed, without a mistake"),
    "plan.power": phrase("needed, to pass with {0}"),
    "plan.up_to": phrase("{0} with up to {1} mistakes"),
    "plan.if": phrase(", if mistakes are {0} of those claimed"),
    "plan.now": phrase("can be claimed today"),
    "plan.chance.now": phrase("chance to pass today"),
    "plan.good": phrase("good"),
    "plan.defective": phrase("defective, all kinds"),
    "plan.recall": phrase("detection ≥ {0}"),
    "plan.false_alarms": phrase("false alarms ≤ {0}"),
    "plan.none": phrase("no number shows it"),
    "plan.enough": phrase("{0} are enough"),
    "plan.loosen": phrase("{0} mistakes are expected and {1} are claimed: loosen the claim, or make the model better"),
    "plan.near": phrase("the model is too near to the claim for any number of them: loosen the claim"),
    "plan.collect": phrase("collect {0} more"),
    "plan.or_claim": phrase(", or claim {0}"),
    "plan.expected.run": phrase(
        "Expected is what a trained run did on validation parts, at lines for this claim that others of them chose, "
        "plus one standard error: {0}."
    ),
    "plan.expected.curve": phrase(
        "Expected is what the small trainings did on validation parts, plus one standard error: {0}. The whole "
        "training is usually better: plan again with --like RUN after it."
    ),
    "plan.expected.nothing": phrase(
        "Nothing is known of the model yet: numbers are given for a half, a third and a tenth of the claimed mistakes."
    ),
    "plan.seen": phrase("{0} of {1} {2} mistaken"),
    "plan.curve": phrase("What more data would bring"),
    "plan.curve.lead": phrase(
        "Each point is {0} of {1} of the length, on nested shares of the training data. The error is the mean of "
        "the miss rate and the false-alarm rate on validation parts, where a part is rejected when it is more "
        "likely defective than not."
    ),
    "plan.curve.trainings": phrase("{0} trainings"),
    "plan.curve.size": phrase("training {0}"),
    "plan.curve.error": phrase("error"),
    "plan.curve.ahead": phrase("With {0} times the data: {1} (range {2} to {3}); now {4}."),
    "plan.curve.flat": phrase("More of the same data does not help: the error does not fall with it."),
    "plan.curve.hint": phrase(
        "The range is that of 72 measured curves; nothing is foretold beyond four times the data (extrapolation)."
    ),
    "plan.left_out": phrase("Left out: {0}."),
    "plan.time": phrase("Time, memory and energy"),
    "plan.time.lead": phrase(
        "Foretold from a probe of a few steps on this machine; it does all else that a training does."
    ),
    "plan.time.busy": phrase("Others use this machine now: on a quiet one it takes about {0}."),
    "plan.time.work": phrase("work to be done"),
    "plan.time.now": phrase("time"),
    "plan.time.cpu": phrase("processor time"),
    "plan.time.memory": phrase("memory"),
    "plan.time.kwh": phrase("energy"),
    "plan.time.train": phrase("training (zansa train)"),
    "plan.time.grow": phrase("search (zansa grow)"),
    "plan.time.held": phrase("A process that answers with the exported file holds about {0} of memory."),
    "plan.time.running": phrase("Running: about {0} for one on this machine, that is {1} {2} a second."),
    "plan.time.million": phrase("A million of them take about {0}."),
    "plan.power.given": phrase("Energy is that of {0} W, as given."),
    "plan.power.measured": phrase("Energy is measured: {0} W."),
    "plan.power.estimate": phrase("Energy is an estimate from {0} W, to a factor of 2; --watts gives the true power."),
    "plan.money": phrase("Does it pay?"),
    "plan.money.pays": phrase(
        "It pays: a year saves {0} ({1} to {2}), and the investment of {3} is back after {4} years ({5} to {6})."
    ),
    "plan.money.late": phrase(
        "It does not pay within {7} years: a year saves {0} ({1} to {2}), and the investment of {3} is back after "
        "{4} years ({5} to {6})."
    ),
    "plan.money.never": phrase(
        "It does not pay: a year costs {0} more ({1} to {2}), so the investment of {3} never comes back."
    ),
    "plan.money.row": phrase("a year"),
    "plan.money.today": phrase("today"),
    "plan.money.proposed": phrase("proposed"),
    "plan.money.difference": phrase("saved"),
    "plan.money.misses": phrase("loss by missed defects"),
    "plan.money.false_alarms": phrase("cost of false alarms"),
    "plan.money.asked": phrase("asked of a person"),
    "plan.money.labour": phrase("labour"),
    "plan.money.energy": phrase("electricity"),
    "plan.money.maintenance": phrase("maintenance"),
    "plan.money.retraining": phrase("retraining"),
    "plan.money.total": phrase("total"),
    "plan.money.ranges": phrase(
        "Each figure is likely (low to high), in {0}, prices of {1}; the range of the saving is that of all "
        "prices at their best and at their worst."
    ),
    "plan.money.even.miss": phrase("Break-even within {0} years: a missed defect that costs {1}."),
    "plan.money.even.parts": phrase("Break-even within {0} years: {1} parts a year."),
    "plan.money.decides": phrase("What decides: {0}."),
    "plan.money.rates": phrase("The model misses {0} of defective parts and rejects {1} of good ones."),
    "plan.footer": phrase(
        "Made by zansa. Exact limits: Clopper and Pearson 1934; both numbers of a claim are shown at the same "
        "confidence (intersection-union test)."
    ),
    # --- compare
    "compare.title": phrase("Comparison"),
    "compare.take": phrase("Take {0}: of {1} within one standard error of the lowest cost it is the fastest."),
    "compare.only": phrase("Take {0}: no other is within one standard error of its cost."),
    "compare.candidates": phrase("{0} candidates"),
    "compare.second": phrase("The runner-up is {0}."),
    "compare.best": phrase(
        "{0} has the lowest cost, but its lead is within chance: with more parts it may be the one to take."
    ),
    "compare.offer": phrase(
        "{0} was as good on validation from {1} on ({2} of {3} at its end): a growth to {1} may do as well. A "
        "budget is a limit, not a wish."
    ),
    "compare.figures": phrase("Side by side"),
    "compare.lead": phrase("Decided on {0} validation {1}. The cost is {2}."),
    "compare.cost.balanced": phrase("the share of wrong decisions, with good and defective weighing the same"),
    "compare.cost.priced": phrase("the expected cost of one part"),
    "compare.name": phrase("candidate"),
    "compare.intervals": phrase("Intervals: {0} confidence, exact."),
    "compare.cost": phrase("cost"),
    "compare.detection": phrase("detection, validation"),
    "compare.false_alarms": phrase("false alarms, validation"),
    "compare.detection.test": phrase("detection, test"),
    "compare.false_alarms.test": phrase("false alarms, test"),
    "compare.accuracy": phrase("balanced accuracy, validation"),
    "compare.ms": phrase("time for one"),
    "compare.macs": phrase("multiply-adds"),
    "compare.params": phrase("parameters"),
    "compare.bytes": phrase("file"),
    "compare.seconds": phrase("training time"),
    "compare.front": phrase("beaten by none"),
    "compare.yes": phrase("yes"),
    "compare.no": phrase("no"),
    "compare.differences": phrase("Is the difference real?"),
    "compare.against": phrase(
        "Each against {0}, which has the lowest cost. Tests flip the signs of whole parts; p-values are corrected "
        "for their number (Holm)."
    ),
    "compare.difference": phrase("costs more by"),
    "compare.p": phrase("p"),
    "compare.real": phrase("real"),
    "compare.differ": phrase("parts that differ"),
    "compare.not_worse": phrase("not worse within {0} of parts"),
    "compare.few": phrase("Where fewer than 20 parts differ, a difference of the usual size cannot be seen."),
    "compare.picture": phrase("Cost of mistakes and time"),
    "compare.picture.hint": phrase("Numbers are the rows of the table. Filled: beaten by none. Ringed: recommended."),
    "compare.footer": phrase(
        "Made by zansa. Intervals are exact; the rule is that of one standard error (Breiman et al. 1984), paired "
        "and by part."
    ),
    "compare.lead.test": phrase(" Figures on test {0} are shown and decide nothing."),
    # --- poc
    "poc.pass": phrase("{0} is shown on test parts that nothing had looked at."),
    "poc.conditional": phrase(
        "Test parts speak for {0}, but not enough of them, or a gate was overridden; the stages say which."
    ),
    "poc.fail": phrase("{0} is not shown."),
    "poc.open": phrase("{0} was not put to the test."),
    "poc.gate": phrase("The gate of the stage “{0}” failed: {1}."),
    "poc.stage": phrase("stage of the proof"),
    "poc.took": phrase("time of the last call"),
    "poc.gate.head": phrase("gate of the stage"),
    "poc.found": phrase("what was found"),
    "poc.gate.passed": phrase("gate passed"),
    "poc.gate.failed": phrase("gate failed"),
    "poc.gate.overridden": phrase("gate failed, and overridden"),
    "poc.not_done": phrase("not done"),
    "poc.stages": phrase("Stages and gates"),
    "poc.stage.check": phrase("data"),
    "poc.stage.plan": phrase("plan"),
    "poc.stage.baseline": phrase("baseline"),
    "poc.stage.grow": phrase("growth to the budget"),
    "poc.stage.compare": phrase("comparison"),
    "poc.stage.point": phrase("working point"),
    "poc.stage.export": phrase("exported file"),
    "poc.stage.accept": phrase("acceptance test"),
    "poc.figures": phrase("Acceptance"),
    "poc.figure": phrase("figure"),
    "poc.measured": phrase("on the test part, by part"),
    "poc.detection": phrase("detection rate"),
    "poc.false_alarms": phrase("false-alarm rate"),
    "poc.number": phrase("claimed"),
    "poc.number.recall": phrase("detection of defective parts"),
    "poc.number.false_alarms": phrase("false alarms of good parts"),
    "poc.mistakes": phrase("mistakes"),
    "poc.limit": phrase("confidence limit"),
    "poc.verdict": phrase("verdict"),
    "poc.shown": phrase("claim shown"),
    "poc.not_shown": phrase("claim not shown"),
    "poc.claim": phrase("The claim"),
    "poc.claim.lead": phrase("{0} ({3}), at {1} confidence; written down on {2}, before anything learned."),
    "poc.claim.data": phrase("Data SHA-256 {0}"),
    "poc.closed": phrase("No stage before the acceptance test chose a network or a line by test images."),
    "poc.signed": phrase("Signed"),
    "poc.approved": phrase("approved"),
    "poc.reviewed": phrase("reviewed"),
    "poc.prepared": phrase("prepared"),
    "poc.date": phrase("name, date"),
    "poc.footer": phrase("Made by zansa from the records in this folder; poc.yaml repeats the proof exactly."),
    "poc.why.check": phrase("{0} images; {1} findings, {2} of them to be mended before training"),
    "poc.why.series": phrase("{0} series; {1} pairs of copies stand in two parts of the data, {2} have two labels"),
    "poc.do.leaks": phrase("leave out one of {0} and {1}, which are the same, or give both one group"),
    "poc.do.labels": phrase("decide which label is right: {0} and {1} are the same"),
    "poc.why.unknown": phrase("how good a model will be is not known yet"),
    "poc.why.few": phrase("there are fewer test parts than the claim takes without any mistake"),
    "poc.why.chance": phrase("the chance to pass the test is {0}"),
    "poc.why.baseline": phrase("balanced accuracy on validation is at least {0}, and guessing has {1}"),
    "poc.do.baseline": phrase(
        "look through the labels, give larger images (--size), or collect more of the rare classes"
    ),
    "poc.why.grow": phrase("a network of {0} multiply-adds"),
    "poc.why.compare": phrase("{0} is recommended"),
    "poc.why.refused": phrase("there is no exported file: {0}"),
    "poc.why.export": phrase("file and network differ by {0} in a probability, at most"),
    "poc.why.no_file": phrase("there is no exported file to be tested"),
    "poc.why.shown": phrase("the claim is shown"),
    "poc.why.not_shown": phrase("the claim is not shown"),
    "poc.do.none.recall": phrase("collect defective test parts: there are none"),
    "poc.do.none.false_alarms": phrase("collect good test parts: there are none"),
    "poc.do.few.recall": phrase("collect more defective test parts: {0} missed of {1} do not yet show at most {2}"),
    "poc.do.few.false_alarms": phrase("collect more good test parts: {0} rejected of {1} do not yet show at most {2}"),
    "poc.do.worse.recall": phrase(
        "{0} of {1} defective parts are missed, and at most {2} were claimed: loosen the claim, or collect more "
        "defective parts to learn from"
    ),
    "poc.do.worse.false_alarms": phrase(
        "{0} of {1} good parts are rejected, and at most {2} were claimed: loosen the claim, or collect more good "
        "parts to learn from"
    ),
    "poc.title.of": phrase("Proof of concept: {0}"),
    "poc.decision.pass": phrase("Decision: ○ pass"),
    "poc.decision.conditional": phrase("Decision: △ conditional pass"),
    "poc.decision.fail": phrase("Decision: × fail"),
    "poc.decision.open": phrase("Decision: – not yet decided"),
    "poc.three": phrase("The three figures"),
    "poc.synthetic": phrase("synthetic images"),
    "poc.no_prices": phrase(
        "Nothing can be said of money: no prices were given. --costs costs.yaml writes a file to fill in."
    ),
    "poc.money.measured": phrase("Rates of the model: as measured in the acceptance test, with their intervals."),
    "poc.money.planned": phrase("Rates of the model: as planned; they were not measured yet."),
    "poc.limits": phrase("Limits of use and 4M changes"),
    "poc.limits.lead": phrase(
        "The figures hold for parts, camera, light and position as in these data ({0}), and for nothing else."
    ),
    "poc.limits.kinds": phrase(
        "Kinds of defects that are not listed here were never shown to it: nothing is known of how it judges them."
    ),
    "poc.limits.each": phrase("What was proven of each kind of defect, on test parts"),
    "poc.limits.watch": phrase(
        "zansa serve keeps every answer, and zansa watch tells when parts, light or camera have changed."
    ),
    "poc.kind": phrase("kind of defect"),
    "poc.change": phrase("4M"),
    "poc.change.what": phrase("what changes"),
    "poc.change.do": phrase("what to do then"),
    "poc.change.all": phrase("After a change the acceptance is open again"),
    "poc.change.man": phrase("man"),
    "poc.change.man.what": phrase("who places the parts, who labels, who judges what is shown to a person"),
    "poc.change.man.do": phrase("compare labels on limit samples (zansa review)"),
    "poc.change.machine": phrase("machine"),
    "poc.change.machine.what": phrase("camera, lens, light, computer, version of the software"),
    "poc.change.machine.do": phrase(
        "take known parts anew and judge them (zansa evaluate); on another computer also zansa bench"
    ),
    "poc.change.material": phrase("material"),
    "poc.change.material.what": phrase("supplier, surface, colour, a new product, a new kind of defect"),
    "poc.change.material.do": phrase("collect images of it, train again, prove again (zansa poc)"),
    "poc.change.method": phrase("method"),
    "poc.change.method.what": phrase("position, distance, cutting of the image, speed of the line, working point"),
    "poc.change.method.do": phrase("prove again on new test parts; for another working point zansa evaluate --point"),
    "poc.faults": phrase("Faults of the data"),
    "poc.faults.none": phrase("Nothing was found."),
    "poc.faults.series": phrase(
        "Series are looked at for copies and for double labels; what was found stands in the first stage."
    ),
    "poc.faults.what": phrase("finding"),
    "poc.faults.weight": phrase("weight"),
    "poc.faults.do": phrase("what to do"),
    "poc.faults.page": phrase("With pictures: {0}, beside this page."),
    "poc.severity.error": phrase("to be mended"),
    "poc.severity.warning": phrase("to be looked at"),
    "poc.severity.note": phrase("good to know"),
    "poc.versions": phrase("Versions and hashes"),
    "poc.versions.again": phrase(
        "poc.yaml holds all answers: zansa poc DATA --config poc.yaml does the same again, on the same data."
    ),
    "poc.hash.what": phrase("what"),
    "poc.hash.value": phrase("value"),
    "poc.hash.claim": phrase("claim, with confidence and data"),
    "poc.hash.data": phrase("data"),
    "poc.terms": phrase("Terms"),
    "poc.terms.word": phrase("term"),
    "poc.terms.ja": phrase("in Japanese"),
    "poc.terms.en": phrase("in English"),
    "poc.terms.meaning": phrase("meaning"),
    # --- unit
    "unit.part": phrase("individual parts"),
    "unit.image": phrase("images"),
    "unit.signal": phrase("signals"),
    "unit.sequence": phrase("sequences"),
    "unit.series": phrase("series"),
    # --- never
    "never": phrase("never"),
    "range": phrase("{0} to {1}"),
}
