"""The errors that people see.

Every expected failure is an :class:`SdnblockError` whose text is one line that
says what went wrong, where, and what to do. Anything else that reaches the top
is a bug and keeps its traceback.
"""


class SdnblockError(Exception):
    """An expected failure; ``str(error)`` is one line for a person. CLI exit status 1."""


class TargetError(SdnblockError):
    """A target, action, duration or origin that cannot be understood or is refused."""


class ConfigError(SdnblockError):
    """The configuration file is wrong; names the file and the key."""


class BlockListError(SdnblockError):
    """Redis is down, refuses us, or is full."""


class SwitchError(SdnblockError):
    """A switch cannot be reached or refuses what was asked."""
