"""One room: its state and roster (pure), its mailbox, and the actor that holds them."""
