"""What serving costs and what it stands: HTTP over the bare engine, throughput, overload, a line, and kills.

python benchmarks/serve.py MODEL.onnx IMAGES OUT [--count 1000] [--seconds 60] [--kills 50] [--only overhead ... kills]

MODEL is an exported file, IMAGES a folder of images that it takes. Every figure is measured with a real server process
and its store on the disk of OUT; the client runs on the same machine, so that it takes part of its cores.
"""

import argparse
import base64
import json
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress
from pathlib import Path

from zansa.deploy.runtime import judged, predictor
from zansa.deploy.serve import stored
from zansa.inputs.images import read_like

WARM = 50
PLC = "127.0.0.1:15020"
Answered = tuple[int, float, bytes]  # status, seconds, body


@contextmanager
def server(model: Path, store: Path, *more: str):
    """A server process on a free port: its process and port."""
    command = [
        sys.executable,
        "-m",
        "zansa",
        "serve",
        f"m={model}",
        "--store",
        str(store),
        "--port",
        "0",
        "--json",
        *more,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            address = json.loads(process.stdout.readline())["address"]
            yield process, int(address.rsplit(":", 1)[1].strip("/"))
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)


def raw_request(image: bytes) -> bytes:
    """A simple upload as bytes, so that the client costs little."""
    head = (
        f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/png\r\nContent-Length: {len(image)}\r\n\r\n"
    )
    return head.encode() + image


class Client:
    """A connection that is kept open."""

    def __init__(self, port: int):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of the answer."""
        self.socket.sendall(request)
        data = b""
        while b"\r\n\r\n" not in data:
            part = self.socket.recv(65536)
            if not part:
                raise ConnectionError
            data += part
        head, _, body = data.partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        while len(body) < length:
            part = self.socket.recv(65536)
            if not part:
                raise ConnectionError
            body += part
        return int(head[9:12]), body


def load(port: int, requests: list[bytes], clients: int, seconds: float) -> list[Answered]:
    """What `clients` connections get in this time, each asking anew at once."""
    found: list[Answered] = []
    end = time.monotonic() + seconds

    def run(seed: int) -> None:
        chance, own = random.Random(seed), []
        with suppress(ConnectionError, OSError):
            client = Client(port)
            while time.monotonic() < end:
                began = time.perf_counter()
                status, body = client.ask(chance.choice(requests))
                own.append((status, time.perf_counter() - began, body))
                if status != 200:
                    time.sleep(0.005)
        found.extend(own)

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def told_text(times: list[float]) -> str:
    """Median and 99th percentile, in milliseconds."""
    ordered = sorted(1000 * t for t in times)
    return f"{statistics.median(ordered):.2f} | {ordered[int(0.99 * (len(ordered) - 1))]:.2f}"


def processor(process: subprocess.Popen) -> float:
    """Seconds of the processor that a process has used."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(process: subprocess.Popen) -> float:
    """Resident megabytes of a process."""
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def overhead(model: Path, images: list[bytes], out: Path, count: int) -> None:
    """The bare engine, the same over HTTP with its store, and without the images of accepted parts: milliseconds by the
    clock, and of the processor, which other work on the machine changes less."""
    bare, times, before = predictor(model, threads=1), [], 0.0
    for i in range(WARM + count):
        before = time.process_time() if i == WARM else before
        began = time.perf_counter()
        levels, _ = read_like(images[i % len(images)], bare.preprocess)
        judged(bare.probabilities([levels])[0], bare)
        times.append(time.perf_counter() - began)
    spent = 1000 * (time.process_time() - before) / count
    print(f"| decode and network, no server | {told_text(times[WARM:])} | {spent:.2f} |", flush=True)
    rows = {
        "row and image on the disk": (),
        "row on the disk, images of accepted parts not kept": ("--keep-accepted", "0"),
    }
    for name, more in rows.items():
        with server(model, out / f"overhead{len(more)}", *more) as (process, port):
            client, times, before = Client(port), [], 0.0
            for i in range(WARM + count):
                before = processor(process) if i == WARM else before
                began = time.perf_counter()
                status, _ = client.ask(raw_request(images[i % len(images)]))
                times.append(time.perf_counter() - began)
                assert status == 200, status
            spent = 1000 * (processor(process) - before) / count
            print(f"| HTTP, {name} | {told_text(times[WARM:])} | {spent:.2f} |", flush=True)


def throughput(model: Path, images: list[bytes], out: Path, seconds: float) -> None:
    """Answers a second by number of clients, and with two server processes."""
    requests = [raw_request(image) for image in images]
    for clients in (1, 4, 16):
        with server(model, out / f"throughput{clients}") as (_, port):
            load(port, requests, clients, 1)
            found = load(port, requests, clients, seconds)
            good = [took for status, took, _ in found if status == 200]
            print(f"| 1 process, {clients} clients | {len(good) / seconds:.0f} | {told_text(good)} |", flush=True)
    with server(model, out / "two-a") as (_, a), server(model, out / "two-b") as (_, b):
        both: list = []
        threads = [
            threading.Thread(target=lambda p=port: both.extend(load(p, requests, 8, seconds))) for port in (a, b)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        good = [took for status, took, _ in both if status == 200]
        print(f"| 2 processes, 8 clients each | {len(good) / seconds:.0f} | {told_text(good)} |", flush=True)


def in_json(image: bytes) -> bytes:
    """An upload in base64, which both servers take."""
    body = json.dumps({"image": base64.b64encode(image).decode()}).encode()
    head = "POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    head += f"Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def beside(model: Path, images: list[bytes], out: Path, seconds: float, python: str) -> None:
    """The same file behind LitServe, which stores nothing, and behind zansa: answers a second by number of clients."""
    requests, free = [in_json(image) for image in images], 8931
    script = Path(__file__).with_name("litserve_model.py")
    with subprocess.Popen(
        [python, script, model, str(free)], stdout=subprocess.DEVNULL, start_new_session=True
    ) as rival:
        try:
            for _ in range(120):
                with suppress(OSError), socket.create_connection(("127.0.0.1", free), timeout=1):
                    break
                time.sleep(0.5)
            told_by("LitServe", free, requests, seconds)
        finally:
            os.killpg(rival.pid, signal.SIGTERM)
    for name, more in {"zansa": (), "zansa, images of accepted parts not kept": ("--keep-accepted", "0")}.items():
        with server(model, out / f"beside{len(more)}", *more) as (_, port):
            told_by(name, port, requests, seconds)


def told_by(name: str, port: int, requests: list[bytes], seconds: float) -> None:
    """Rows of a server for one and for sixteen clients."""
    for clients in (1, 16):
        load(port, requests, clients, 1)
        good = [took for status, took, _ in load(port, requests, clients, seconds) if status == 200]
        print(f"| {name}, {clients} clients | {len(good) / seconds:.0f} | {told_text(good)} |", flush=True)


def overload(model: Path, images: list[bytes], out: Path, seconds: float) -> None:
    """Many more clients than can be answered: who is answered is answered in time, and nothing accepted is lost."""
    requests, store = [raw_request(image) for image in images], out / "overload"
    with server(model, store, "--deadline", "0.5", "--queue", "32") as (process, port):
        load(port, requests, 4, 2)
        before = memory(process)
        found = load(port, requests, 160, seconds)
        after = memory(process)
        statuses = Counter(status for status, _, _ in found)
        good = [(took, json.loads(body)) for status, took, body in found if status == 200]
        process.send_signal(signal.SIGTERM)
        process.wait()
    kept = {row["id"] for row in stored.rows(store, {})}
    lost = sum(answer["id"] not in kept for _, answer in good)
    times = [took for took, _ in good]
    print(
        f"| {len(found) / seconds:.0f} asked, {len(good) / seconds:.0f} answered a second ({dict(statuses)}) ",
        end="",
    )
    print(
        f"| {told_text(times)} | {lost} lost | {before:.0f} to {after:.0f} MB | exit code {process.returncode} |",
        flush=True,
    )


def kills(model: Path, images: list[bytes], out: Path, count: int) -> None:
    """SIGKILL at random moments under load, on one store: rows, images, and the next start."""
    requests, store, chance = [raw_request(image) for image in images], out / "kills", random.Random(0)
    answers: dict[int, str] = {}
    faults = Counter()
    for number in range(count):
        with server(model, store) as (process, port):
            found: list = []
            loading = threading.Thread(target=lambda: found.extend(load(port, requests, 4, 5)))  # noqa: B023
            loading.start()
            time.sleep(chance.uniform(0.05, 1.2))
            process.kill()
            process.wait()
            loading.join()
        answers |= {
            told["id"]: told["image"] for status, _, body in found if status == 200 for told in [json.loads(body)]
        }
        rows = {row["id"]: row["image"] for row in stored.rows(store, {})}
        checked = stored.check(store)
        faults["answers without a row"] += sum(rows.get(id) != image for id, image in answers.items())
        faults["rows without their image"] += len(checked["missing"]) + len(checked["damaged"])
        faults["damaged databases"] += not checked["sound"]
        faults["images without a row, before the next start"] += checked["unnamed"]
        if (number + 1) % 10 == 0:
            print(f"{number + 1} kills, {len(answers)} answers, {len(rows)} rows: {dict(faults)}", flush=True)
    with server(model, store) as (_, port):
        assert Client(port).ask(requests[0])[0] == 200
        time.sleep(1)
    print(f"after the last start: {stored.check(store)}")


def line(model: Path, images: list[bytes], out: Path, seconds: float) -> None:
    """Ten parts a second put into a folder; every result is awaited by MQTT and read by Modbus."""
    import paho.mqtt.client as mqtt
    from pymodbus.client import ModbusTcpClient

    bare, folder = predictor(model, threads=1), out / "in"
    folder.mkdir()
    expected = [judged(bare.probabilities([read_like(each, bare.preprocess)[0]])[0], bare) for each in images]
    broker = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    came: dict[str, tuple[float, dict]] = {}
    twice: list[str] = []

    def result(client: object, data: object, message: mqtt.MQTTMessage) -> None:
        told = json.loads(message.payload)
        twice.extend([told["request"]] if told["request"] in came else [])
        came[told["request"]] = (time.monotonic(), told)

    words = ["--watch", folder, "--done", out / "done", "--mqtt", "mqtt://127.0.0.1:11883/line", "--modbus", PLC]
    with subprocess.Popen([broker, "-p", "11883"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as mosquitto:
        time.sleep(1)
        listener = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        listener.on_message = result
        listener.connect("127.0.0.1", 11883)
        listener.subscribe("line/result", 1)
        listener.loop_start()
        with server(model, out / "line", *map(str, words)) as (_, _):
            plc = ModbusTcpClient("127.0.0.1", port=int(PLC.split(":")[1]))
            plc.connect()
            put, seen, began = {}, set(), time.monotonic()
            for number in range(int(10 * seconds)):
                time.sleep(max(0.0, began + number / 10 - time.monotonic()))
                name = f"{number:06}.png"
                (folder / f".{name}").write_bytes(images[number % len(images)])
                put[name] = time.monotonic()
                (folder / f".{name}").rename(folder / name)
                registers = plc.read_holding_registers(1, count=2, device_id=1).registers
                seen.add(registers[0])
            end = time.monotonic() + 10
            while len(came) < len(put) and time.monotonic() < end:
                time.sleep(0.05)
            last = plc.read_holding_registers(1, count=1, device_id=1).registers[0]
            plc.close()
        listener.loop_stop()
        mosquitto.terminate()
    wrong = sum(
        told["decision"] != expected[int(name[:6]) % len(images)]["decision"] for name, (_, told) in came.items()
    )
    order = [told["part"] for _, (_, told) in sorted(came.items())]
    times = [at - put[name] for name, (at, _) in came.items()]
    print(
        f"| {len(put)} parts, {len(came)} results, {len(twice)} twice, {wrong} of another part, in order: "
        f"{order == sorted(order)} | {told_text(times)} | Modbus saw {len(seen)} part numbers, the last {last} |"
    )


def main() -> None:
    """Measure what was asked for."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("model", type=Path)
    asked.add_argument("images", type=Path)
    asked.add_argument("out", type=Path)
    asked.add_argument("--count", type=int, default=1000, help="requests of the overhead")
    asked.add_argument("--seconds", type=float, default=60)
    asked.add_argument("--kills", type=int, default=50)
    asked.add_argument("--litserve", metavar="PYTHON", help="the Python of an environment with litserve and Pillow")
    asked.add_argument("--only", nargs="*", default=["overhead", "throughput", "overload", "line", "kills"])
    given = asked.parse_args()
    images = [path.read_bytes() for path in sorted(given.images.rglob("*.png"))]
    for name, work in {
        "overhead": lambda: overhead(given.model, images, given.out, given.count),
        "throughput": lambda: throughput(given.model, images, given.out, given.seconds / 6),
        "beside": lambda: beside(given.model, images, given.out, given.seconds / 6, given.litserve),
        "overload": lambda: overload(given.model, images, given.out, given.seconds),
        "line": lambda: line(given.model, images, given.out, given.seconds),
        "kills": lambda: kills(given.model, images, given.out, given.kills),
    }.items():
        if name in given.only:
            shutil.rmtree(given.out, ignore_errors=True)
            given.out.mkdir(parents=True)
            print(f"\n{name}", flush=True)
            work()


if __name__ == "__main__":
    main()
