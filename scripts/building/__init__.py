"""Building for processors and systems other than this one."""
