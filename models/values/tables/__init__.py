"""Reading tables that people and other systems exported: strict, row by row, errors with line and column."""
