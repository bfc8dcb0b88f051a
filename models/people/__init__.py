"""Tables about people: who is logged in and where."""
