"""Fine-tuning a challenger on the catalogue's own text and interactions; most modules load torch when imported."""
