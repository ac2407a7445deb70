"""sdnblock beside what people use today: the same traffic, the same SIP server."""
