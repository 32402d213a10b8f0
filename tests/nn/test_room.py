"""The room as users see it: every name explained, and what it says where PyTorch is not installed."""

import inspect
import subprocess
import sys

import rgflow as rg

WITHOUT = """
import sys
sys.modules["torch"] = None  # as if it were not installed
import rgflow as rg
print(rg.criticality("relu").C_W)
try:
    rg.nn.build
except rg.MissingExtra as error:
    print(error)
"""


def test_without_torch_the_room_names_its_extra():
    found = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[1:] == ["rgflow.nn needs the extra 'torch': pip install \"rgflow[torch]\""]


def test_torch_is_loaded_by_the_first_name_only():
    code = (
        "import sys, rgflow as rg; rg.nn; assert 'torch' not in sys.modules; rg.nn.build; assert 'torch' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_public_names_are_explained():
    assert [name for name in rg.nn.__all__ if len(inspect.getdoc(getattr(rg.nn, name)) or "") < 10] == []
    assert len(set(rg.nn.__all__)) == len(rg.nn.__all__)
