"""The block list in Redis: docs/redis.md is its contract, and only this package knows its keys."""
