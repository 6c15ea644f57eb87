"""The speed and the memory of Hourglass, compared with other ways to train the same networks."""
