"""What every other part stands on: records, errors, settings, files, plug-ins, progress."""
