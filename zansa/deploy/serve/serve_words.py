"""Every sentence of the operators' page, by a short name that templates and the script use; they fill in the {places}.

The Japanese beside each stands in `zansa/phrases/japanese/serve.py`.
"""

from ...phrases import phrase, say, speaking

LANGUAGES = {"en": "English", "ja": "日本語"}
WORDS = {
    "title": phrase("Inspection"),
    "accept": phrase("OK"),
    "reject": phrase("NG"),
    "ask": phrase("CHECK"),
    "none": phrase("No part yet"),
    "class": phrase("Class"),
    "score": phrase("Score"),
    "line": phrase("Line"),
    "no_line": phrase("no line"),
    "model": phrase("Model"),
    "version": phrase("version"),
    "part": phrase("Part"),
    "since": phrase("last part {seconds} s ago"),
    "quiet": phrase("No part for {seconds} s"),
    "lost": phrase("Connection lost – results are not shown"),
    "not_ready": phrase("Not ready: {reason}"),
    "shift": phrase("This shift, since {time}"),
    "parts": phrase("Parts"),
    "accepted": phrase("OK"),
    "rejected": phrase("NG"),
    "asked": phrase("To check"),
    "false_alarms": phrase("Confirmed false alarms"),
    "misses": phrase("Confirmed misses"),
    "heat": phrase("Heat map"),
    "for_defect": phrase("for NG"),
    "against_defect": phrase("for OK"),
    "for_class": phrase("for the class"),
    "against_class": phrase("against it"),
    "last_parts": phrase("Last parts"),
    "doubtful": phrase("Parts to check"),
    "open_queue": phrase("Parts to check: {count}"),
    "queue_empty": phrase("Nothing to check"),
    "what_is_it": phrase("What is this part?"),
    "cannot_tell": phrase("Cannot tell"),
    "unusable": phrase("Picture unusable"),
    "new_kind": phrase("New kind"),
    "name_it": phrase("What is this new kind of defect called?"),
    "limits": phrase("Limit samples"),
    "acceptable": phrase("{kind}: just acceptable"),
    "defect": phrase("{kind}: just a defect"),
    "no_limit": phrase("No sample yet"),
    "one_kind": phrase("Larger, kind by kind"),
    "mark": phrase("Make it a limit sample"),
    "next": phrase("Next"),
    "undo": phrase("Undo"),
    "close": phrase("Close"),
    "space": phrase("Space"),
    "model_said": phrase("You: {verdict}. The model said: {answer}"),
    "undone": phrase("Taken back"),
    "golden": phrase("Golden images"),
    "run_golden": phrase("Run golden images"),
    "golden_running": phrase("Running…"),
    "golden_passed": phrase("{passed} of {count} as expected"),
    "golden_wrong": phrase("Not as expected: {names}"),
    "golden_none": phrase("No golden images (start with --golden)"),
    "golden_never": phrase("Not run in this shift"),
    "inspect": phrase("Inspect a picture"),
    "choose": phrase("Choose pictures"),
    "camera": phrase("Camera"),
    "take": phrase("Take a picture"),
    "no_camera": phrase("A browser lets a page use the camera only over https or on the machine itself"),
    "camera_failed": phrase("The camera cannot be used: {reason}"),
    "refused": phrase("Not answered: {reason}"),
    "who": phrase("Inspector"),
    "key": phrase("Key"),
    "log_in": phrase("Log in"),
    "wrong_key": phrase("This key is not known"),
}


def words(language: str) -> dict[str, str]:
    """All sentences in one language."""
    with speaking(language):
        return {key: say(english) for key, english in WORDS.items()}
