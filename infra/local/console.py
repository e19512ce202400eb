"""What the local stack says: short lines, colour only on a terminal, and one sentence when it cannot go on."""

import os
import sys

COLOURS = {"dim": "2", "bold": "1", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


class Trouble(Exception):
    """Something the person at the keyboard must fix; its text is one clear sentence."""


class Reported(Trouble):
    """The same, already told by a process of ours."""


def coloured() -> bool:
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ


def paint(text: str, colour: str) -> str:
    return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m" if coloured() else text


def say(text: str = "") -> None:
    print(text, flush=True)


def note(text: str) -> None:
    """A progress line, on standard error: standard output belongs to results and to the command of `exec`."""
    print(f"persona: {text}", file=sys.stderr, flush=True)
