"""Samplers and gates of other papers, written from the papers' formulas, for comparison."""
