"""Client of P4Runtime switches: BMv2, and Linux XDP through ``sdnblock switchd``.

Pure logic apart from I/O: ``values``, ``schema``, ``codec``, ``limiters``,
``errors`` and ``notices`` touch no network; ``channel``, ``session`` and
``pipeline`` speak to the switch; ``configure`` and ``driver`` join the two.
"""
