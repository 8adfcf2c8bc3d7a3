"""Does many runs that one file asks for: nets × methods × bits × seeds."""
