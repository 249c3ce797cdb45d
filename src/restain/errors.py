"""The one exception that a user is meant to read, and how it quotes others."""


class RestainError(Exception):
    """Something outside the program is wrong: a file, a field, a folder, a device.

    The message is one clear sentence that names the thing, the value seen and what was expected; the command
    line prints it without a traceback and exits with a non-zero status.
    """


def in_short(error: BaseException) -> str:
    """First line of what a foreign exception says, or its type's name where it says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0]
