#!/usr/bin/env python3
"""Show that licodec computes the same under every setting and on every machine.

    scripts/exactness.py files photo.png --generate     encoded and decoded under all settings
    /tmp/s390x/python scripts/exactness.py arithmetic   hashes of what native code computes

Each has a --help of its own.
"""

from __future__ import annotations

from command import command, dispatch


@command
def main(argv: list[str] | None = None) -> None:
    dispatch(__doc__, "machines", ("files", "arithmetic"), argv)


if __name__ == "__main__":
    main()
