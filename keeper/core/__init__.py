"""The thinking ring: values in, decisions out.

Nothing here waits, sleeps, logs, reads a clock or draws a random number, and nothing outside the
standard library is imported. Time is always an argument called ``now``. Read ``reconcile`` first.
"""
