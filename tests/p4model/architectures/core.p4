// Nothing that the interpreter does not know by itself.
