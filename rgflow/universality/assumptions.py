"""What solutions and power laws hold for, in words."""

EQUAL_WIDTHS = "all widths are equal, and the first layer is Gaussian: Theta = lambda_b + lambda_W (k - C_b)/C_W there"
SAME_RATES = "lambda_b, lambda_W are the same in every layer"
RATES_BY_LAYER = "learning rates are powers of the layer, lambda_b l^x_b and lambda_W l^x_W"
ALMOST_EVERYWHERE = "derivatives written at the kink are those of the branches"
AT_THE_FIXED_POINT = "the first kernel is the fixed point K*, where chi_parallel = chi_perpendicular = 1"
NEAR_THE_INPUT = "c_K, c_Theta: set by the layers near the input"
