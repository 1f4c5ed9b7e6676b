"""The nouns that every room uses: volume, surface, measures, colours, errors, progress."""
