"""Packages of other people, installed into a folder as pip would, and the command line that finds them there."""

import subprocess
import sys

INSTALL = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]


def install(package, site):
    """Install a package's folder into another folder; neither the environment nor the network is touched."""
    subprocess.run([sys.executable, *INSTALL, "--target", str(site), str(package)], check=True, capture_output=True)


def ssl_bench(site, *words, **options):
    """The command line with what is installed in a folder; a process of its own."""
    program = f"import site, sys\nsite.addsitedir({str(site)!r})\nfrom ssl_bench.cli import main\nmain()\n"
    command = [sys.executable, "-c", program, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, **options)
