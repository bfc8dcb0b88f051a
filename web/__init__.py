"""Pages and machine entrances: read the request, call one use-case, render the answer."""
