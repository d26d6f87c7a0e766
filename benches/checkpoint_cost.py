"""What checkpoints every second cost: the same job with them, and with one at its end, alternately.

    python checkpoint_cost.py BACKPLANE [--events 12000000] [--rounds 3] [--folder DIR]

Generates the stream once, then runs both `rounds` times in turn and prints the median events per second and the ratio.
"""

from __future__ import annotations

import shutil
import statistics

from whole_job import arguments, job, stream


def main() -> None:
    chosen = arguments(__doc__, events=12_000_000)
    events = stream(chosen)
    seconds: dict[str, list[float]] = {"one at the end": [], "every second": []}
    intervals = {"one at the end": "100000s", "every second": "1s"}
    for _ in range(chosen.rounds):
        for name, times in seconds.items():
            more = {"engine.checkpoint.interval": intervals[name]}
            times.append(job(chosen.backplane, events, chosen.folder, with_events=False, more=more))
    print(f"checkpoints: {chosen.events:,} events, {chosen.rounds} rounds, medians")
    rates = {name: chosen.events / statistics.median(times) for name, times in seconds.items()}
    for name, times in seconds.items():
        print(f"  {name:32} {rates[name]:>12,.0f} events/s   {min(times):.2f} to {max(times):.2f} s")
    paired = [other / one for one, other in zip(*seconds.values(), strict=True)]
    print(f"  time of every second to one at the end: {statistics.median(paired):.3f} (by pairs, {min(paired):.3f} to {max(paired):.3f})")
    shutil.rmtree(chosen.folder / "job", ignore_errors=True)


if __name__ == "__main__":
    main()
