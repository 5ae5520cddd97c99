"""Planning: what a catalogue of a given size would cost on given machines, before it lands."""
