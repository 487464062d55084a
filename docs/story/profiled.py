"""Runs a program under a profile function that does nothing, as memray's does beside recording."""

import pathlib
import runpy
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
sys.argv = sys.argv[1:]
sys.setprofile(lambda *args: None)
runpy.run_path(sys.argv[0], run_name="__main__")
