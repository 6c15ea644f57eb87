"""How fast Hourglass is, beside other ways to train the same network, and beside what the machine can do."""
