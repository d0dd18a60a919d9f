def write_pilot(*a):
    return ""


def write_study(*a):
    return ""
