"""The command line: arguments to one function call, and its results on the terminal."""
