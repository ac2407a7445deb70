"""sdnblock: a network that protects its own SIP service."""

__version__ = "0.1.0"
