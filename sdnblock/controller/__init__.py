"""The controller's parts: one job a module; ``sdnblock/daemon.py`` puts them together."""
