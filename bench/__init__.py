"""Side-by-side measurements: our message path against WeRoBot as documented and a smallest view."""
