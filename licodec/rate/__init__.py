"""The rate of a picture: d, alpha and beta, their constants, the quality scale, targets."""
