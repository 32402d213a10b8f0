"""Bayes with a network of finite width: outputs before and after data, through one random metric, to order 1/n."""
