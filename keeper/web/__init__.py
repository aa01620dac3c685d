"""Health, metrics, the API and the one human page, over HTTP.

It reads published snapshots and passes orders on; it neither decides nor touches a host.
"""
