"""Budgets as they are written, what they count, and milliseconds from a table of parts measured on this machine."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx.compose
import onnxruntime
import pytest
import torch

from zansa.arch.branches import BRANCHES
from zansa.arch.budget import parse, price
from zansa.arch.cost import cost
from zansa.arch.spec import Block, Head, Input, Net, Stage, Stem, Step
from zansa.arch.use import Preprocess
from zansa.arch.zoo import cifar_net, cifar_resnet
from zansa.deploy.clock import stopwatch, timing
from zansa.deploy.clock.timing import Timer, timer
from zansa.deploy.clock.twin import IR, OPSET, twin
from zansa.deploy.export import to_onnx
from zansa.deploy.prepare import preparation
from zansa.learn.defaults import series_net
from zansa.learn.grow.start import pricing, scaled, seed_net
from zansa.nets.build import build
from zansa.nets.files import Model


def a_net(width: int = 16, blocks: int = 1, size: tuple[int, ...] = (8, 8), hidden: int | None = None) -> Net:
    block = Block(kind="basic", hidden=(hidden or width,))
    stages = (
        Stage(width=width, blocks=(Block(kind="basic", hidden=(width,)),) * (blocks - 1) + (block,)),
        Stage(width=2 * width, blocks=(Block(kind="basic", hidden=(width,)),), stride=2, shortcut="project"),
    )
    return Net(input=Input(channels=3, size=size), stem=Stem(width=width), stages=stages, head=Head(classes=4))


@pytest.fixture(scope="module")
def warm(tmp_path_factory) -> Timer:
    """A timer that several tests fill."""
    return timer(tmp_path_factory.mktemp("table"))


# --- text ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "unit", "limits", "said"),
    [
        ("macs=20M", "macs", [20_000_000], "20M multiply-adds"),
        ("params=300k", "params", [300_000], "300k parameters"),
        ("bytes=1.2M", "bytes", [1_200_000], "1.2M bytes of weights"),
        ("ms=2.5", "ms", [2.5], "2.5 milliseconds"),
        ("ms=.5", "ms", [0.5], "0.5 milliseconds"),
        ("macs=1.13M", "macs", [1_130_000], "1.13M multiply-adds"),  # 1.13 * 1e6 is less
        ("macs=1.5G", "macs", [1_500_000_000], "1.5G multiply-adds"),
        ("params=1e6", "params", [1_000_000], "1M parameters"),
        ("params=999999", "params", [999_999], "999.999k parameters"),
        (" macs = 40M, 5M,10M , 20000k ", "macs", [5e6, 10e6, 20e6, 40e6], "5M multiply-adds"),
    ],
)
def test_a_budget_is_read(text, unit, limits, said):
    budgets = parse(text)
    assert [budget.unit for budget in budgets] == [unit] * len(limits)
    assert [budget.limit for budget in budgets] == limits
    assert budgets[0].text == said
    assert [parse(str(budget)) for budget in budgets] == [(budget,) for budget in budgets]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not understood; write macs=20M, params=300k, bytes=1.2M or ms=2.5"),
        ("20M", "is not understood"),
        ("flops=20M", "is not understood"),
        ("MACS=20M", "is not understood"),
        ("macs=", "'' is no number"),
        ("macs=5M,", "'' is no number"),
        ("macs=0", "above 0"),
        ("macs=-5M", "above 0"),
        ("ms=1e999", "finite"),
        ("ms=nan", "'nan' is no number"),
        ("ms=inf", "'inf' is no number"),
        ("macs=20m", "'20m' is no number"),
        ("macs=20MB", "'20MB' is no number"),
        ("macs=1_000", "'1_000' is no number"),
        ("macs=5M,ms=2", "two units"),
        ("ms=2,5", "may be one limit or two; write ms=2.5, or ms=2.0,5"),
        ("macs=1,5M", "may be one limit or two; write macs=1.5M, or macs=1.0,5M"),
        ("macs=5M,5000k", "names one limit twice"),
        ("macs=1.13M,1130k", "names one limit twice"),
    ],
)
def test_what_is_no_budget_is_refused(text, said):
    with pytest.raises(ValueError, match=said) as refused:
        parse(text)
    assert repr(text) in str(refused.value)


def test_prices_are_those_of_the_description():
    net = cifar_resnet(20)
    size = cost(net)
    assert price(net, "macs") == size.macs
    assert price(net, "params") == size.params
    assert price(net, "bytes") == 4 * size.params


def test_the_bytes_are_nearly_those_of_the_exported_file():
    net = a_net(width=64)
    assert price(net, "bytes") == pytest.approx(len(twin(net).SerializeToString()), rel=0.03)


def test_starts_without_torch():
    check = "import sys, zansa.deploy.clock.timing, zansa.arch.budget; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", check], check=True)


# --- the twin --------------------------------------------------------------------------------------------------------


def many_kinds() -> Net:
    """Gates, groups, a deep stem with a pool, shortcuts that average and pad, learned scales, two streams."""
    stages = (
        Stage(width=16, blocks=(Block(kind="se_basic", hidden=(16, 4)),)),
        Stage(width=32, stride=2, shortcut="average", blocks=(Block(kind="bottleneck", hidden=(16, 16), groups=4),)),
        Stage(
            width=48,
            stride=2,
            shortcut="pad",
            step=Step(scale=True, h=0.5),
            blocks=(Block(kind="basic", hidden=(20,)),),
        ),
        Stage(width=48, step=Step(kind="merge_and_run"), blocks=(Block(kind="basic", hidden=(16, 8)),)),
    )
    stem = Stem(width=16, kernel=3, stride=1, pool=True, contrast=16, deep=(8,))
    return Net(input=Input(channels=3, size=(32, 40)), stem=stem, stages=stages, head=Head(classes=3, pool="both"))


def other_kinds() -> Net:
    """Group norms, GELU, pre-activation, steps that call a branch twice, a series."""
    stages = (
        Stage(width=16, step=Step(kind="heun"), blocks=(Block(kind="preact_basic", hidden=(16,)),)),
        Stage(
            width=16,
            stride=2,
            shortcut="pad",
            step=Step(kind="momentum"),
            blocks=(Block(kind="resbuilder", hidden=(8,)),) * 2,
        ),
    )
    return Net(
        input=Input(channels=2, size=(24,)),
        stem=Stem(width=16, act=False),
        stages=stages,
        head=Head(classes=3, pool="max", act=True),
        norm="group",
        act="gelu",
    )


def optimised(model: onnx.ModelProto | bytes, folder) -> Counter:
    """What onnxruntime makes of a model: how often each operation with constants of these shapes."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath, options.log_severity_level = str(folder / "optimised.onnx"), 4
    content = model if isinstance(model, bytes) else model.SerializeToString()
    onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    graph = onnx.load(folder / "optimised.onnx").graph
    shapes = {constant.name: tuple(constant.dims) for constant in graph.initializer}
    return Counter((node.op_type, *(shapes[name] for name in node.input if name in shapes)) for node in graph.node)


def by_torch(module: torch.nn.Module, prepare: onnx.ModelProto) -> onnx.ModelProto:
    """What torch's own exporter makes of a network, behind the preparation."""
    program = torch.onnx.export(
        torch.nn.Sequential(module, torch.nn.Softmax(1)).eval(),
        (torch.zeros(2, module.net.input.channels, *module.net.input.size),),
        dynamo=True,
        opset_version=OPSET,
        input_names=["pixels"],
        output_names=["probability"],
        dynamic_shapes=({0: torch.export.Dim("N")},),
        verbose=False,
    )
    network = onnx.compose.add_prefix(program.model_proto, "network/", rename_inputs=False, rename_outputs=False)
    del network.graph.value_info[:]
    graph = onnx.compose.merge_graphs(prepare.graph, network.graph, [("pixels", "pixels")])
    return onnx.helper.make_model(graph, opset_imports=network.opset_import, ir_version=IR)


def without_maps(file: bytes) -> bytes:
    """An exported file as it was before it had class maps, which torch's exporter does not write."""
    proto = onnx.load_from_string(file)
    nodes = [node for node in proto.graph.node if not node.name.startswith("network/map/")]
    del proto.graph.node[:], proto.graph.output[1:]
    proto.graph.node.extend(nodes)
    return proto.SerializeToString()


@pytest.mark.parametrize("make", [many_kinds, other_kinds])
def test_onnxruntime_makes_the_same_of_the_twin_as_of_the_export_and_of_torchs_own(make, tmp_path):
    net, series = make(), len(make().input.size) == 1
    module = build(net).eval()
    for weight in module.parameters():
        weight.data.add_(0.3)  # ones and zeros would vanish
    fit = {"fit": "stretch", "depth": 32} if series else {}
    preprocess = Preprocess(channels=net.input.channels, size=net.input.size, **fit)
    exported = without_maps(to_onnx(Model(net, module, ("a", "b", "c"), preprocess)))
    assert optimised(timing._model(net, preparation(preprocess)), tmp_path) == optimised(exported, tmp_path)
    assert optimised(exported, tmp_path) == optimised(by_torch(module, preparation(preprocess)), tmp_path)


@pytest.mark.parametrize("kind", sorted(BRANCHES))
@pytest.mark.parametrize("act", ["relu", "silu"])
def test_every_branch_has_a_twin(kind, act):
    branch = BRANCHES[kind]
    block = Block(kind=kind, hidden=(8,) * branch.hidden)
    net = cifar_net(block, (1, 1), (8, 16), shortcut="conv", size=(8, 8), stem=8).but({"act": act})
    session = onnxruntime.InferenceSession(twin(net).SerializeToString())
    (answer,) = session.run(None, {"pixels": np.ones((2, 3, 8, 8), np.float32)})
    assert answer.shape == (2, 10)
    assert np.isfinite(answer).all()


# --- milliseconds ----------------------------------------------------------------------------------------------------


def test_time_rises_with_the_work(warm):
    times = [warm.ms(a_net(width, blocks, (16, 16))) for width, blocks in ((16, 1), (32, 3), (64, 6))]
    assert 0 < times[0] < times[1] < times[2]


def test_prediction_and_measurement_are_alike(warm):
    net = a_net(32, 4, (16, 16))
    assert 0.5 < warm.ms(net) / warm.whole(net) < 2


def test_time_is_told_for_the_usual_time_of_the_reference(warm, tmp_path):
    net, table = a_net(32, 4, (16, 16)), tmp_path / "table.json"
    faster = Timer(table, warm.parts | {timing.REFERENCE: warm.parts[timing.REFERENCE] / 2}, warm.before)
    assert faster.whole(net) == pytest.approx(warm.whole(net) / 2, rel=0.2)
    assert faster.ms(net) == pytest.approx(warm.ms(net) / 2)
    assert not table.exists()


def test_the_measuring_process_is_told_of_and_replaced(warm):
    model = twin(a_net()).SerializeToString()
    assert stopwatch.multiple(model, (8, 8)) > 0
    stopwatch._process().kill()
    with pytest.raises(OSError, match="was ended"):
        stopwatch.multiple(model, (8, 8))
    assert stopwatch.multiple(model, (8, 8)) > 0
    with pytest.raises(OSError, match="does not work here"):
        stopwatch.multiple(b"no model")


def test_no_answer_is_taken_for_another_after_an_interruption(warm):
    """Ctrl-C in a notebook, whose process goes on."""
    process, before = stopwatch._process(), signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where the tests run in the background
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        stopwatch.pace()
    signal.signal(signal.SIGINT, before)
    assert process.poll() is not None
    assert isinstance(stopwatch.nodes(twin(a_net()).SerializeToString()), dict)


def test_the_measuring_process_imports_what_this_one_does(tmp_path):
    """Not the modules of the same name that lie beside the images."""
    (tmp_path / "token.py").write_text("raise RuntimeError")
    code = f"import sys; sys.path[:] = {sys.path!r}; from zansa.deploy.clock import stopwatch; print(stopwatch.pace())"
    asked = subprocess.run([sys.executable, "-P", "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert float(asked.stdout) > 0, asked.stderr


def test_the_measuring_process_ends_with_the_one_that_asks():
    ask = "import os, signal; from zansa.deploy.clock import stopwatch as s; s.pace();"
    ask += "print(s._process().pid, flush=True);"
    asked = subprocess.run([sys.executable, "-c", ask + "os.kill(os.getpid(), signal.SIGKILL)"], capture_output=True)
    assert asked.returncode == -signal.SIGKILL
    stat, end = Path(f"/proc/{int(asked.stdout)}/stat"), time.monotonic() + 60
    while stat.exists() and ") Z " not in stat.read_text() and time.monotonic() < end:  # gone, or waited for by nobody
        time.sleep(0.01)
    assert time.monotonic() < end


def test_a_part_is_measured_once(warm):
    net = a_net(16, 3)
    first = warm.ms(net)
    known, written = dict(warm.parts), warm.file.stat().st_mtime_ns
    assert warm.ms(net) == first
    assert timer(warm.file.parent).ms(net) == first  # a new start
    assert warm.file.stat().st_mtime_ns == written
    warm.ms(a_net(16, 3, hidden=12))  # another last block, and nothing else
    assert len(warm.parts) == len(known) + 1
    assert all(warm.parts[key] == time for key, time in known.items())


def test_how_long_is_measured_is_the_askers_to_say(monkeypatch, tmp_path):
    """Tables of other times are other tables."""
    files = set()
    for said, share in ((None, 1.0), ("", 1.0), ("1", 1.0), ("0.05", 0.05)):
        monkeypatch.delenv(stopwatch.WATCH) if said is None else monkeypatch.setenv(stopwatch.WATCH, said)
        assert stopwatch.watch() == share
        files.add(timing._file(tmp_path))
    assert len(files) == 2
    for nonsense in ("0", "-1", "nan", "inf", "quick"):
        monkeypatch.setenv(stopwatch.WATCH, nonsense)
        with pytest.raises(ValueError, match=f"ZANSA_WATCH='{nonsense}' is no share of the usual measuring time"):
            timer(tmp_path)


def test_parts_that_compute_alike_share_a_name():
    keys = timing._keys(a_net(16, 3))
    assert list(keys) == ["stem", "stages.0.0", "stages.0.1", "stages.0.2", "stages.1.0", "head"]
    assert keys["stages.0.0"] == keys["stages.0.1"] == keys["stages.0.2"]
    others = [
        a_net(24),
        a_net(size=(9, 9)),
        a_net(hidden=8),
        a_net().but({"act": "gelu"}),
        a_net().but({"norm": "group"}),
    ]
    assert len({timing._keys(net)["stages.0.0"] for net in (a_net(), *others)}) == 1 + len(others)


@pytest.mark.parametrize("damage", [b"", b"[1, 2]", b'{"parts": {"run": NaN}}', b'{"parts": {"run": "a"}}'])
def test_a_damaged_table_is_measured_again(damage, tmp_path):
    whole = timer(tmp_path)
    whole.file.write_bytes(damage)
    again = timer(tmp_path)
    assert again.ms(a_net()) > 0
    assert json.loads(again.file.read_bytes())["parts"] == again.parts


def test_half_a_table_is_no_table(tmp_path):
    whole = timer(tmp_path)
    whole.ms(a_net())
    whole.file.write_bytes(whole.file.read_bytes()[:-40])
    assert timer(tmp_path).parts.keys() == {timing.RUN, timing.WATCHED, timing.REFERENCE}


def test_two_processes_agree(tmp_path):
    one, other = timer(tmp_path), timer(tmp_path)
    assert one.ms(a_net(16)) > 0
    assert other.ms(a_net(24)) > 0
    assert other.ms(a_net(16)) == one.ms(a_net(16))
    assert timer(tmp_path).parts == other.parts


def test_a_table_that_cannot_be_kept_is_no_fault(tmp_path):
    (tmp_path / "file").write_text("")
    assert timer(tmp_path / "file").ms(a_net()) > 0


def test_right_for_a_network(warm, monkeypatch):
    net, other = a_net(16, 1), a_net(16, 3)
    mended = replace(warm, unit=5.0).right_for(net)
    assert mended.ms(net) == pytest.approx(warm.whole(net), rel=0.2)
    assert mended.ms(other) / mended.ms(net) == pytest.approx(warm.ms(other) / warm.ms(net))
    assert mended == replace(warm, unit=mended.unit)
    monkeypatch.setattr(timing, "_whole", lambda *_: 3e3 / warm.parts[timing.REFERENCE])
    assert mended.right_for(other).ms(other) == pytest.approx(3.0)
    assert mended.right_for(net) == mended  # what was found of it stays in the table
    assert timer(warm.file.parent).right_for(net) == mended
    prepared = timer(warm.file.parent, Preprocess(channels=3, size=net.input.size))
    assert prepared.right_for(net).ms(net) == pytest.approx(3.0)  # with a preparation it is another


def test_milliseconds_are_right_for_the_thinnest(warm, monkeypatch):
    """Of which the table may promise less than it takes, so that a budget would be taken on that nothing can meet."""
    net, usual = a_net(48, 2), replace(warm, parts=dict(warm.parts))
    thinnest = scaled(net, 0.0, warm.lot())
    monkeypatch.setattr(timing, "_whole", lambda *_: 7e3 / warm.parts[timing.REFERENCE])
    told, lot = pricing("ms", net, usual)
    assert lot == warm.lot()
    assert told(thinnest) == pytest.approx(7.0)
    with pytest.raises(ValueError, match=r"the thinnest network of this shape costs 7, and 6\.9 are allowed"):
        seed_net(net, told, 6.9, 1.0, lot)


def test_the_preparation_counts(warm):
    net, before = a_net(size=(32, 32)), Preprocess(channels=3, size=(32, 32))
    prepared = timer(warm.file.parent, before)
    assert prepared.ms(net) > warm.ms(net)
    assert timer(warm.file.parent, before) == prepared  # kept
    assert timer(warm.file.parent).before == (timing.RUN,)


def test_series_are_timed_too(warm):
    net = series_net((32,), 2, 3, "signal")
    prepared = timer(warm.file.parent, Preprocess(channels=2, size=(32,), depth=32, fit="stretch"))
    assert prepared.ms(net) >= warm.ms(net) > 0
    assert prepared.whole(net) > 0


def test_widths_that_are_really_faster(warm):
    multiple = warm.lot()
    assert multiple in (1, *timing.MULTIPLES)
    prepared = timer(warm.file.parent, Preprocess(channels=1, size=(24, 24)))  # whose images are no colour images
    known = dict(prepared.parts)
    assert prepared.lot() == warm.lot() == multiple
    assert prepared.parts == known


@pytest.mark.parametrize(
    ("spent", "multiple"),
    [
        (lambda width: 5 + (-(-width // 32)) ** 2, 32),
        (lambda width: (-(-width // 16)) ** 2, 16),
        (lambda width: (-(-width // 8)) ** 2, 8),
        (lambda width: width, 4),  # the half of four is less than a tenth of these widths
        (lambda width: (-(-width // 2)) ** 2, 2),
        (lambda width: width**2, 1),
    ],
)
def test_the_multiple_of_a_machine(spent, multiple, tmp_path, monkeypatch):
    monkeypatch.setattr(Timer, "whole", lambda self, net: float(spent(net.stages[0].width)))
    assert Timer(tmp_path / "table.json", {}, ()).lot() == multiple
