"""A job whose state has less and less memory: what it costs, and how much memory is the process's own.

    python spill.py BACKPLANE [--events 2000000] [--rounds 3] [--folder DIR]

Generates the stream once, then runs the same job with each limit in turn, `rounds` times, and prints the medians: events per second, and the
peaks of memory that only the process has (RssAnon) and of what it has of files (RssFile), as the system counts them.
"""

from __future__ import annotations

import re
import shutil
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

from whole_job import arguments, command, stream

LIMITS = ("4GiB", "256MiB", "64MiB", "1MiB")
KINDS = ("RssAnon", "RssFile")


def main() -> None:
    chosen = arguments(__doc__, events=2_000_000)
    events = stream(chosen)
    found: dict[str, list[tuple[float, dict[str, int]]]] = {limit: [] for limit in LIMITS}
    for _ in range(chosen.rounds):
        for limit, runs in found.items():
            runs.append(watched(command(chosen.backplane, events, chosen.folder, with_events=False, more={"engine.memory": limit})))
    print(f"{chosen.events:,} events, {chosen.rounds} rounds, medians")
    print(f"  {'engine.memory':>14} {'events/s':>10} {'time':>6} " + " ".join(f"{kind + ' MB':>11}" for kind in KINDS))
    usual = statistics.median(seconds for seconds, _ in found[LIMITS[0]])
    for limit, runs in found.items():
        seconds = statistics.median(seconds for seconds, _ in runs)
        peaks = [statistics.median(peak[kind] for _, peak in runs) / 1e6 for kind in KINDS]
        print(f"  {limit:>14} {chosen.events / seconds:>10,.0f} {seconds / usual:>6.2f} " + " ".join(f"{peak:>11,.0f}" for peak in peaks))
    shutil.rmtree(chosen.folder / "job", ignore_errors=True)


def watched(run: list[str | Path]) -> tuple[float, dict[str, int]]:
    """How long it took, and the most that it had of each kind of memory, in bytes."""
    peak = dict.fromkeys(KINDS, 0)
    started = time.perf_counter()
    process = subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    is_over = threading.Event()

    def watch() -> None:
        status = Path(f"/proc/{process.pid}/status")
        while not is_over.wait(0.02):
            try:
                counts = dict(re.findall(r"(\w+):\s+(\d+) kB", status.read_text()))
            except OSError:
                return
            for kind in KINDS:
                peak[kind] = max(peak[kind], int(counts.get(kind, 0)) * 1024)

    watcher = threading.Thread(target=watch)
    watcher.start()
    _, errors = process.communicate()
    seconds = time.perf_counter() - started
    is_over.set()
    watcher.join()
    if process.returncode:
        sys.exit(errors)
    return seconds, peak


if __name__ == "__main__":
    main()
