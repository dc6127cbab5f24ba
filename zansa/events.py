"""What happens in a job, as dictionaries: every kind of event is declared here, with its keys.

Events are shown on the screen; those of a run are kept as lines of its events.jsonl, and edits as lines of edits.jsonl.
"""

from typing import Any

Event = dict[str, Any]

# kind: the keys that it always has, and those that it may have
KINDS: dict[str, tuple[str, str]] = {
    # the data are read; a sentence that warns, tells a decision, or names what begins now
    "read": ("done total", ""),
    "warning": ("text", "nothing"),
    "note": ("text", ""),
    "stage": ("text", ""),
    # a run has its folder: what the first network is and costs
    "run": ("path net cost epochs", ""),
    # a training begins or goes on; `journal` holds the edits so far
    "start": ("step steps", "per_epoch journal precision layout device threads processes run runs"),
    "resumed": ("step steps", "per_epoch journal precision layout device threads processes run runs"),
    # nothing was learned so far: the training begins again, at a safer rate
    "again": ("text step level chance", ""),
    # one rival of a race has made a step; the race has its winner
    "trial": ("name done total steps macs step", ""),
    "raced": ("name net table learned race_seconds", ""),
    # the network has changed
    "edit": (
        "step edit progress move gain error spent price_before price_after moments allowance limit unit macs params "
        "val_loss seed structure last reason",
        "val_accuracy val_balanced_accuracy",
    ),
    # a trained network has fewer or more blocks
    "shorten": ("way edit changed loss accuracy blocks macs params depth", ""),
    # a step, an epoch, one training of a search by ResBuilder, and the whole training are done
    "step": ("step steps loss", "run"),
    "epoch": (
        "epoch epochs progress rate loss val_loss val_accuracy val_balanced_accuracy best last seconds "
        "images_per_second",
        "val_tempered val_error run",
    ),
    "trained": ("step steps run runs final work net macs params val_loss val_accuracy claimed decided_by", ""),
    "done": ("step steps", "best journal run runs work net macs params val_loss val_accuracy claimed decided_by"),
    # the training was interrupted, or cannot go on; the job has ended
    "stopped": ("", ""),
    "failed": ("text", ""),
    "finished": ("run metrics", ""),
}


def event(kind: str, values: Event | None = None, /, **more: Any) -> Event:
    """An event of a kind, with the keys that are declared for it."""
    made = {"event": kind, **(values or {}), **more}
    always, sometimes = (set(keys.split()) for keys in KINDS[kind])
    given = made.keys() - {"event"}
    assert always <= given <= always | sometimes, (kind, always - given, given - always - sometimes)
    return made
