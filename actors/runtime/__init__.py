"""What runs actors, and knows no rooms: acceptor, poller, dispatcher, supervisor, deadlines, dead letters."""
