"""What is learned: weights of scores, predicted fractions and run times, and an agent that learns while it runs."""
