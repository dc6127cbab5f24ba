"""Every sentence of the depth page, by a short name; its Japanese stands in phrases/japanese/depth.py."""

from ..phrases import phrase, say

WORDS = {
    "title": phrase("Depth seen as time"),
    "stages": phrase("Verdict on each stage"),
    "blocks": phrase("Block by block"),
    "made": phrase("What was made of it"),
    "curves": phrase("Accuracy against the number of blocks"),
    "what": phrase(
        "A residual block adds a little to the stream, as a step of a solver adds a little to the state of a "
        "flow. Where neighbouring blocks add nearly the same, depth is time: steps can be taken longer, "
        "shorter or back. Everything here was measured on {count} samples."
    ),
    "smooth": phrase(
        "Stage {stage} is smooth: its {blocks} blocks are steps along one flow. Averaging, tying and "
        "projecting them is safe (a double step along every second block changes what the stage does by "
        "{doubled})."
    ),
    "paired": phrase(
        "Stage {stage} comes in pairs: each two blocks from the first on add nearly the same, so that a double "
        "step can stand for them (that changes what the stage does by {doubled}); blocks of different pairs are "
        "unlike."
    ),
    "commuting": phrase(
        "Stage {stage} is rough but commuting: neighbours add different things, but hardly listen to each "
        "other. They can run side by side (that changes what the stage does by {beside}), and should not be "
        "averaged, because they are unlike (a double step along every second block changes it by {doubled})."
    ),
    "neither": phrase(
        "Stage {stage} is neither smooth nor commuting: each block builds on the one before it. Leave its "
        "blocks alone, or train after every change (side by side changes what the stage does by {beside}, a "
        "double step along every second block by {doubled})."
    ),
    "short": phrase("Stage {stage} has no two blocks that could be compared."),
    "is_smooth": phrase("Stage {stages}: smooth. Neighbours can be averaged."),
    "is_paired": phrase("Stage {stages}: blocks come in pairs. A double step can stand for each pair."),
    "is_commuting": phrase("Stage {stages}: rough but commuting. Neighbours can run side by side."),
    "is_neither": phrase("Stage {stages}: neither smooth nor commuting. Blocks are best left alone."),
    "is_short": phrase("Stage {stages}: there are no two blocks to compare."),
    "invertible": phrase(
        "The way back through it is exact to {inversion}, so it can be trained without stored activations."
    ),
    "not_invertible": phrase("The way back through it is wrong by {inversion}: it needs stored activations."),
    "no_way_back": phrase(
        "It cannot be followed backwards, because an activation after each sum loses what was below zero."
    ),
    "legend": phrase(
        "size: share of the stream that the block changes, which is what deleting it costs. Next differs: how"
        " much what the next block adds differs from what this one adds, for the same input (0: equal, about "
        "1.4: unrelated). Listens: how far this block changes what the next one adds (small: the two can run "
        "side by side). Weights: distance of the weights from the next block's (about 1.4: independent; it "
        "means something only between blocks of one descent). Truncation: the error of one step against two "
        "half steps. Double: the error of one double step in place of this block and the next. Back: the "
        "error of the step backwards."
    ),
    "shortened": phrase(
        "From {before} blocks to {after}, without training; accuracy on validation samples went from {first} "
        "to {last}. Statistics of norms were taken anew after every edit."
    ),
    "refined": phrase("Every step was split into two of half the length: from {before} blocks to {after}."),
    "healed": phrase("Then it was trained (epochs: {epochs})."),
    "curve_note": phrase(
        "Each way alone, on validation samples. Milliseconds are those of the network in torch, one sample on"
        " one thread pool; the report has those of the exported file."
    ),
}
COLUMNS = {
    "at": phrase("block"),
    "stage": phrase("stage"),
    "way": phrase("edit"),
    "changed": phrase("foretold change"),
    "loss": phrase("loss"),
    "accuracy": phrase("accuracy"),
    "blocks": phrase("blocks"),
    "depth": phrase("layers"),
    "macs": phrase("multiply-adds"),
    "ms": phrase("ms"),
    "scalar": phrase("scalar"),
    "size": phrase("size of the step"),
    "size_times": phrase("size × blocks"),
    "apart": phrase("next differs"),
    "commutes": phrase("listens"),
    "weights": phrase("weights"),
    "truncation": phrase("truncation"),
    "doubling": phrase("double"),
    "inversion": phrase("back"),
}
WAYS = {
    "delete": phrase("deleted"),
    "average": phrase("averaged with the next"),
    "tie": phrase("tied with the next"),
    "project": phrase("stage projected to fewer steps"),
    "parallel": phrase("runs beside the next, folded into one"),
}


def told(key: str, **values: object) -> str:
    """A sentence of WORDS in the language that is spoken, with its figures."""
    return say(WORDS[key], **values)
