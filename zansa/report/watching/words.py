"""The names of statistics, triggers and decisions, to be said in the reader's language."""

from ...phrases import phrase, say

STATISTICS = {
    "score": phrase("score"),
    "spread": phrase("spread of the score within a lot"),
    "rejected": phrase("share of rejected parts"),
    "margin": phrase("margin between two classes"),
    "entropy": phrase("doubt of the answer"),
    "mean": phrase("brightness"),
    "deviation": phrase("contrast"),
    "sharpness": phrase("sharpness"),
    "low": phrase("darkest level"),
    "high": phrase("brightest level"),
    "saturated": phrase("share of saturated points"),
    "tilt": phrase("brightness from top to bottom"),
    "disagrees": phrase("share on which the second network disagrees"),
    "residual": phrase("what the feature components leave over"),
    "neighbour": phrase("distance to the nearest parts of the calm time"),
    "place": phrase("median picture (dirt, shift)"),
}
WAYS = {
    "higher": phrase("higher than before"),
    "lower": phrase("lower than before"),
    "wider": phrase("more spread than before"),
    "": phrase("no direction"),
}
DO = {
    "train": phrase("learn again"),
    "line": phrase("move the line only"),
    "look": phrase("look at more parts first"),
    "clean": phrase("find and remove the cause first"),
    "nothing": phrase("do nothing"),
}
WHY = {
    "misses": phrase("more defects are missed than is accepted"),
    "misses not shown": phrase("it is not shown that few enough defects are missed"),
    "false_alarms": phrase("more good parts are rejected than is accepted"),
    "drift": phrase("a warning is open"),
    "calendar": phrase("the last look is a year ago"),
    "the gain does not pay": phrase("the gain does not pay"),
}
AGAINST = {
    "misses": phrase("it is not shown that it misses no more defects"),
    "false_alarms": phrase("it is not shown that it raises no more false alarms"),
    "escapes": phrase("it misses a confirmed escape that nobody has waived"),
    "cost": phrase("its expected cost is higher"),
}
LINE_BY = {
    "run": phrase("as the run asked for it"),
    "usual": phrase("by the usual rule; nobody asked for a line, and none was accepted"),
    "few": phrase("by the usual rule; there are too few good validation parts to draw it by what is accepted"),
    "accepted": phrase("by the false alarms that are accepted, since the run asked for no line"),
}
DEAD = {
    "the same picture again and again": phrase("the same picture again and again"),
    "pictures without anything in them": phrase("pictures without anything in them"),
}


def statistic(name: str) -> str:
    """A statistic's name as it is said."""
    if name.startswith("feature"):
        return say("feature component {number}", number=name.removeprefix("feature"))
    return say(STATISTICS.get(name, name))


def reason(name: str) -> str:
    """A trigger as it is said."""
    kind, _, new = name.partition("new class ")
    return say("people have named a new kind of defect: {name}", name=new) if new else say(WHY[kind])
