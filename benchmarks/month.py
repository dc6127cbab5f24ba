"""A month of a line, with real processes: dirt on the lens from day 12, a new kind of defect from day 20, people who
miss one defect in five, learning again, the change and the way back; and what happens is killed at ten places.

    python benchmarks/month.py OUT [--short]

Nothing stands in for zansa: `zansa train`, `serve`, `watch`, `review` and `retrain` are processes of their own, parts
come by HTTP with their lots and moments. The parts are drawn discs of 32 x 32 points. Prints what was seen, and writes
OUT/month.json; the exit code is 1 where something that must hold does not.
"""

import argparse
import csv
import io
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
from PIL import Image

from zansa.deploy.runtime import judged, predictor
from zansa.deploy.serve import stored
from zansa.deploy.watch import chain
from zansa.deploy.watch.queue import verdicts

SIZE = 32
START = datetime(2026, 11, 1, 6, tzinfo=UTC)
CLEANED_AFTER = 1  # days from a warning to the cleaning
BLIND = 0.2  # share of the defects that the reviewer takes for good
OLD = {"good": 0.9, "scratch": 0.05, "hole": 0.05}
WAYS = ((), (), ("--finetune",))  # how it is learned again, one after the other; between them others read again
# few pictures need many steps; the camera stands still over the middle of each part, so that little moves
RECIPE = ("--batch", 32, "--augment", "shift=0.06,zoom=0.05,rotate=0,shear=0,contrast=0.2,brightness=0.1")
FAINT, FEW = 0.15, 2  # confirmed escapes that a person lets go by name: a share of them at most, or so many
WITH_NEW = {"good": 0.7, "scratch": 0.05, "hole": 0.05, "burr": 0.2}
CLAIM = "recall>=0.9 at false_alarms<=0.1"
TOLD = (  # of a comparison
    *("passed", "reasons", "parts", "counts", "line_by", "rule", "escapes", "escapes_learned", "escapes_missed"),
    "again",
)


@dataclass(frozen=True)
class Story:
    """What happens, and when.

    days: of the story. dirt, new: the days on which dirt and a new kind of defect come. reviews: days between two
    reviews. lots: of a day. parts: of a lot. calm: lots of the calm time. looks: parts that are looked at in a review.
    and twice as many once a new kind was found. training: pictures that the first network learns from. epochs: of each
    training. kills: days on which the server is killed. margin: of the gate.
    """

    days: int = 30
    dirt: int = 12
    new: int = 20
    reviews: int = 5
    lots: int = 4
    parts: int = 20
    calm: int = 40
    looks: int = 240
    training: int = 900
    epochs: int = 25
    kills: tuple[int, ...] = (5, 13, 22)
    margin: float = 0.05


SHORT = Story(16, 7, 10, 3, 4, 16, 20, 160, 300, 40, (2, 8, 11), 0.15)


def part(rng: np.random.Generator, kind: str, shade: float, dirt: bool) -> np.ndarray:
    """A bright disc on a dark ground, good or with a defect; `shade` is that of its lot, dirt is on the lens."""
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE / 2 + rng.uniform(-1, 1, (2, 1, 1))
    far = np.hypot(y, x)
    levels = 40 + (110 + 3 * shade) / (1 + np.exp(2 * (far - 11))) + rng.normal(0, 6, (SIZE, SIZE))
    strength, angle = rng.uniform(25, 75), rng.uniform(0, 2 * np.pi)
    from_centre, along = rng.uniform(0, 7), rng.uniform(0, np.pi)
    dy, dx = y - from_centre * np.sin(angle), x - from_centre * np.cos(angle)
    if kind == "scratch":
        across, length = dx * np.sin(along) - dy * np.cos(along), dx * np.cos(along) + dy * np.sin(along)
        levels += strength * np.exp(-((across / 0.8) ** 2)) * (abs(length) < 6) * (far < 11)
    elif kind == "hole":
        levels -= 1.4 * strength / (1 + np.exp(4 * (np.hypot(dy, dx) - 1.8)))
    elif kind == "burr":
        levels += 1.4 * strength * np.exp(-(((y - 12 * np.sin(angle)) ** 2 + (x - 12 * np.cos(angle)) ** 2) / 5))
    if dirt:
        lens_y, lens_x = np.mgrid[:SIZE, :SIZE]
        levels *= 1 - 0.35 / (1 + np.exp(2 * (np.hypot(lens_y - 12, lens_x - 19) - 3)))
    return levels.clip(0, 255).astype(np.uint8)


def png(levels: np.ndarray) -> bytes:
    """An image file."""
    stream = io.BytesIO()
    Image.fromarray(levels).save(stream, "PNG")
    return stream.getvalue()


def training_set(folder: Path, count: int, rng: np.random.Generator) -> Path:
    """A folder of a class each, six tenths good."""
    for kind, share in (("good", 0.6), ("scratch", 0.2), ("hole", 0.2)):
        (folder / kind).mkdir(parents=True)
        for k in range(round(share * count)):
            (folder / kind / f"{k:04}.png").write_bytes(png(part(rng, kind, rng.normal(), dirt=False)))
    return folder


@dataclass
class Line:
    """A line with its server.

    out: the folder of everything. story: what happens. rng: what is drawn. server, port: who answers, and where.
    truth: what each part is, by its number. answered: parts whose answer came, and the numbers of their answers.
    dirty: whether dirt is on the lens. kills: what was killed, and what became of it. seen: what must hold, and did.
    """

    out: Path
    story: Story
    rng: np.random.Generator
    server: subprocess.Popen | None = None
    port: int = 0
    truth: dict[str, str] = field(default_factory=dict)
    answered: dict[str, int] = field(default_factory=dict)
    dirty: bool = False
    kills: list[str] = field(default_factory=list)
    seen: dict[str, Any] = field(default_factory=dict)

    @property
    def store(self) -> Path:
        """The folder of the store."""
        return self.out / "store"


def note(line: Line, name: str, told: Any, holds: bool = True) -> None:
    """Keep and print what was seen, and whether it is as it must be."""
    line.seen[name] = {"told": told, "holds": bool(holds)}
    print(f"{'' if holds else 'FAILED '}{name}: {told}", flush=True)


def command(*words: object) -> subprocess.CompletedProcess[str]:
    """A command of zansa, to its end. RuntimeError where it ends by a fault of its own."""
    made = subprocess.run(_words(words), capture_output=True, text=True, check=False)
    if made.returncode not in (0, 1) or "Traceback" in made.stderr:
        raise RuntimeError(f"zansa {' '.join(map(str, words))} ended with {made.returncode}:\n{made.stderr}")
    return made


def _words(words: Sequence[object]) -> list[str]:
    return [sys.executable, "-m", "zansa", *map(str, words)]


def killed(line: Line, what: str, when: Callable[[], bool], *words: object) -> None:
    """Begin a command, and kill it as soon as `when` holds."""
    with subprocess.Popen(_words(words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not when():
            time.sleep(0.002)
        ended = process.poll() is not None
        process.kill()
    _killed(line, what, "it had ended" if ended else "killed")


def _killed(line: Line, what: str, how: str) -> None:
    """After a kill nothing that was answered is lost, and no record is broken."""
    kept = {row["id"] for row in stored.rows(line.store, {})}
    told, broken = stored.check(line.store), chain.check(line.store)["broken"]
    lost = set(line.answered.values()) - kept
    holds = how == "killed" and not (lost or broken or told["missing"] or told["damaged"]) and told["sound"]
    line.kills.append(what)
    note(line, f"kill {len(line.kills)}, {what}", f"{how}; {len(lost)} answers lost; chain {broken or 'whole'}", holds)


def after(seconds: float) -> Callable[[], bool]:
    """Holds from so many seconds on."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end


def holds_text(path: Path, text: str) -> Callable[[], bool]:
    """Holds once a file is there and has a text."""
    return lambda: path.is_file() and text in path.read_text(errors="replace")


# ---- the line ------------------------------------------------------------------------------------------------------


def begin(line: Line, *models: object) -> None:
    """Start the server."""
    words = _words(["serve", *models, "--store", line.store, "--port", 0, "--json"])
    line.server = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    told = line.server.stdout.readline()
    line.port = int(json.loads(told)["address"].rsplit(":", 1)[1].strip("/"))


def end(line: Line) -> int:
    """Let the server end, and its exit code."""
    line.server.send_signal(signal.SIGTERM)
    return line.server.wait(30)


def kill_server(line: Line, what: str) -> None:
    """Kill the server, see what is left, and start it again."""
    line.server.kill()
    line.server.wait()
    _killed(line, f"the server {what}", "killed")
    begin(line)


def send(line: Line, number: str, lot: str, taken: datetime, image: bytes, waits: bool = True) -> dict[str, Any]:
    """Ask the server about a part, again where it did not answer; with `waits` false it is killed before it can."""
    asked = urlencode({"part": number, "lot": lot, "taken": taken.isoformat()})
    for _ in range(3):
        connection = HTTPConnection("127.0.0.1", line.port, timeout=30)
        with suppress(OSError, HTTPException):
            connection.request("POST", f"/predict?{asked}", image, {"Content-Type": "image/png"})
            if not waits:
                time.sleep(line.rng.uniform(0, 0.01))
                kill_server(line, f"with part {number} on its way")
                waits = True
                continue
            answer = json.loads(connection.getresponse().read())
            line.answered[number] = answer["id"]
            return answer
        connection.close()
    raise RuntimeError(f"part {number} was not answered")


def day(line: Line, number: int) -> None:
    """Make and judge the parts of a day; on some the server is killed at noon."""
    story = line.story
    lots, parts, kinds = story.lots, story.parts, WITH_NEW if number >= story.new else OLD
    for lot in range(lots):
        shade, name = line.rng.normal(), f"D{number:02}-{lot + 1}"
        for k in range(parts):
            kind = str(line.rng.choice(list(kinds), p=list(kinds.values())))
            line.truth[f"{name}-{k:02}"] = kind
            moment = START + timedelta(days=number - 1, hours=lot * 24 / lots, minutes=k)
            levels = part(line.rng, kind, shade, line.dirty)
            waits = not (number in story.kills and lot == lots // 2 and k == parts // 2)
            send(line, f"{name}-{k:02}", name, moment, png(levels), waits)


def watched(line: Line) -> tuple[list[str], list[str]]:
    """The open warnings, and the statistics in which the last lots differ though no warning is open."""
    told = json.loads(command("watch", line.store, "--json", "--calm", line.story.calm).stdout)
    open_ones = [f"{row['name']} since {row['since']['name']}" for row in told["charts"] if row["alarm"]]
    return open_ones, [row["name"] for row in told["windows"] if row["alarm"]]


def reviewed(line: Line, who: str, plan: bool = True, kill: bool = False) -> dict[str, Any]:
    """Choose parts, and let a person judge what waits, who takes one defect in five for good."""
    queue, judged = line.out / "queue.csv", line.out / "judged.csv"
    looks = line.story.looks * (2 if {row["verdict"] for row in verdicts(line.store)} & {"burr"} else 1)
    words = ("review", line.store, *(("--plan", looks) if plan else ()), "--out", queue, "--who", who)
    if kill:
        killed(line, "a plan of reviews", after(line.rng.uniform(0.7, 1.5)), *words)
    command(*words)
    with queue.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        kind = line.truth[row["part"]]
        row["verdict"] = "good" if line.rng.random() < BLIND else kind
    with judged.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0] if rows else ["answer", "verdict"])
        writer.writeheader()
        writer.writerows(rows)
    read = ("review", line.store, "--read", judged, "--who", who, "--json")
    if kill:
        killed(line, "verdicts that are read", after(line.rng.uniform(0.7, 1.5)), *read)
    return json.loads(command(*read).stdout)


def escaped(line: Line, version: int) -> int:
    """How many defects this version has accepted."""
    rows = [row for row in stored.rows(line.store, {"decision": "accept"}) if row["version"] == version]
    return sum(line.truth[row["part"]] != "good" for row in rows)


# ---- the month -----------------------------------------------------------------------------------------------------


def month(line: Line) -> None:
    """The whole story."""
    story, first = line.story, line.out / "runs" / "first"
    train = ["--out", line.out / "runs", "--name", "first", "--test", 0.25]
    parts = training_set(line.out / "parts", story.training, line.rng)
    command("train", parts, *train, "--epochs", story.epochs, *RECIPE)
    begin(line, f"part={first}")
    told: dict[str, int] = {}  # the day on which each thing was first told
    warned: dict[str, list[str]] = {}
    planted = ""
    for number in range(1, story.days + 1):
        if line.dirty and number > told.get("dirt", story.days) + CLEANED_AFTER:
            line.dirty = False
            cleaned = ("--who", "kato", "--reason", "the lens was cleaned", "--calm", story.calm)
            command("watch", line.store, "--acknowledge", "all", *cleaned)
        line.dirty = line.dirty or number == story.dirt
        day(line, number)
        planted = _escape(line, number) if number == story.new else planted
        if number == story.dirt:
            killed(line, "a watch", after(1.0), "watch", line.store)
        if number * story.lots <= story.calm or "decided" in told:
            continue
        phase = "calm" if number < story.dirt else "dirt" if line.dirty else "new" if number >= story.new else "cleaned"
        warned.setdefault(phase, [])
        if phase not in told:
            for name, rows in zip((phase, f"hint {phase}"), watched(line), strict=True):
                if rows and name not in told:
                    told[name], warned[name] = number, rows
        if number % story.reviews == 0:
            who = ("mori", "sato")[number // story.reviews % 2]
            found = reviewed(line, who, kill=story.dirt <= number < story.dirt + story.reviews)
            if number > story.new and decided(line)["do"] == "train":
                estimated(line, found)
                for more in WAYS:
                    if learned(line, first, more):
                        told["decided"] = number
                        break
                    for person in ("mori", "sato"):  # the other one reads again what the new network contradicts
                        reviewed(line, person, plan=False)
    alarms(line, told, warned)
    went_back(line, first, planted)
    note(line, "exit code of the server", end(line), line.server.returncode == 0)
    whole(line)


def alarms(line: Line, told: dict[str, int], warned: dict[str, list[str]]) -> None:
    """What was told when."""
    story = line.story
    note(line, "false warnings before the dirt", warned.get("calm", []), "calm" not in told)
    late = told["dirt"] - story.dirt if "dirt" in told else None
    note(line, "dirt told", f"{late} days after it came: {warned.get('dirt')}", late is not None and late <= 4)
    none = "not looked at: the new kind came before it"
    note(line, "warnings after the cleaning", warned.get("cleaned", none), "cleaned" not in told)
    seen = told["new"] - story.new if "new" in told else None
    note(line, "new kind told by the charts", f"{seen} days after it came: {warned.get('new')}")
    hinted = told["hint new"] - story.new if "hint new" in told else None
    note(line, "new kind hinted at by the last lots", f"{hinted} days after it came: {warned.get('hint new')}")
    note(line, "hints while all was calm", warned.get("hint calm", []))
    learned_at = told.get("decided", story.days) - story.new
    note(line, "new kind named by people, learned and promoted", f"{learned_at} days after it came", "decided" in told)


def decided(line: Line) -> dict[str, Any]:
    """Whether to learn again."""
    return json.loads(command("retrain", line.store, "--accept", CLAIM, "--json").stdout)["decision"]


def estimated(line: Line, found: dict[str, Any]) -> None:
    """What the reviews say of all accepted parts, beside the truth."""
    misses, true = found["estimates"]["misses"], escaped(line, 1)
    span = f"{misses['value']:.0f} ({misses['low']:.0f} to {misses['high']:.0f}) of {misses['of']}"
    note(line, "misses estimated", f"{span}; true: {true}", misses["low"] <= true <= misses["high"])
    for person in found["people"]:
        note(line, f"reviewer {person['who']}", person)


def learned(line: Line, first: Path, more: tuple[object, ...] = ()) -> bool:
    """Learn again, compare, and promote what passes, each killed once on its way; whether it acts. What fails is
    learned anew once others have read again what it contradicts. Where the confirmed escapes alone speak against it,
    and one in seven of them at most, a person looks at each and lets it go by its name, with a reason."""
    margin = ("--margin", line.story.margin)
    again = ("retrain", line.store, "--reference", first, "--accept", CLAIM, *margin, "--json", *more)
    run = line.store / "learn" / "1" / "run"
    if not run.exists():
        killed(line, "learning again, in its epochs", holds_text(run / "events.jsonl", '"epoch"'), *again)
        killed(line, "learning again, before the comparison", (run / "report.html").exists, *again)
        made = json.loads(command(*again).stdout)["comparison"]
        note(line, "one run was gone on with", made["run"], len(list((line.store / "learn").iterdir())) == 1)
    else:
        made = json.loads(command(*again).stdout)["comparison"]
    run = Path(made["run"])
    note(line, f"new network {run.parent.name}", {name: made[name] for name in TOLD})
    promote = ("retrain", line.store, "--promote", "--challenger", run, "--who", "kato", "--reason", "it knows burrs")
    if made["reasons"] == ["escapes"] and len(made["escapes_missed"]) <= max(FEW, FAINT * made["escapes"]):
        no = subprocess.run(_words(promote), capture_output=True, text=True, check=False)
        note(line, "promoted without a waiver", no.stderr.strip()[:200], no.returncode == 2)
        names = [word for each in made["escapes_missed"] for word in ("--waive-escape", each.split(" ")[0])]
        faint = ("--who", "kato", "--reason", "fainter than the limit sample")
        asked = ("retrain", line.store, "--challenger", run, "--accept", CLAIM, *margin, "--json", *names, *faint)
        made = json.loads(command(*asked).stdout)["comparison"]
        note(line, "escapes let go by name", made["escapes_waived"], made["passed"])
    if not made["passed"]:
        return False
    begun = holds_text(line.store / chain.FILE, '"kind":"promoting"')
    killed(line, "a promotion", begun, *promote)
    command(*promote)
    moment = START + timedelta(days=29)
    answer = send(line, "after", "after", moment, png(part(line.rng, "burr", 0, False)))
    line.truth["after"] = "burr"
    order = list(answer["probabilities"])
    note(line, "the new network acts", f"version {answer['version']}, classes {order}", answer["version"] == 2)
    kinds = [row["kind"] for row in chain.records(line.store) if row["kind"] in ("promoting", "promoted")]
    note(line, "records of the promotion", kinds, kinds.count("promoted") == 1)
    return True


def went_back(line: Line, first: Path, planted: str) -> None:
    """A customer sends an escape back; a network that misses it is refused; the way back works while the server is
    killed."""
    with (line.out / "complaint.csv").open("w") as file:
        file.write(f"answer,verdict\n{line.answered[planted]},{line.truth[planted]}\n")
    command("review", line.store, "--read", line.out / "complaint.csv", "--who", "customer")
    margin = ("--margin", line.story.margin)
    told = json.loads(command("retrain", line.store, "--challenger", first, *margin, "--json").stdout)
    refused = told["comparison"]
    note(line, "the first network again", refused["reasons"], "escapes" in refused["reasons"])
    known = planted in str(refused["escapes_missed"])
    note(line, "the planted escape is named", f"{planted}, of {refused['escapes']} confirmed ones", known)
    who = ("--who", "kato", "--reason", "too many false alarms")
    promote = _words(["retrain", line.store, "--promote", "--challenger", first, *who])
    no = subprocess.run(promote, capture_output=True, text=True, check=False)
    note(line, "its promotion", no.stderr.strip()[:200], no.returncode == 2 and "did not pass" in no.stderr)
    back = subprocess.Popen(_words(["retrain", line.store, "--rollback", *who]), stdout=subprocess.PIPE, text=True)
    wish = line.store / "models" / ".wish.json"
    while back.poll() is None and not wish.exists():
        time.sleep(0.002)
    kill_server(line, "within a rollback")
    note(line, "rollback", back.communicate()[0].strip(), back.returncode == 0)
    moment = START + timedelta(days=29, hours=1)
    answer = send(line, "last", "after", moment, png(part(line.rng, "good", 0, False)))
    line.truth["last"] = "good"
    note(line, "the first network acts", f"version {answer['version']}", answer["version"] == 1)


def _escape(line: Line, number: int) -> str:
    """A defect that the first network accepts, sent at the end of a day while it acts."""
    old = predictor(line.store / "models" / "part" / "1" / "model.onnx", threads=1)
    for k in range(1000):
        levels = part(line.rng, "burr", 0, False)
        if judged(old.probabilities([levels[..., None]])[0], old)["decision"] == "accept":
            line.truth[f"planted-{k}"] = "burr"
            moment = START + timedelta(days=number - 1, hours=23, minutes=50)
            send(line, f"planted-{k}", "planted", moment, png(levels))
            return f"planted-{k}"
    raise RuntimeError("the first network rejects every burr")


def whole(line: Line) -> None:
    """Every answer is there, every record is whole, and one changed byte is named."""
    rows = list(stored.rows(line.store, {}))
    twice = len(rows) - len({row["part"] for row in rows})
    note(line, "parts, answers, kept twice after a kill", [len(line.truth), len(rows), twice], len(line.kills) >= 10)
    file = line.store / chain.FILE
    content = file.read_bytes()
    lines = content.splitlines(keepends=True)
    place = len(lines[0]) + len(lines[1]) // 2
    file.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    told = command("retrain", line.store, "--chain").stdout.strip().splitlines()[-1]
    note(line, "one changed byte of record 2", told, "record 2 of" in told)
    file.write_bytes(content)
    told = command("retrain", line.store, "--chain").stdout.strip().splitlines()[-1]
    note(line, "the chain as it was", told, "all whole" in told)


def main() -> int:
    """Run the month."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("out", type=Path)
    asked.add_argument("--short", action="store_true", help="16 days of fewer parts")
    asked.add_argument("--seed", type=int, default=0)
    given = asked.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    line = Line(given.out, SHORT if given.short else Story(), np.random.default_rng(given.seed))
    began = time.monotonic()
    try:
        month(line)
    finally:
        if line.server is not None and line.server.poll() is None:
            line.server.kill()
        (given.out / "month.json").write_text(json.dumps(line.seen, indent=1, ensure_ascii=False, default=float))
    failed = [name for name, row in line.seen.items() if not row["holds"]]
    print(f"{time.monotonic() - began:.0f} s; {len(line.seen) - len(failed)} of {len(line.seen)} hold {failed or ''}")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
