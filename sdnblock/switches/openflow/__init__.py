"""OpenFlow 1.3 switches: an asyncio channel of our own, flows and meters as bytes.

Control messages are built with os-ken's classes (``requests``); flows and statistics, of
which there may be a hundred thousand, are packed and read here (``matches``, ``flows``).
What a switch sends is read here too (``answers``): every length is checked.
"""
