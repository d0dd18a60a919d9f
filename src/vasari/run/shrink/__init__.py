"""A whole recipe on a CPU in minutes: real classes in small dimensions, few rows and steps."""
