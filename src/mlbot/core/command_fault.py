"""What can be wrong with a line that was meant as a command."""

from enum import StrEnum


class Fault(StrEnum):
    """A closed list."""

    UNKNOWN = "unknown"
    """No command, but close to one."""
    MISSING = "missing"
    UNEXPECTED = "unexpected"
    BAD_VALUE = "bad-value"
    SHORT_SHA = "short-sha"
    TWICE = "twice"
    QUOTES = "quotes"
    INVISIBLE = "invisible"
    TOO_LONG = "too-long"
    TOO_MANY = "too-many"


class MisreadError(Exception):
    """A line cannot be read; never leaves the reader of comments.

    Args:
        fault: What kind it is.
        sentence: What is wrong and how to mend it, for people.
        usage: How the command is written, when it is known.
    """

    def __init__(self, fault: Fault, sentence: str, usage: str = "") -> None:
        super().__init__(sentence)
        self.fault = fault
        self.sentence = sentence
        self.usage = usage
