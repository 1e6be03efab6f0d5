"""What all checks share: where things are, and how faults are told."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def finish(subject: str, faults: list[str]) -> None:
    """Prints every fault of `subject`, or that there is none, and ends with a status that says which."""
    for fault in faults:
        print(f"{subject}: {fault}", file=sys.stderr)
    if not faults:
        print(f"{subject}: in order")
    sys.exit(1 if faults else 0)
