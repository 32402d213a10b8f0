"""What solutions and power laws hold for, in words."""

SAME_RATES = "lambda_b, lambda_W are the same in every layer"
RATES_BY_LAYER = "learning rates are powers of the layer, lambda_b l^x_b and lambda_W l^x_W"
ALMOST_EVERYWHERE = "derivatives written at the kink are those of the branches"
AT_THE_FIXED_POINT = "the first kernel is the fixed point K*, where chi_parallel = chi_perpendicular = 1"
SCALED_START = "the first layer has C_b/(1 - skip^2) and C_W/(1 - skip^2)"
ALL_MEMORY = "neurons remember all their past (the full closure)"
IN_ONE_TIME = "the book's closure in one time, in which neurons do not remember their past"
NEAR_THE_INPUT = "c_K, c_Theta: set by the layers near the input"


def equal_widths(kind: str) -> str:
    """All widths are equal, and which layers there are.

    >>> equal_widths("residual").split(":")[0]
    'all widths are equal, the first layer is dense, all others residual'
    """
    which = "all layers are dense" if kind == "dense" else f"the first layer is dense, all others {kind}"
    return f"all widths are equal, {which}: Theta = lambda_b + lambda_W (k - C_b)/C_W at the first"
