"""Runs P4 programs from their source: what BMv2's answers are compared with where no switch is.

For the part of P4-16 that p4/ uses. The v1model program runs too, so that the interpreter is
itself held to what a real BMv2 answered.
"""
