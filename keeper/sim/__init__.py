"""The simulator: one model of the marketplace and its hosts, reached in virtual time or over the wire.

It is the home of made-up time and seeded luck. The auditor in it shares no code with the core.
"""
