"""keeper keeps GPU streams on air on Vast.ai.

Facts come in, one pure function decides, a thin shell acts, and everything that happened is one
named fact. Start reading at `keeper.core.reconcile`; `docs/architecture.md` draws the five rings.
This file knows the version and nothing else, so importing the package costs nothing.
"""

__version__ = "0.1.0.dev0"
