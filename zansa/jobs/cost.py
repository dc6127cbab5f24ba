"""The verb `cost`: what a network costs, without building it."""

from ..arch.cost import Cost
from ..arch.cost import cost as cost_of
from ..arch.zoo import read


def cost(spec: str, batch: int = 1) -> Cost:
    """The cost of a network of the zoo, of a spec.json, or of a run's folder, for a batch of so many samples."""
    return cost_of(read(spec), batch)
