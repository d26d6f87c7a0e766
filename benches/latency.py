"""How long people wait: for a signal of a live job, and for the first result of a small one.

    python latency.py BACKPLANE [--seconds 30] [--checkpoints 10s 1s] [--runs 20] [--folder DIR]

**Signal.** A file is appended to, 1,000 lines a second, whose event time is the wall-clock time of writing; a job follows it with
`maxOutOfOrderness: 0s` and `evaluateEvery: 100ms`, and has checkpoints. Experiments come one after the other, a few at a time; each is declared half
and half and gets nine subjects in ten into one variant, so that the evaluation after its hundredth subject raises `srm`. The line on the terminal says
which evaluation that was. Measured is from the write of the first line whose event time is not before that evaluation, which carries the watermark
past it, to the signal's line on the job's standard output. What is written becomes visible at the end of an epoch, which a signal brings about: so it is
measured at the default interval of epochs and at a short one, and the mark, a median below 200 ms, is for the first of them. A signal that is raised at another evaluation than planned is counted. Beside it, at the
same time, `tail -f` of the same file, from write to line: what the machine and this script add.

**First result.** A file of 1,000 lines, from start of the process to its first line on standard output; the mark is a median below 100 ms. Beside it,
in turn, a process that only says its version.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import re
import shutil
import statistics
import subprocess
import sys
import threading
import time
from bisect import bisect_left
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Callable

PACE = 1_000  # lines a second
AT_ONCE = 4  # experiments that get subjects at the same time
SUBJECTS = 100  # at which the engine first judges a split, `sampleRatioMismatch.minimumSubjects`
MORE = 20  # subjects that come after those
OUTCOMES = 0.5  # of the lines
EVERY = 100_000  # microseconds from one evaluation to the next
SIGNAL = re.compile(r"^(\d{4}-\d\d-\d\d) (\d\d:\d\d(?::\d\d(?:\.\d+)?)?) UTC  (\w+) *  (experiment-\d+)  (\S+): ")


@dataclass
class Seen:
    """What was written and what came of it; all times in microseconds."""

    written: list[int] = field(default_factory=list)  # when each line was
    planned: dict[str, int] = field(default_factory=dict)  # by experiment: the evaluation that is to raise its signal
    told: list[tuple[int, str, int]] = field(default_factory=list)  # evaluation, experiment, and when the signal's line came
    tailed: list[int] = field(default_factory=list)  # when `tail -f` showed each line


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("backplane", type=Path)
    parser.add_argument("--seconds", type=float, default=30, help="how long the file grows, at each interval of checkpoints")
    parser.add_argument("--checkpoints", nargs="+", default=["10s", "1s"])
    parser.add_argument("--runs", type=int, default=20, help="of the small job")
    parser.add_argument("--folder", type=Path, default=Path("/tmp/backplane-bench"))
    chosen = parser.parse_args()
    folder = chosen.folder / "latency"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        signals(chosen, folder)
        first_result(chosen, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def signals(chosen: argparse.Namespace, folder: Path) -> None:
    print(f"from the line that moves the watermark to the signal's line, {chosen.seconds:.0f} s of {PACE:,} lines a second;")
    print("the mark is a median < 200 ms\n")
    print("| checkpoint every | signals | median, ms | 90 % within | most | raised as planned | missing | `tail -f`: median | 90 % within | most |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for interval in chosen.checkpoints:
        seen = watched(chosen.backplane, folder, interval, chosen.seconds)
        waits, as_planned = [], 0
        for at, experiment, came in seen.told:
            carrier = bisect_left(seen.written, at)
            if carrier < len(seen.written):
                waits.append((came - seen.written[carrier]) / 1000)
                as_planned += seen.planned.get(experiment) == at
        missing = len(seen.planned.keys() - {experiment for _, experiment, _ in seen.told})
        tail = [(came - at) / 1000 for at, came in zip(seen.written, seen.tailed)]
        print(f"| {interval} | {len(waits)} | {spread(waits)} | {as_planned} | {missing} | {spread(tail, 1)} |", flush=True)


def spread(waits: list[float], digits: int = 0) -> str:
    if len(waits) < 2:
        sys.exit(f"only {len(waits)} lines came")
    return " | ".join(f"{wait:.{digits}f}" for wait in (statistics.median(waits), statistics.quantiles(waits, n=10)[-1], max(waits)))


def watched(backplane: Path, folder: Path, interval: str, seconds: float) -> Seen:
    lines = int(seconds * PACE)
    experiments = lines // (SUBJECTS + MORE) + AT_ONCE  # twice as many as are to be expected
    work = folder / interval
    work.mkdir()
    stream, config = work / "live.ndjson", work / "live.config.yaml"
    stream.touch()
    config.write_text(json.dumps(configuration(stream, work, experiments, interval)))
    job = subprocess.Popen([backplane, "run", config, "--log", "error"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1)
    tail = subprocess.Popen(["tail", "-f", "-n", "+1", stream], stdout=subprocess.PIPE)
    seen = Seen()
    readers = [threading.Thread(target=listen, args=(job, seen.told)), threading.Thread(target=note, args=(tail, seen.tailed))]
    for reader in readers:
        reader.start()
    time.sleep(2)
    try:
        write(stream, lines, seen)
        # the last checkpoint
        time.sleep(2)
    finally:
        tail.terminate()
        job.terminate()
        errors = job.stderr.read()
        for process, reader in zip((job, tail), readers):
            process.wait()
            reader.join()
    if job.returncode not in (0, 130):
        sys.exit(errors)
    return seen


def configuration(stream: Path, work: Path, experiments: int, interval: str) -> dict[str, object]:
    half = {"allocation": {"control": 0.5, "treatment": 0.5}, "attributionWindow": "1h"}
    return {
        "metrics": [{"name": "click", "type": "Binary"}],
        "experiments": [{"name": experiment_name(number), **half} for number in range(experiments)],
        "engine": {
            "sources": [{"type": "file", "options": {"paths": str(stream), "follow": True}}],
            "time": {"maxOutOfOrderness": "0s"},
            "evaluateEvery": f"{EVERY // 1000}ms",
            "parallelism": 2,
            "checkpoint": {"interval": interval, "url": str(work / "checkpoints")},
            "deadLetter": {"options": {"path": str(work / "dead-letters.ndjson")}},
            "sinks": [{"type": "terminal", "take": ["signals"]}],
        },
    }


def experiment_name(number: int) -> str:
    return f"experiment-{number + 1:04d}"


def listen(process: subprocess.Popen[str], told: list[tuple[int, str, int]]) -> None:
    """Takes the time of each signal's line."""
    for line in process.stdout:
        now = time.time_ns() // 1000
        found = SIGNAL.match(line)
        if found and found[5] == "srm":
            told.append((evaluation(found[1], found[2]), found[4], now))


def note(process: subprocess.Popen[bytes], came: list[int]) -> None:
    """Takes the time of each line."""
    for _ in process.stdout:
        came.append(time.time_ns() // 1000)


def evaluation(day: str, clock: str) -> int:
    """An instant as the terminal shows it, in microseconds."""
    clock = clock if clock.count(":") == 2 else f"{clock}:00"
    instant = datetime.fromisoformat(f"{day}T{clock.ljust(15, '0') if '.' in clock else clock}").replace(tzinfo=timezone.utc)
    return int(instant.timestamp()) * 1_000_000 + instant.microsecond


def write(stream: Path, lines: int, seen: Seen) -> None:
    """Appends the lines, one by one in their time."""
    chance = random.Random(1)
    fresh = itertools.count(AT_ONCE)
    open_ones = {number: 0 for number in range(AT_ONCE)}
    planned: dict[str, int] = {}
    with stream.open("ab", buffering=0) as file:
        start = time.time_ns() // 1000
        for line in range(lines):
            due = start + line * 1_000_000 // PACE
            while (now := time.time_ns() // 1000) < due:
                time.sleep((due - now) / 1e6)
            number = chance.choice(list(open_ones))
            count, name = open_ones[number], experiment_name(number)
            seen.written.append(now)
            if count and chance.random() < OUTCOMES:
                file.write(outcome(line, now, name, count - 1))
                continue
            file.write(exposure(line, now, name, count))
            open_ones[number] = count + 1
            if count + 1 == SUBJECTS:
                # an evaluation knows what lies before it
                planned[name] = now // EVERY * EVERY + EVERY
            if count + 1 == SUBJECTS + MORE:
                del open_ones[number]
                open_ones[next(fresh)] = 0
    # without those that are due after the last line
    seen.planned.update((name, at) for name, at in planned.items() if at <= seen.written[-1])


def exposure(line: int, at: int, experiment: str, subject: int) -> bytes:
    variant = "treatment" if subject % 10 == 5 else "control"
    payload = {"experimentName": experiment, "variantKey": variant, "subjectId": f"{experiment}-user-{subject:04d}", "tenantId": "acme"}
    return envelope(line, at, "Exposure", payload)


def outcome(line: int, at: int, experiment: str, subject: int) -> bytes:
    payload = {"experimentName": experiment, "subjectId": f"{experiment}-user-{subject:04d}", "tenantId": "acme", "metricName": "click", "value": 1}
    return envelope(line, at, "Outcome", payload)


def envelope(line: int, at: int, kind: str, payload: dict[str, object]) -> bytes:
    seconds, rest = divmod(at, 1_000_000)
    instant = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest:06d}Z"
    record = {"eventId": f"e-{line:09d}", "timestamp": instant, "eventType": kind, "schemaVersion": "1.0.0", "payload": payload}
    return json.dumps(record, separators=(",", ":")).encode() + b"\n"


def first_result(chosen: argparse.Namespace, folder: Path) -> None:
    small = folder / "small.ndjson"
    generate = [chosen.backplane, "generate", "--preset", "bench", "--events", "1000", "-o", small]
    subprocess.run(generate, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    letters = f"engine.deadLetter.options.path={folder / 'dead-letters.ndjson'}"
    run = [chosen.backplane, "run", f"{small}.config.yaml", "--log", "error", "--set", letters]
    contenders: dict[str, tuple[Callable[[list[str | Path]], float], list[str | Path]]] = {
        "first result of 1,000 lines": (until_first_line, run),
        "the whole run": (until_end, run),
        "`backplane --version`": (until_end, [chosen.backplane, "--version"]),
    }
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(chosen.runs):
        for name, (measure, words) in contenders.items():
            times[name].append(measure(words))
    print(f"\nfrom the start of a process, {chosen.runs} runs in turn; the mark: a median < 100 ms to the first result\n")
    print("| | median, ms | least | most |")
    print("|---|---|---|---|")
    for name, took in times.items():
        print(f"| {name} | {statistics.median(took):.1f} | {min(took):.1f} | {max(took):.1f} |")


def until_first_line(run: list[str | Path]) -> float:
    started = time.perf_counter()
    process = subprocess.Popen(run, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    first = process.stdout.readline()
    took = (time.perf_counter() - started) * 1000
    process.communicate()
    if process.returncode or not first.strip():
        sys.exit(f"no result came: {' '.join(map(str, run))}")
    return took


def until_end(run: list[str | Path]) -> float:
    started = time.perf_counter()
    subprocess.run(run, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return (time.perf_counter() - started) * 1000


if __name__ == "__main__":
    main()
