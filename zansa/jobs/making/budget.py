"""What a network may cost, resolved from the request."""

from ...arch.budget import Budget, parse
from ...arch.spec import Net
from ...deploy.clock.timing import Timer, timer
from ...learn.data.cache import default_folder
from ...learn.data.dataset import Dataset
from ...learn.grow.moves import Price
from ...learn.grow.policy import HEALING, Plan
from ...learn.grow.resbuilder.values import Plan as Runs
from ...learn.grow.resbuilder.values import Switches
from ...learn.grow.start import pricing
from ..request import Request, free


def plan_of(request: Request, quantum: int = 1) -> Plan:
    """When the network of a request changes."""
    return Plan(quantum=quantum) if free(request) else Plan(quantum=quantum, end=HEALING)


def published(request: Request) -> tuple[int, Switches, Runs]:
    """Multiply-adds, mended faults and length of a search by ResBuilder."""
    budget, *others = parse(request.budget or "")
    if others:
        raise ValueError(f"resbuilder was asked for {request.budget}; allowed: one budget, it begins anew for another")
    if budget.unit != "macs":
        raise ValueError(f"resbuilder was asked for {budget}; allowed: macs, the only price that it knows")
    if request.weights is not None and not {"all", "kept_weights"} & set(request.mend):
        raise ValueError(
            "resbuilder as published begins every cycle with fresh weights, so those of --from would be lost; name the "
            "shape with --net, or mend the fault kept_weights"
        )
    mended = Switches.model_fields if request.mend == ("all",) else request.mend
    unknown = sorted(set(mended) - Switches.model_fields.keys())
    if unknown:
        known = ", ".join(Switches.model_fields)
        raise ValueError(f"resbuilder has no fault {', '.join(unknown)} to mend; allowed: all, or some of {known}")
    runs = Runs(epochs=request.recipe["epochs"]) if "epochs" in request.recipe else Runs()
    return int(budget.limit), Switches(**dict.fromkeys(mended, True)), runs


def price_of(budget: Budget, data: Dataset, net: Net) -> tuple[Price, int]:
    """What tells the price of networks like this one in the unit of a budget, and in which lots channels are worth
    having: for milliseconds, both as this machine has been measured."""
    return pricing(budget.unit, net, clock_of(data) if budget.unit == "ms" else None)


def clock_of(data: Dataset) -> Timer:
    """What tells milliseconds of networks for these data, from their parts."""
    return timer(default_folder(), data.preprocess)
