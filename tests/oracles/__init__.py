"""Exact answers of finite random networks, found without the engine: witnesses that import nothing from rgflow."""
