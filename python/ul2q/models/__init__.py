"""Read caffemodels, load them into nets, and describe them."""
