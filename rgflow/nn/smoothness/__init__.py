"""How far outputs move with the input: Jacobians, a penalty on them, robustness."""
