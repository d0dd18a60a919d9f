"""The command line: each command turns its arguments into one function call and prints results."""
