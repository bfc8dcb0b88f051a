"""The single checks of the books; `payments.audit.book_check` runs them."""
