"""The run's folder under kills, full disks and closed places; each is a real one."""

import json
import math
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from datetime import datetime
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

import zansa.record
from zansa.record import Run, environment, new_name, write_atomic

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def run(tmp_path):
    return Run.create(tmp_path / "runs", "tiles-1")


def hidden(run):
    return sorted(path.name for path in run.path.iterdir() if path.name.startswith("."))


@contextmanager
def files_up_to(size):
    """No file of this process can grow past `size` bytes: a full disk that also root feels."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def without_rights():
    """For root: be nobody for a while, since root may write anywhere."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


# ---- create and open -------------------------------------------------------------------------------------


def test_a_new_run_is_a_folder_with_its_environment(tmp_path):
    run = Run.create(tmp_path / "deep" / "runs", "tiles-1")
    assert run.path == tmp_path / "deep" / "runs" / "tiles-1"
    assert run.files() == ["environment.json"]
    assert run.read_json("environment.json")["python"] == environment()["python"]
    assert Run.open(run.path) == Run.open(str(run.path)) == run


def test_an_existing_run_is_not_written_over(run):
    with pytest.raises(ValueError, match=r"'tiles-1' exists already.*for example 'tiles-2', or resume"):
        Run.create(run.path.parent, "tiles-1")
    assert run.files() == ["environment.json"]


@pytest.mark.parametrize("name", ["", ".", "..", "../a", "a/b", "/a", "a\\b", ".hidden", "a\0b", "a\nb"])
def test_a_run_is_named_as_a_folder(tmp_path, name):
    with pytest.raises(ValueError, match="allowed is the name of a folder, not a path"):
        Run.create(tmp_path, name)
    assert list(tmp_path.iterdir()) == []


def test_a_name_too_long_is_explained(tmp_path):
    with pytest.raises(ValueError, match="name is too long: choose a shorter one"):
        Run.create(tmp_path, "a" * 300)


@pytest.mark.parametrize("name", ["tiles 1", "磁気タイル", "b..c"])
def test_odd_but_possible_names(tmp_path, name):
    assert Run.open(Run.create(tmp_path, name).path).path.name == name


def test_what_is_no_run_is_answered_with_the_runs_there(run):
    runs = run.path.parent
    with pytest.raises(ValueError, match=r"tiles-9: there is no such folder; runs in .*runs: tiles-1"):
        Run.open(runs / "tiles-9")
    with pytest.raises(ValueError, match=r"is no run: it has no environment.json and no spec.json; .*tiles-1"):
        Run.open(runs)
    with pytest.raises(ValueError, match="there is no such folder; there are no runs in"):
        Run.open(run.path / "environment.json")


def test_names_count_up(tmp_path):
    assert new_name(tmp_path / "none", "magnetic_tile") == "magnetic_tile-1"
    for name in ("magnetic_tile-1", "magnetic_tile-9", "magnetic_tile-x", "magnetic_tile2-30", "other-40"):
        (tmp_path / name).mkdir()
    assert new_name(tmp_path, "magnetic_tile") == "magnetic_tile-10"
    assert new_name(tmp_path, "other") == "other-41"
    Run.create(tmp_path, new_name(tmp_path, "[odd] name/.."))
    assert new_name(tmp_path, "[odd] name/..") == "odd_name-2"


@pytest.mark.parametrize(
    ("stem", "name"),
    [("", "run-1"), ("..", "run-1"), ("磁気", "磁気-1"), ("a\udcffb", "a_b-1"), ("s" * 300, "s" * 60 + "-1")],
)
def test_any_stem_makes_a_name(tmp_path, stem, name):
    assert new_name(tmp_path, stem) == name
    Run.create(tmp_path, name)


# ---- values ----------------------------------------------------------------------------------------------


def test_values_come_back_plain(run):
    value = {
        "f": np.float32(0.5),
        "i": np.int64(3),
        "b": np.bool_(True),
        "s": np.str_("hole"),
        "a": np.arange(4, dtype=np.uint8).reshape(2, 2),
        "t": (1, [2.5, None], {"k": np.float64(1e-300)}),
        "p": Path("data") / "tiles",
        7: "seven",
    }
    plain = {
        "f": 0.5,
        "i": 3,
        "b": True,
        "s": "hole",
        "a": [[0, 1], [2, 3]],
        "t": [1, [2.5, None], {"k": 1e-300}],
    }
    plain |= {"p": "data/tiles", "7": "seven"}
    run.write_json("data.json", value)
    run.append("events.jsonl", value)
    assert run.read_json("data.json") == plain
    assert run.lines("events.jsonl") == [plain]


def test_no_number_is_null_and_the_file_stays_json(run):
    values = [
        math.nan,
        math.inf,
        -math.inf,
        np.float32("nan"),
        np.array([1, np.nan]),
        {"loss": np.float64("inf")},
    ]
    path = run.write_json("metrics.json", values)
    strict = json.loads(path.read_text(), parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    assert strict == run.read_json("metrics.json") == [None, None, None, None, [1, None], {"loss": None}]


def test_all_text_comes_back(run):
    texts = ["残差", "line\nbreak\r\n", "\u2028\u2029\x85", "odd \udcff name", "\\udcff", '"', "\0", "🔍"]
    path = run.write_json("data.json", texts)
    for text in texts:
        run.append("events.jsonl", text)
    assert run.read_json("data.json") == run.lines("events.jsonl") == texts
    assert "残差" in path.read_text(encoding="utf-8")  # readable in an editor too


def test_what_has_no_json_is_refused_and_changes_nothing(run):
    run.write_json("data.json", 1)
    run.append("events.jsonl", 1)
    for write in (run.write_json, run.append):
        with pytest.raises(TypeError, match="not JSON serializable"):
            write("data.json" if write == run.write_json else "events.jsonl", {"x": object()})
    assert (run.read_json("data.json"), run.lines("events.jsonl"), hidden(run)) == (1, [1], [])


def test_a_file_is_replaced(run):
    assert run.write_bytes("model.onnx", b"old" * 100).read_bytes() == b"old" * 100
    assert run.write_bytes("model.onnx", b"new").read_bytes() == b"new"
    assert run.write_bytes("empty", b"").read_bytes() == b""
    assert run.files() == ["empty", "environment.json", "model.onnx"]


def test_who_reads_while_a_file_is_replaced_reads_the_old_one(run):
    path = run.write_bytes("model.onnx", b"old" * 10_000)
    with path.open("rb") as file:
        begin = file.read(3)
        run.write_bytes("model.onnx", b"new" * 10_000)
        assert begin + file.read() == b"old" * 10_000


def test_a_file_outside_of_a_run_is_written_alike(tmp_path):
    assert write_atomic(tmp_path / "card [1].md", b"text").read_bytes() == b"text"
    assert [path.name for path in tmp_path.iterdir()] == ["card [1].md"]
    with pytest.raises(ValueError, match=r"cannot write .*none.x.bin .*the folder is not there"):
        write_atomic(tmp_path / "none" / "x.bin", b"")


def test_files_are_as_readable_as_others(run, tmp_path):
    (tmp_path / "plain").write_text("")
    assert run.write_json("data.json", 1).stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_missing_file_is_answered_with_the_files_there(run):
    run.append("events.jsonl", 1)
    with pytest.raises(ValueError, match=r"has no metrics.json; it has: environment.json, events.jsonl$"):
        run.read_json("metrics.json")
    assert run.lines("edits.jsonl") == []


@pytest.mark.parametrize("damage", [b"", b'{"a": ', b"\xff\xfe", b"{} {}"])
def test_a_damaged_file_is_named(run, damage):
    run.write_bytes("data.json", damage)
    with pytest.raises(ValueError, match=r"data.json is damaged \(.*\): put a copy back, or start a new run"):
        run.read_json("data.json")


def test_a_damaged_line_is_named(run):
    run.write_bytes("events.jsonl", b"1\nbroken\n3\n")
    with pytest.raises(ValueError, match=r"events.jsonl, line 2, is damaged"):
        run.lines("events.jsonl")


# ---- kills -----------------------------------------------------------------------------------------------


def test_wherever_the_last_line_is_torn_it_is_passed_over_and_then_cut_off(run):
    values = [{"epoch": 1}, {"epoch": 2, "名": "残差"}, {"epoch": 3}]
    for value in values:
        run.append("events.jsonl", value)
    path = run.path / "events.jsonl"
    data = path.read_bytes()
    for size in range(len(data) + 1):
        path.write_bytes(data[:size])
        whole = values[: data[:size].count(b"\n")]
        assert run.lines("events.jsonl") == whole
        run.append("events.jsonl", "next")
        assert run.lines("events.jsonl") == [*whole, "next"]


def test_remnants_of_killed_writers_go_with_the_next_write_of_their_file(run):
    for name in (".model.onnx.0123abcd.tmp", ".model.onnx.4567cdef.tmp", ".model.onnx.data.0123abcd.tmp"):
        (run.path / name).write_bytes(b"half")
    run.write_bytes("data.json", b"1")
    assert len(hidden(run)) == 3
    run.write_bytes("model.onnx", b"whole")
    assert hidden(run) == [".model.onnx.data.0123abcd.tmp"]
    assert run.files() == ["data.json", "environment.json", "model.onnx"]


WRITER = """
import sys
from zansa.record import Run
run = Run.open(sys.argv[1])
n = len(run.lines("events.jsonl"))
while True:
    run.append("events.jsonl", {"n": n, "load": "x" * (n * 7919 % 30_000)})
    run.write_bytes("model.safetensors", bytes([n % 256]) * 16_000_000)
    run.write_json("metrics.json", {"n": n, "load": [n] * 1000})
    print(n, flush=True)
    n += 1
"""


def check_whole(run):
    """No file is torn; returns how many lines there are."""
    lines, found = run.lines("events.jsonl"), run.read_json("metrics.json")
    assert [line["n"] for line in lines] == list(range(len(lines)))
    assert all(len(line["load"]) == line["n"] * 7919 % 30_000 for line in lines)
    assert found["load"] == [found["n"]] * 1000
    data = (run.path / "model.safetensors").read_bytes()
    assert data == data[:1] * 16_000_000
    return len(lines)


def write_until_killed(run, seconds):
    """The last number that a writing process had put on the disk before SIGKILL; reads all the while."""
    command = [sys.executable, "-c", WRITER, str(run.path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        said = [process.stdout.readline()]
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            check_whole(run)
        process.kill()
        said += process.stdout.readlines()
    assert process.returncode == -9, "the writer ended by itself"
    return int([line for line in said if line.endswith("\n")][-1])


def test_a_killed_writer_loses_nothing_that_it_had_written(run):
    chance = random.Random(0)
    for _ in range(5):
        last = write_until_killed(run, chance.uniform(0, 0.15))
        assert check_whole(run) - 2 <= last <= run.read_json("metrics.json")["n"] < check_whole(run)
        assert run.files() == ["environment.json", "events.jsonl", "metrics.json", "model.safetensors"]
    for name in ("metrics.json", "model.safetensors"):
        run.write_bytes(name, b"end")
    assert hidden(run) == []


# ---- full disks --------------------------------------------------------------------------------------------


def test_a_full_disk_leaves_the_old_file_and_no_remnant(run):
    run.write_json("metrics.json", "old")
    with files_up_to(5000), pytest.raises(ValueError, match=r"write .*metrics.json .*full: free some room"):
        run.write_json("metrics.json", "x" * 10_000)
    assert run.read_json("metrics.json") == "old"
    assert hidden(run) == []


def test_a_full_disk_leaves_the_lines_before_and_lets_others_follow(run):
    run.append("events.jsonl", "x" * 4000)
    with files_up_to(5000), pytest.raises(ValueError, match=r"write .*events.jsonl .*full: free some room"):
        run.append("events.jsonl", "y" * 4000)
    assert (run.path / "events.jsonl").stat().st_size == 4003
    run.append("events.jsonl", "z")
    assert run.lines("events.jsonl") == ["x" * 4000, "z"]


def test_on_a_full_disk_no_run_begins(tmp_path, monkeypatch):
    with files_up_to(100), pytest.raises(ValueError, match="full: free some room"):
        Run.create(tmp_path, "a")
    monkeypatch.setattr(zansa.record, "FREE_BYTES", 2**80)
    with pytest.raises(ValueError, match=r"only .* MiB are free in .*: free some room, or choose another place"):
        Run.create(tmp_path, "b")
    assert list(tmp_path.iterdir()) == []


# ---- closed places -----------------------------------------------------------------------------------------


def test_below_a_file_there_is_no_place(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for root in (tmp_path / "notes.txt", tmp_path / "notes.txt" / "runs"):
        with pytest.raises(ValueError, match=r"create .*: a file stands where a folder is needed"):
            Run.create(root, "a")
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_folder_without_rights_is_explained():
    with tempfile.TemporaryDirectory() as folder:
        run = Run.create(folder, "a")
        run.write_json("data.json", 1)
        run.append("events.jsonl", 1)
        for path in (run.path, Path(folder)):
            path.chmod(0o555)
        with without_rights():
            for write in (
                lambda: Run.create(folder, "b"),
                lambda: run.write_json("data.json", 2),
                lambda: run.append("new.jsonl", 2),
            ):
                with pytest.raises(ValueError, match="choose another one, or change its permissions"):
                    write()
            assert Run.open(run.path).read_json("data.json") == 1
        for path in (Path(folder), run.path):
            path.chmod(0o755)
        (run.path / "data.json").chmod(0)
        with (
            without_rights(),
            pytest.raises(ValueError, match=r"cannot read .*data.json \(Permission denied\)"),
        ):
            run.read_json("data.json")


def test_a_run_that_was_deleted_is_explained(run):
    run.path.rename(run.path.with_name("moved"))
    with pytest.raises(ValueError, match="the folder is not there"):
        run.append("events.jsonl", 1)
    with pytest.raises(ValueError, match="the folder is not there"):
        run.write_json("data.json", 1)


def in_private_mounts(script, folder):
    """Run `script` where it may mount: nothing of it is seen outside, nothing is left to undo."""
    mount = f"""
import subprocess
def mount(*options):
    subprocess.run(["mount", *options, {str(folder)!r}], check=True)
"""
    for right in (["--map-root-user"], []):
        command = ["unshare", "--mount", *right, sys.executable, "-c"]
        if subprocess.run([*command, f"{mount}mount('-t', 'tmpfs', 'none')"], capture_output=True).returncode == 0:
            done = subprocess.run([*command, mount + script], cwd=ROOT, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            return
    pytest.skip("mounting is not allowed here; limits and rights above stand for it")


def test_a_small_disk_that_fills_up(tmp_path):
    in_private_mounts(
        f"""
mount("-t", "tmpfs", "-o", "size=256k", "none")
import pathlib, zansa.record
from zansa.record import Run
def refused(write, *words):
    try:
        write()
    except ValueError as error:
        assert all(word in str(error) for word in words), error
    else:
        raise AssertionError("was not refused")
root = pathlib.Path({str(tmp_path)!r})
refused(lambda: Run.create(root, "a"), "only 0.2 MiB are free", "takes about 64", "choose another place")
zansa.record.FREE_BYTES = 0
run = Run.create(root, "a")
run.write_json("metrics.json", "old")
run.append("events.jsonl", 1)
refused(lambda: run.write_json("metrics.json", "x" * 300_000), "No space left on device", "free some room")
refused(lambda: run.append("events.jsonl", "x" * 300_000), "No space left on device", "free some room")
(root / "filler").open("wb", buffering=0).write(b"0" * 300_000)
refused(lambda: Run.create(root, "b"), "No space left on device", "free some room")
refused(lambda: run.write_json("metrics.json", "new"), "No space left on device")
assert sorted(path.name for path in run.path.iterdir()) == ["environment.json", "events.jsonl", "metrics.json"]
assert not (root / "b").exists()
(root / "filler").unlink()
run.append("events.jsonl", 2)
run.write_json("metrics.json", "new")
assert run.read_json("metrics.json") == "new" and run.lines("events.jsonl") == [1, 2]
""",
        tmp_path,
    )


def test_a_disk_that_is_for_reading_only(tmp_path):
    in_private_mounts(
        f"""
mount("-t", "tmpfs", "none")
from zansa.record import Run
run = Run.create({str(tmp_path)!r}, "a")
run.append("events.jsonl", 1)
mount("-o", "remount,ro")
for write in (
    lambda: Run.create({str(tmp_path)!r}, "b"),
    lambda: run.write_json("data.json", 1),
    lambda: run.append("events.jsonl", 2),
):
    try:
        write()
    except ValueError as error:
        assert "(Read-only file system)" in str(error) and "choose another one" in str(error), error
    else:
        raise AssertionError("was not refused")
assert Run.open(run.path).lines("events.jsonl") == [1]
""",
        tmp_path,
    )


# ---- the machine -------------------------------------------------------------------------------------------


def test_the_environment_is_what_is_installed():
    found = environment()
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["versions"]["numpy"] == np.__version__
    assert found["versions"]["torch"] == metadata.version("torch")
    assert 1 <= found["threads"] <= found["cores"]
    assert found["cpu"]
    assert abs(time.time() - datetime.fromisoformat(found["date"]).timestamp()) < 10
    assert json.loads(json.dumps(found)) == found


def git(folder, *words):
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    free = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", str(folder), *identity, *words]
    done = subprocess.run(command, env=free, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_the_commit_is_that_of_the_checkout_and_says_when_it_was_changed(tmp_path):
    copy = tmp_path / "checkout"
    (copy / "zansa").mkdir(parents=True)
    (copy / "zansa" / "__init__.py").write_text("")
    (copy / "zansa" / "record.py").write_bytes((ROOT / "zansa" / "record.py").read_bytes())

    def commit():
        script = "from zansa.record import environment; print(environment()['commit'])"
        command = [sys.executable, "-B", "-c", script]
        return subprocess.run(command, cwd=copy, check=True, capture_output=True, text=True).stdout.strip()

    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "of somebody else")
    assert commit() == "None"
    git(copy, "init", "-q")
    assert commit() == "None"  # nothing committed yet
    git(copy, "add", ".")
    git(copy, "commit", "-q", "-m", "first")
    git(copy, "tag", "-a", "-m", "first", "v1")
    assert commit() == git(copy, "rev-parse", "HEAD")
    (copy / "zansa" / "__init__.py").write_text("# changed\n")
    assert commit() == git(copy, "rev-parse", "HEAD") + "-dirty"


def test_records_and_figures_need_no_torch():
    script = "import sys, zansa.record, zansa.proof.figures; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT).returncode == 0
