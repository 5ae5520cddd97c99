"""Training: fine-tune a challenger on the catalogue's text and interactions. Most modules load torch."""
