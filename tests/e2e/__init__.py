"""The whole of sdnblock on real packets: the same assertions for every kind of switch."""
