#!/usr/bin/env python3
"""Look for faults that the test suite's own examples do not show.

    scripts/fuzz.py files --changes 100000     decodes changed .lic files
    scripts/fuzz.py pictures --changes 100000  reads changed pictures of every input format
    scripts/fuzz.py native --cases 1000000     gives the native coder damaged streams
    scripts/fuzz.py properties --minutes 60    runs the property tests with fresh seeds
    scripts/fuzz.py sanitized tests/attacks    runs tests with a sanitized native library

Each has a --help of its own.
"""

from __future__ import annotations

from command import command, dispatch


@command
def main(argv: list[str] | None = None) -> None:
    dispatch(__doc__, "fuzzing", ("files", "pictures", "native", "properties", "sanitized"), argv)


if __name__ == "__main__":
    main()
