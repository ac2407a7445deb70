"""Whether it is machine code that is being tested (``make test-native``)."""

from __future__ import annotations

import sdnblock.detect.engine

NATIVE = sdnblock.detect.engine.__file__.endswith(".so")
