"""What a variant is worth: measured, judged, shown. Knows no torch."""
