"""Many runs from one file: nets × methods × bits × seeds."""
