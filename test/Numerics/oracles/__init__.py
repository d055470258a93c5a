"""Independent references in float64, one file a system: the equations as direct loops over tokens."""
