"""How media reaches the server: uploads, data URLs, stored files, and addresses where they are allowed."""
