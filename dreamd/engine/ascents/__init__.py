"""The ascent at one scale, with the chain around its gradient, and how a schedule is given it. Knows no octaves."""
