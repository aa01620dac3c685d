"""Facts turned into logs and metrics, and any port measured from outside.

It reads facts and values; it knows neither who states them nor who reads the result.
"""
