"""The shell's heart: it asks, decides by calling the core, acts, and tells. It thinks nothing itself."""
