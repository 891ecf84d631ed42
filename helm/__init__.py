"""The chart, and what makes its README and its schema."""
