"""The demo: the whole loop on real traffic, in network namespaces of its own."""
