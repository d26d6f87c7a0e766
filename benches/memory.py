"""What is kept in memory: bytes of a settled (experiment, subject), and whether memory stays flat while a stream goes on.

    python memory.py BACKPLANE [--subjects 1000000 5000000] [--metrics 0 1 4] [--rounds 3] [--events 500000] [--only settled] [--folder DIR]

**Settled**: every subject is exposed once in one of 20 experiments, and has one outcome of each of 0, 1 and 4 metrics; the last line comes a day of
event time later, so that correction horizon, windows and attribution windows of all others are over when memory is read. The job follows the
file and is read while it lives, at rest after the last line: what only the process has then (RssAnon) is what it needs to go on. Between two
numbers of subjects whatever does not grow with them falls out. Text that tells subjects apart (tenant and id) is subtracted. Each job runs twice: as it
is, and with the allocator told to give back what is free and to do without huge pages, so that only what is in use is counted. Beside it what the job
itself counts as its state, and the mark: 48 bytes, and 16 for each metric.

Where something grows by doubling, how full it is differs by the number of subjects, and so do the figures. Numbers of some hundred thousand are too
small: buffers come and go by tens of megabytes from run to run.

**Flat**: the same subjects come again and again, at the same pace, for 1, 2, 4 and 8 times as long; correction horizon, windows and attribution windows
are an hour, so that the first of them is past all of it if it is longer than two. Peaks of memory that only the process has
(RssAnon), from start to exit.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from made_stream import Shape, key_bytes
from spill import watched
from whole_job import command

TIMES = (1, 2, 4, 8)
DAY = 86_400
# a job that has read everything and uses less of a core than this has nothing under way any more but its epochs
AT_REST = 0.1
# seconds that it may take to come to rest
PATIENCE = 60
# what the allocator is told in every second run: give back at once, and by small pages
GIVE_BACK = {"MIMALLOC_PURGE_DELAY": "0", "MIMALLOC_ALLOW_THP": "0"}


@dataclass
class Held:
    """What jobs have that have read everything, in bytes, by rounds."""

    resident: list[int] = field(default_factory=list)  # as it is
    used: list[int] = field(default_factory=list)  # where what is free is given back
    counted: list[int] = field(default_factory=list)  # by the job, as its state


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("backplane", type=Path)
    parser.add_argument("--subjects", type=int, nargs=2, default=[1_000_000, 5_000_000], help="two numbers of subjects, the smaller one first")
    parser.add_argument("--metrics", type=int, nargs="+", default=[0, 1, 4])
    parser.add_argument("--rounds", type=int, default=3, help="of which the medians count; the peaks are of one")
    parser.add_argument("--events", type=int, default=500_000, help="of the shortest stream of those that last 1, 2, 4 and 8 times as long")
    parser.add_argument("--only", choices=["settled", "flat"], help="one of the two")
    parser.add_argument("--folder", type=Path, default=Path("/tmp/backplane-bench"))
    chosen = parser.parse_args()
    folder = chosen.folder / "memory"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if chosen.only != "flat":
            settled(chosen, folder)
        if chosen.only != "settled":
            flat(chosen, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def settled(chosen: argparse.Namespace, folder: Path) -> None:
    few, many = chosen.subjects
    print(f"a settled (experiment, subject): {few:,} and {many:,} subjects in 20 experiments, {chosen.rounds} rounds, medians;")
    print(f"{key_bytes():.0f} bytes of text each are subtracted\n")
    print("| metrics | resident, MB | in use, MB | state as counted, MB | bytes each: resident | in use | least to most | as counted | mark |")
    print("|---|---|---|---|---|---|---|---|---|")
    for metrics in chosen.metrics:
        one, other = (held(chosen, once(subjects, metrics), folder) for subjects in (few, many))
        sizes = [f"{statistics.median(less) / 1e6:,.0f} to {statistics.median(more) / 1e6:,.0f}" for less, more in kinds(one, other)]

        def each(less: float, more: float) -> str:
            return f"{(more - less) / (many - few) - key_bytes():.0f}"

        resident, used, counted = (each(statistics.median(less), statistics.median(more)) for less, more in kinds(one, other))
        spread = f"{each(max(one.used), min(other.used))} to {each(min(one.used), max(other.used))}"
        print(f"| {metrics} | {' | '.join(sizes)} | {resident} | {used} | {spread} | {counted} | {48 + 16 * metrics} |", flush=True)
    print()


def kinds(one: Held, other: Held) -> list[tuple[list[int], list[int]]]:
    return [(one.resident, other.resident), (one.used, other.used), (one.counted, other.counted)]


def once(subjects: int, metrics: int) -> Shape:
    """Each subject once, and nothing that is still open at the end."""
    horizon = {"time": {"maxOutOfOrderness": "0s", "allowedLateness": "0s", "correctionHorizon": "10m"}}
    return Shape(visits=subjects, subjects=subjects, metrics=metrics, outcomes=metrics, is_terse=True, tail=DAY, engine=horizon)


def held(chosen: argparse.Namespace, shape: Shape, folder: Path) -> Held:
    """What jobs have in memory that follow the stream and have read all of it."""
    events = shape.make(folder)
    found = Held()
    for _ in range(chosen.rounds):
        resident, counted = after_all(chosen.backplane, events, shape, {})
        used, _ = after_all(chosen.backplane, events, shape, GIVE_BACK)
        found.resident.append(resident)
        found.used.append(used)
        found.counted.append(counted)
    events.unlink()
    return found


def after_all(backplane: Path, events: Path, shape: Shape, environment: dict[str, str]) -> tuple[int, int]:
    """Bytes that only the process has, and that it counts as its state, when it has read everything."""
    follow = {"engine.sources": f"[{{ type: file, options: {{ paths: '{events}', follow: true }} }}]"}
    run = command(backplane, events, events.parent, with_events=False, more=follow)
    run = ["warn,backplane=info" if word == "error" else word for word in run if word != "--until-end"] + ["--log-format", "json"]
    process = subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment})
    try:
        counted = state_at(process, shape.events)
        wait_for_rest(process.pid)
        kept = dict(re.findall(r"(\w+):\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text()))
        return int(kept["RssAnon"]) * 1024, counted
    finally:
        process.terminate()
        process.communicate()


def wait_for_rest(pid: int) -> None:
    used = cpu_of(pid)
    for _ in range(PATIENCE):
        time.sleep(1)
        before, used = used, cpu_of(pid)
        if used - before < AT_REST:
            return


def cpu_of(pid: int) -> float:
    """Seconds of CPU time that a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def state_at(process: subprocess.Popen[str], events: int) -> int:
    """Bytes of state as the job tells them once it has read so many events."""
    line = ""
    for line in process.stderr:
        told = json.loads(line) if line.startswith("{") else {}
        if told.get("state_bytes_on_disk"):
            print("  the state has outgrown engine.memory: what lies in a file is not among these figures", file=sys.stderr)
        if told.get("events", -1) >= events:
            return int(told["state_bytes"])
    sys.exit(f"the job ended before it had read {events:,} events: {line}")


def flat(chosen: argparse.Namespace, folder: Path) -> None:
    visits = chosen.events // 2
    subjects = visits // 2
    print(f"flat: {subjects:,} subjects, {Shape(visits, subjects).hours:.1f} hours of event time and 1, 2, 4 and 8 times as long\n")
    print("| as long | events | peak, MB | to the first | events/s |")
    print("|---|---|---|---|---|")
    first = None
    for times in TIMES:
        shape = Shape(visits * times, subjects, attribution="1h")
        events = shape.make(folder)
        seconds, peaks = watched(command(chosen.backplane, events, folder, with_events=False))
        events.unlink()
        peak = peaks["RssAnon"] / 1e6
        first = first or peak
        print(f"| {times} | {shape.events:,} | {peak:,.0f} | {peak / first:.2f} | {shape.events / seconds:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
