"""``python -m sdnblock``: the command line."""

from sdnblock.cli import main

main(prog_name="sdnblock")
