"""Fine-tuning a challenger on the shop's own text and interactions; most modules load torch when imported."""
