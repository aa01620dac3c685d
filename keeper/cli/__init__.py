"""The command line: one small module per family of verbs.

Verbs that touch a running fleet ask the daemon over its local socket; nothing here opens the store.
"""
