"""How the admin writes times: dense, sortable, to the second."""
