"""Arguments -> one function call."""
