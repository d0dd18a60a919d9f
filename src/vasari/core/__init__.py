"""Records, errors, settings, files, plug-ins and progress, which all other folders use."""
