"""Writes what accompanies the curated sets (exports, data card, row counts); compares two runs."""
