"""Generators written against the gest-api standard alone, as any other package would."""
