"""Samplers and gates of other papers, from their formulas, to compare with."""
