def measure(site):
    raise NotImplementedError
