"""Laws of a trained network's weights and gradients, checkpoint by checkpoint."""
