import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_the_reference_page_is_what_the_code_says():
    # a process of its own: click remembers help options of commands that other tests invoked
    code = "import runpy, sys; sys.stdout.write(runpy.run_path('docs/make_reference.py')['page']())"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    page = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    assert page == done.stdout, "run `make reference` and commit docs/reference.md"
