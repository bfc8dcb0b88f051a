"""How money goes back: asked for by one, approved by another, sent once."""
