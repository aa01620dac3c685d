"""One file per foreign system. Foreign errors and foreign JSON stop here.

An adapter fulfils a port and translates; it decides nothing and knows no other adapter's errors.
"""
