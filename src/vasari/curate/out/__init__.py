"""What a curation leaves beside its sets: exports, card, funnel, the difference between two."""
