"""What is learned from finished tasks: regressors, and the run times and GPU fractions that they predict."""
