"""Facts and rules: frozen values and functions, without I/O, clock or framework."""
