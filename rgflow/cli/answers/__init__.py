"""What every command prints with ``--json``: plain mappings, which :mod:`rgflow.cli.machine` writes."""
