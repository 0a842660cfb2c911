from record import ran


def noop(number, text):
    ran(number)
