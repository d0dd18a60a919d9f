"""Records, errors, settings, files, plug-ins and progress display, used by all other folders."""
