"""Identity: passwords, e-mail addresses, sign-ins, tickets, and the secret that signs them."""
