"""The table of metrics, by noun: one module each, put together in ``keeper.telemetry.metrics``."""
