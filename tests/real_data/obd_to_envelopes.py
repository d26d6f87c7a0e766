"""Turns the Open Bandit logs into envelopes, one file for each campaign and policy, with the matching configuration.

    python obd_to_envelopes.py OUT_DIR [--source OBD_DIR]

Each campaign is an experiment (`obd-all`, `obd-men`, `obd-women`), the policy is the variant, each impression is a subject
and an exposure. A click is an outcome of the metric `click`, Binary, value 1, at the time of its impression (the log has no
other). Impressions without a click bring no outcome, as a real producer sends none: that they count as 0 is the engine's work.
The position of the item on the page is the segment `attributes.position`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import obd

CONFIG = {
    "experimentFramework": {
        "metrics": [{"name": "click", "type": "Binary", "role": "goal"}],
        "experiments": [
            {
                "name": obd.experiment(campaign),
                "allocation": {policy: 0.5 for policy in obd.POLICIES},
                "control": "random",
                "metrics": ["click"],
                "attributionWindow": "1h",
                "segments": ["attributes.position"],
            }
            for campaign in obd.CAMPAIGNS
        ],
        "engine": {
            "time": {"maxOutOfOrderness": "30s", "allowedLateness": "5m", "correctionHorizon": "1h"},
            "crossovers": "exclude",
            "windows": [{"name": "daily", "type": "tumble", "size": "1d"}],
        },
    }
}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for obd-CAMPAIGN-POLICY.ndjson and config.json")
    parser.add_argument("--source", type=Path, help="folder with random/ and bts/ (default: that of the package obp)")
    chosen = parser.parse_args(arguments)
    for path, count in write(chosen.out, chosen.source or obd.folder()).items():
        print(f"{path}: {count} envelopes")
    return 0


def write(out: Path, source: Path) -> dict[Path, int]:
    """Writes all files; the number of envelopes in each."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(json.dumps(CONFIG, indent=2) + "\n", encoding="utf-8")
    written = {}
    for campaign in obd.CAMPAIGNS:
        for policy in obd.POLICIES:
            path = out / f"obd-{campaign}-{policy}.ndjson"
            records = list(envelopes(source, campaign, policy))
            path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
            written[path] = len(records)
    return written


def envelopes(source: Path, campaign: str, policy: str):
    """The exposure of each impression, followed by its click if there was one."""
    for row, (timestamp, position, click) in enumerate(obd.impressions(source, campaign, policy).iter_rows()):
        impression = f"obd-{campaign}-{policy}-{row:05}"
        members = {"experimentName": obd.experiment(campaign), "variantKey": policy, "subjectId": impression}
        shown = members | {
            "subjectType": "impression",
            "selectionReason": "policy",
            "assignmentPolicy": "BestEffort",
            "attributes": {"position": position},
        }
        yield _envelope(f"{impression}-shown", timestamp, "Exposure", shown)
        if click:
            clicked = members | {"outcomeType": "Binary", "metricName": "click", "value": click}
            yield _envelope(f"{impression}-clicked", timestamp, "Outcome", clicked)


def _envelope(event_id: str, timestamp: str, event_type: str, payload: dict) -> dict:
    return {
        "eventId": event_id,
        "timestamp": timestamp.replace(" ", "T"),
        "eventType": event_type,
        "schemaVersion": "1.0.0",
        "payload": payload,
    }


if __name__ == "__main__":
    sys.exit(main())
