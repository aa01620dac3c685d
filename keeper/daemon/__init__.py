"""Everything that waits: the tick and the long-lived tasks around it.

It knows ports and plug-ins, but neither adapters, telemetry nor web: bootstrap introduces them.
"""
