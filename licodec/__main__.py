"""`python -m licodec`."""

from licodec.cli import main

if __name__ == "__main__":
    main()
