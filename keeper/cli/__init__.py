"""The command line: one small module per family of verbs.

Verbs that touch a running fleet ask the daemon over its local socket. Without one, reading verbs
look into its store and own nothing, and acting verbs run the same daemon until one thing holds.
"""
