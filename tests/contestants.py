"""Small contestants for the tests of the benchmark: processes of their own find them here by name."""

import importlib
import multiprocessing
import os
import time


def writer(file, name):
    def work():
        with open(file, "a") as handle:
            handle.write(name)
        return 2

    return work


def failing(after):
    done = []

    def work():
        done.append(1)
        if len(done) > after:
            raise ValueError("no more\nof this")
        return 1

    return work


def dying():
    return lambda: os._exit(3)


def missing():
    return importlib.import_module("no_such_package.part").work


class Choosing:
    """Takes one item at first, then as many as it has chosen."""

    def __init__(self):
        self.items = 1

    def __call__(self):
        return self.items

    def tune(self):
        self.items = 5

    def about(self):
        return {"workers": 3}


def tick(file):
    while True:
        with open(file, "a") as handle:
            handle.write("x")
        time.sleep(0.001)


def helped(file):
    helper = multiprocessing.Process(target=tick, args=(file,), daemon=True)
    helper.start()

    def work():
        time.sleep(0.2)
        return 1

    return work


def watching(file):
    def work():
        before = os.path.getsize(file)
        time.sleep(0.3)
        assert os.path.getsize(file) == before, "the helper went on"
        return 1

    return work
