"""What a catalogue of some size would cost on some machines, before anybody lands it."""
